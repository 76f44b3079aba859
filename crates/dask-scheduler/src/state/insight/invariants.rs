//! What holds between two events. Checked after every event in tests, and with
//! `Config::validate`.

use std::collections::BTreeMap;

use dask_proto::Key;
use dask_proto::id::FutureId;

use crate::config::WorkStealing;
use crate::state::SchedulerState;
use crate::state::client::entry::Held;
use crate::state::table::task::{Hold, Row, StateName, TaskEntry, TaskState};
use crate::state::table::worker::Moving;

/// An invariant does not hold: a defect of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Something about a task.
    #[error("{rule}: task {key} in state {state}")]
    Task {
        /// What should hold.
        rule: &'static str,
        /// The task.
        key: Key,
        /// Its state.
        state: &'static str,
    },
    /// Something about the tables.
    #[error("{rule}")]
    Table {
        /// What should hold.
        rule: &'static str,
    },
}

type Check = Result<(), Violation>;

/// A check that a rule holds, for a task or for the tables.
macro_rules! ensure {
    ($holds:expr, $rule:expr $(,)?) => {
        if $holds { Ok(()) } else { Err(Violation::Table { rule: $rule }) }
    };
    ($holds:expr, $rule:expr, $task:expr) => {
        if $holds {
            Ok(())
        } else {
            Err(Violation::Task {
                rule: $rule,
                key: $task.key.clone(),
                state: $task.state.name().as_str(),
            })
        }
    };
}

mod coordination;
mod errand;

impl SchedulerState {
    /// Checks all invariants.
    ///
    /// # Errors
    /// The first one that does not hold.
    pub fn check_invariants(&self) -> Result<(), Violation> {
        for (row, task) in self.tasks.iter() {
            self.a_task_at_rest_has_a_reason_to_be(row, task)?;
            self.waiters_are_counted(task)?;
            self.dependents_are_counted(row, task)?;
            self.waiting_tasks_miss_something(task)?;
            self.what_is_waited_for_is_under_way(task)?;
            self.running_tasks_have_their_dependencies(task)?;
            self.states_and_indexes_agree(row, task)?;
            self.holds_are_mutual(row, task)?;
        }
        self.agenda_is_empty()?;
        self.what_was_not_fetched_is_known()?;
        self.what_is_unfinished_is_watched()?;
        self.states_are_counted()?;
        self.workers_index_nothing_else()?;
        self.ranks_are_up_to_date()?;
        self.occupancy_adds_up()?;
        self.thefts_are_mutual()?;
        self.thieves_and_victims_are_known()?;
        self.clients_hold_nothing_else()?;
        self.nobody_waits_while_there_is_room()?;
        self.questions_are_known()?;
        self.copies_and_errands_agree()?;
        self.coordination_adds_up()?;
        ensure!(self.programs_agree(), "programs, agents, clients and workers name each other")
    }

    pub(in crate::state) fn assert_invariants(&self) {
        let checked = self.check_invariants();
        if let Err(violation) = &checked {
            tracing::error!(%violation, stimulus = %self.stimulus, "an invariant does not hold");
        }
        debug_assert_eq!(checked, Ok(()));
    }

    fn a_task_at_rest_has_a_reason_to_be(&self, row: Row, task: &TaskEntry) -> Check {
        let has_reason = match &task.state {
            TaskState::Released => {
                (task.is_wanted() && self.is_announced(row))
                    || (!task.is_wanted() && task.live_dependents > 0)
            }
            TaskState::Erred { .. } => task.is_wanted() || task.live_dependents > 0,
            _ => task.is_wanted(),
        };
        ensure!(has_reason, "a task is kept only while it is wanted", task)
    }

    fn questions_are_known(&self) -> Check {
        ensure!(self.asks_are_known(), "questions are those of clients to workers")?;
        ensure!(self.equipment_is_counted(), "the bytes of equipment are counted")
    }

    fn what_was_not_fetched_is_known(&self) -> Check {
        let is_known = |row| self.tasks.get(row).is_some();
        ensure!(self.unfetched.rows().all(is_known), "what could not be fetched is known")
    }

    fn waiters_are_counted(&self, task: &TaskEntry) -> Check {
        let dependents = task.dependents.iter().filter_map(|id| self.tasks.row(*id));
        let active = dependents.filter(|d| self.tasks[*d].state.is_active());
        let rule = "waiters are the dependents on their way to a result";
        ensure!(active.count() == task.waiters as usize, rule, task)
    }

    fn dependents_are_counted(&self, row: Row, task: &TaskEntry) -> Check {
        let mut live = 0;
        for dependent in task.dependents.iter().filter_map(|id| self.tasks.row(*id)) {
            live += 1;
            let depends = self.tasks[dependent].dependencies.contains(&row);
            ensure!(depends, "dependents depend", task)?;
        }
        ensure!(live == task.live_dependents as usize, "dependents are counted", task)?;
        // Sixteen are not worth a sweep, and stay when others join them.
        let few = task.dependents.len() <= 16 + 2 * live;
        ensure!(few, "forgotten dependents are swept out", task)
    }

    fn waiting_tasks_miss_something(&self, task: &TaskEntry) -> Check {
        let TaskState::Waiting { missing } = &task.state else {
            return Ok(());
        };
        let dependencies = task.dependencies.iter().map(|d| &self.tasks[*d].state);
        let absent = dependencies.filter(|state| !state.is_memory()).count();
        let rule = "a waiting task counts its dependencies that are not in memory";
        ensure!(absent == *missing as usize && absent > 0, rule, task)
    }

    fn what_is_waited_for_is_under_way(&self, task: &TaskEntry) -> Check {
        let is_under_way = |row: &Row| {
            let state = &self.tasks[*row].state;
            state.is_memory() || state.is_active() || self.is_announced(*row)
        };
        let waits = task.state.name() == StateName::Waiting;
        let rule = "what a task waits for is on its way";
        ensure!(!waits || task.dependencies.iter().all(is_under_way), rule, task)
    }

    fn running_tasks_have_their_dependencies(&self, task: &TaskEntry) -> Check {
        let is_ready = task.state.is_active() && task.state.name() != StateName::Waiting;
        let mut dependencies = task.dependencies.iter();
        let present = dependencies.all(|d| self.tasks[*d].state.is_memory());
        let rule = "what is queued or processing has its dependencies in memory";
        ensure!(!is_ready || present, rule, task)
    }

    fn states_and_indexes_agree(&self, row: Row, task: &TaskEntry) -> Check {
        let place = (task.priority(), row);
        let queue = task.function().map(|f| &self.functions.get(f).queue);
        let is_queued = queue.is_some_and(|queue| queue.contains(place));
        let agree = is_queued == (task.state.name() == StateName::Queued);
        ensure!(agree, "the queues hold what is queued", task)?;
        let agree = self.no_worker.contains(&place) == (task.state.name() == StateName::NoWorker);
        ensure!(agree, "the list of tasks without a worker is right", task)?;
        match &task.state {
            TaskState::Processing { worker, .. } => {
                let entry = self.workers.get(*worker);
                let knows = entry.is_some_and(|entry| entry.processing.contains(row));
                ensure!(knows, "a worker knows what it processes", task)
            }
            TaskState::Memory(holders) => {
                ensure!(!holders.is_empty(), "a result is somewhere", task)?;
                let knows = holders.iter().all(|worker| {
                    let entry = self.workers.get(worker);
                    entry.is_some_and(|entry| entry.has.contains(row))
                });
                ensure!(knows, "a worker knows what it holds", task)
            }
            _ => Ok(()),
        }
    }

    fn holds_are_mutual(&self, row: Row, task: &TaskEntry) -> Check {
        let knows =
            task.holds.iter().all(|hold| self.task_of(hold.client, hold.future) == Some(row));
        ensure!(knows, "a client knows what it holds", task)
    }

    fn agenda_is_empty(&self) -> Check {
        let rule = "nothing is left to do between two events";
        ensure!(self.agenda.is_empty(), rule)
    }

    fn what_is_unfinished_is_watched(&self) -> Check {
        let announced: usize = self.clients.values().map(|entry| entry.scattering.len()).sum();
        let agree = announced as u64 == self.announced;
        ensure!(agree, "the data that is to come is counted")?;
        ensure!(self.all_patience_ends(), "the time that a task is without a worker is limited")?;
        let mut tasks = self.tasks.iter();
        let is_unfinished = announced > 0 || tasks.any(|(_, task)| task.state.is_active());
        let never = self.config.unrunnable_after.is_none() && self.config.stuck_after.is_none();
        let is_watched = self.watchdog.next().is_some();
        let rule = "there is a deadline to look for stuck tasks while any is unfinished";
        ensure!(is_watched == (is_unfinished && !never), rule)
    }

    fn states_are_counted(&self) -> Check {
        let mut counts = self.counts;
        for (_, task) in self.tasks.iter() {
            let count = &mut counts[task.state.name() as usize];
            *count = count.wrapping_sub(1);
        }
        let agree = StateName::ALL.iter().all(|name| counts[*name as usize] == 0);
        ensure!(agree, "the number of tasks in each state is right")
    }

    fn workers_index_nothing_else(&self) -> Check {
        for (worker, entry) in self.workers.iter() {
            for row in entry.processing.iter() {
                let state = self.tasks.get(row).map(|task| &task.state);
                let Some(TaskState::Processing { worker: on, seceded, .. }) = state else {
                    return ensure!(false, "workers process what is processing");
                };
                ensure!(*on == worker, "a task is processing on one worker")?;
                let agree = entry.seceded.contains(row) == *seceded;
                ensure!(agree, "workers know which tasks seceded")?;
            }
            let sizes = entry.has.iter().filter_map(|row| {
                let task = self.tasks.get(row)?;
                let is_holder = task.holders()?.contains(worker);
                is_holder.then_some(task.nbytes()?)
            });
            let sizes: Vec<u64> = sizes.collect();
            let complete = sizes.len() == entry.has.len();
            ensure!(complete, "workers hold what is in memory on them")?;
            let total = sizes.into_iter().fold(0, u64::wrapping_add);
            ensure!(entry.nbytes == total, "bytes held are the sum of the results",)?;
        }
        Ok(())
    }

    fn ranks_are_up_to_date(&self) -> Check {
        let saturation = self.config.worker_saturation;
        for (worker, entry) in self.workers.iter() {
            let now = entry.rank_now(worker, saturation);
            ensure!(entry.rank == now, "workers are ranked by their load")?;
            let entered = now.is_none_or(|rank| self.functions.is_ranked(entry.group, rank));
            ensure!(entered, "workers are in the index of their group")?;
        }
        Ok(())
    }

    fn occupancy_adds_up(&self) -> Check {
        for (_, entry) in self.workers.iter() {
            ensure!(entry.work.adds_up(), "occupancy is the sum of its parts")?;
            let mut tasks = BTreeMap::new();
            for row in entry.processing.difference(&entry.seceded) {
                if let Some(function) = self.tasks[row].function() {
                    *tasks.entry(function).or_default() += 1;
                }
            }
            let rule = "occupancy counts what is processing in the pool";
            ensure!(entry.work.tasks() == tasks, rule)?;
        }
        Ok(())
    }

    fn thefts_are_mutual(&self) -> Check {
        let mut outgoing = 0;
        let mut incoming = 0;
        for (row, theft) in self.stealing.in_flight() {
            let state = self.tasks.get(*row).map(|task| &task.state);
            let is_there = matches!(
                state,
                Some(TaskState::Processing { worker, seceded: false, kept: false, .. })
                    if *worker == theft.victim
            );
            ensure!(is_there, "only what is processing on a worker is stolen from it")?;
            let from = self.workers.get(theft.victim);
            let knows = from.is_some_and(|entry| entry.outgoing.contains(*row));
            ensure!(knows, "victims know what they were asked for")?;
            outgoing += 1;
            if let Some(thief) = theft.thief {
                let to = self.workers.get(thief);
                let knows = to.is_some_and(|entry| entry.incoming.contains(*row));
                ensure!(knows, "thieves know what is to come")?;
                incoming += 1;
            }
        }
        for (_, entry) in self.workers.iter() {
            outgoing -= entry.outgoing.len();
            incoming -= entry.incoming.len();
            let empty = |moving: &Moving| moving.len() > 0 || moving.nanos() == 0;
            let rule = "without thefts nothing is counted for them";
            ensure!(empty(&entry.outgoing) && empty(&entry.incoming), rule)?;
        }
        let rule = "workers know of no thefts that are over";
        ensure!(outgoing == 0 && incoming == 0, rule)
    }

    fn thieves_and_victims_are_known(&self) -> Check {
        if self.config.work_stealing == WorkStealing::Off {
            let rule = "nobody steals where that is not allowed";
            return ensure!(self.stealing.lens() == (0, 0), rule);
        }
        let (mut idle, mut saturated) = (0, 0);
        for (worker, entry) in self.workers.iter() {
            let standing = entry.standing_now();
            idle += usize::from(standing.idle.is_some());
            saturated += usize::from(standing.saturated.is_some());
            let rule = "it is known who is idle and who saturated";
            ensure!(standing == entry.standing && self.stealing.has(worker, entry), rule)?;
            ensure!(!entry.is_touched, "workers are placed when an event is over")?;
            let Some(list) = &entry.stealable else { continue };
            ensure!(list.agrees(), "what can be stolen is listed by cost and by row")?;
            let open = entry.processing.iter();
            let open = open.filter(|row| self.stealable_place(*row).is_some());
            ensure!(list.rows().eq(open), "what has not started can be stolen")?;
        }
        ensure!(self.stealing.is_settled(), "no worker is to be placed")?;
        let rule = "nobody else is idle or saturated";
        ensure!(self.stealing.lens() == (idle, saturated), rule)
    }

    fn clients_hold_nothing_else(&self) -> Check {
        for (client, entry) in &self.clients {
            for (future, held) in entry.futures.iter() {
                if let Held::Task(row) = held {
                    let hold = Hold { client: *client, future: FutureId(future) };
                    let task = self.tasks.get(*row);
                    let agree = task.is_some_and(|t| t.holds.contains(hold));
                    ensure!(agree, "what a client holds knows it")?;
                }
            }
            let awaited = entry.scattering.iter().all(|row| {
                let task = self.tasks.get(*row);
                task.is_some_and(|t| t.spec().is_none() && matches!(t.state, TaskState::Released))
            });
            ensure!(awaited, "what a client is to scatter has not arrived")?;
        }
        Ok(())
    }

    fn nobody_waits_while_there_is_room(&self) -> Check {
        for function in self.functions.queued() {
            let is_full = self.functions.idlest_open(function).is_none();
            ensure!(is_full, "no task is queued while a worker has room for it")?;
        }
        Ok(())
    }
}
