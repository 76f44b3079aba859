//! How tasks change state.
//!
//! Whatever happens *recommends* goals for tasks; [`SchedulerState::transition`] makes them come
//! true one after the other until none is left. A transition never makes another, it recommends
//! it, so a chain of a million tasks costs a longer list and no stack. There is one file per state
//! that is left. What every change of state entails, the indexes and the count of waiters, is in
//! [`SchedulerState::set_state`] and nowhere else.

mod erred;
mod memory;
mod no_worker;
mod processing;
mod queued;
mod released;
mod waiting;

use std::sync::Arc;

use dask_proto::id::WorkerId;
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::SmallValue;
use dask_proto::{Payload, TaskError, TaskErrorKind};

use crate::state::SchedulerState;
use crate::state::insight::story::{Occasion, Step};
use crate::state::table::copies::Copies;
use crate::state::table::task::{Row, StateName, TaskState};

/// Where a task shall go.
#[derive(Debug)]
pub(super) enum Goal {
    /// Stop: nobody wants it, its result is lost, or its failure is taken back.
    Released,
    /// Be computed, once its dependencies are in memory.
    Waiting,
    /// Run, now that its dependencies are in memory: becomes one of the three that follow, or a
    /// failure.
    Ready,
    /// Wait for room on a worker.
    Queued,
    /// Wait for a worker.
    NoWorker,
    /// Run there.
    Processing(WorkerId),
    /// The result is here.
    Memory(Copy),
    /// Fail.
    Erred(Arc<TaskError>),
    /// Leave the table.
    Forgotten,
}

/// A result on a worker.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) worker: WorkerId,
    pub(super) nbytes: u64,
    pub(super) value: Option<Payload>,
}

/// Recommended transitions for which there is room once there were as many: what a message with
/// tasks recommends. Room for more is given back.
const USUAL_AGENDA: usize = 2 * SUBMIT_TASKS;

impl SchedulerState {
    /// Puts a transition on the agenda.
    pub(super) fn recommend(&mut self, row: Row, goal: Goal) {
        self.agenda.push_back((row, goal));
    }

    /// Makes all recommended transitions.
    pub(super) fn settle_agenda(&mut self) {
        while let Some((row, goal)) = self.agenda.pop_front() {
            self.transition(row, goal);
        }
        self.agenda.shrink_to(USUAL_AGENDA);
    }

    /// The table: one line for each edge.
    pub(super) fn transition(&mut self, row: Row, goal: Goal) {
        let Some(entry) = self.tasks.get(row) else {
            return;
        };
        let from = entry.state.name();
        if self.is_moot(row, &goal) {
            return;
        }
        let goal = match goal {
            Goal::Ready => self.judge(row),
            Goal::Waiting if entry.spec().is_none() => Goal::Erred(Arc::new(self.let_go(row))),
            goal => goal,
        };
        match (from, goal) {
            (StateName::Released, Goal::Waiting) => self.released_to_waiting(row),
            (StateName::Released, Goal::Memory(copy)) => self.released_to_memory(row, copy),
            (StateName::Released, Goal::Erred(error)) => self.released_to_erred(row, error),
            (StateName::Released, Goal::Forgotten) => self.released_to_forgotten(row),
            (StateName::Waiting, Goal::Released) => self.waiting_to_released(row),
            (StateName::Waiting, Goal::Queued) => self.waiting_to_queued(row),
            (StateName::Waiting, Goal::NoWorker) => self.waiting_to_no_worker(row),
            (StateName::Waiting, Goal::Processing(on)) => self.waiting_to_processing(row, on),
            (StateName::Waiting, Goal::Erred(error)) => self.waiting_to_erred(row, error),
            (StateName::Queued, Goal::Released) => self.queued_to_released(row),
            (StateName::Queued, Goal::Waiting) => self.queued_to_waiting(row),
            (StateName::Queued, Goal::Queued) => {}
            (StateName::Queued, Goal::NoWorker) => self.queued_to_no_worker(row),
            (StateName::Queued, Goal::Processing(on)) => self.queued_to_processing(row, on),
            (StateName::Queued, Goal::Erred(error)) => self.queued_to_erred(row, error),
            (StateName::NoWorker, Goal::Released) => self.no_worker_to_released(row),
            (StateName::NoWorker, Goal::Waiting) => self.no_worker_to_waiting(row),
            (StateName::NoWorker, Goal::Queued) => self.no_worker_to_queued(row),
            (StateName::NoWorker, Goal::NoWorker) => {}
            (StateName::NoWorker, Goal::Processing(on)) => self.no_worker_to_processing(row, on),
            (StateName::NoWorker, Goal::Erred(error)) => self.no_worker_to_erred(row, error),
            (StateName::Processing, Goal::Released) => self.processing_to_released(row),
            (StateName::Processing, Goal::Waiting) => self.processing_to_waiting(row),
            (StateName::Processing, Goal::Processing(on)) => self.processing_to_processing(row, on),
            (StateName::Processing, Goal::Memory(copy)) => self.processing_to_memory(row, copy),
            (StateName::Processing, Goal::Erred(error)) => self.processing_to_erred(row, error),
            (StateName::Memory, Goal::Released) => self.memory_to_released(row),
            (StateName::Memory, Goal::Erred(error)) => self.memory_to_erred(row, error),
            (StateName::Erred, Goal::Released) => self.erred_to_released(row),
            (StateName::Erred, Goal::Forgotten) => self.erred_to_forgotten(row),
            (from, goal) => self.impossible(row, from, &goal),
        }
    }

    /// Whether a goal no longer applies: what happened since it was recommended overtook it.
    fn is_moot(&self, row: Row, goal: &Goal) -> bool {
        let task = &self.tasks[row];
        match (goal, &task.state) {
            (Goal::Released, TaskState::Released) => true,
            (Goal::Released, TaskState::Memory(holders)) => task.is_wanted() && !holders.is_empty(),
            (Goal::Released, TaskState::Erred { .. }) => false,
            (Goal::Released, _) => task.is_wanted(),
            (Goal::Waiting, TaskState::Released) => !task.is_wanted() || self.is_announced(row),
            (Goal::Waiting, state) => !state.is_active() || state.name() == StateName::Waiting,
            (Goal::Ready, TaskState::Waiting { missing }) => *missing > 0,
            (Goal::Ready, TaskState::Queued | TaskState::NoWorker) => false,
            (Goal::Ready, _) => true,
            (Goal::Erred(_), TaskState::Erred { .. }) => true,
            (Goal::Erred(_), TaskState::Released) => task.spec().is_some(),
            (Goal::Erred(_), TaskState::Memory(holders)) => !holders.is_empty(),
            (Goal::Forgotten, TaskState::Released | TaskState::Erred { .. }) => {
                task.is_wanted() || task.live_dependents > 0
            }
            (Goal::Forgotten, _) => true,
            (Goal::Erred(_), _) => false,
            (Goal::Queued | Goal::NoWorker | Goal::Processing(_) | Goal::Memory(_), _) => false,
        }
    }

    /// A defect of this scheduler: the table has no such edge. The task fails with its story, and
    /// everything else goes on.
    fn impossible(&mut self, row: Row, from: StateName, goal: &Goal) {
        debug_assert!(false, "no transition from {} to {goal:?}", from.as_str());
        let key = self.tasks[row].key.clone();
        let story = self.story(key.as_str()).join("; ");
        let message = format!(
            "the scheduler knows no transition from {} to {goal:?}; the story of the task: {story}",
            from.as_str()
        );
        let error = TaskError::new(TaskErrorKind::Internal, key, message);
        self.fail(row, Arc::new(error));
    }

    /// Puts a task in another state: its place in the indexes, the counts, the story, and what it
    /// needs of its dependencies change with it.
    pub(super) fn set_state(&mut self, row: Row, state: TaskState) {
        let to = state.name();
        let is_active = state.is_active();
        self.leave(row);
        let task = &mut self.tasks[row];
        let old = std::mem::replace(&mut task.state, state);
        task.since = self.since;
        self.enter(row);
        self.errands.touch(row);
        self.counts[old.name() as usize] -= 1;
        self.counts[to as usize] += 1;
        self.patience.has_stirred = true;
        self.record(row, &old, to);
        match (old.is_active(), is_active) {
            (false, true) => self.want_dependencies(row),
            (true, false) => self.unwant_dependencies(row),
            _ => {}
        }
    }

    /// Takes a task out of the index of its state.
    fn leave(&mut self, row: Row) {
        let task = &self.tasks[row];
        match &task.state {
            TaskState::Queued => {
                let place = (task.priority(), row);
                if let Some(function) = task.function() {
                    self.functions.dequeue(function, place);
                }
            }
            TaskState::NoWorker => {
                self.no_worker.remove(&(task.priority(), row));
            }
            TaskState::Processing { worker, .. } => {
                let worker = *worker;
                let (priority, function) = (task.priority(), task.function());
                self.call_off_steal(row);
                if let Some(entry) = self.workers.get_mut(worker) {
                    entry.processing.remove(row);
                    entry.not_stealable(priority, row);
                    if !entry.seceded.remove(row) {
                        function.into_iter().for_each(|f| entry.work.remove(f));
                    }
                    self.rerank(worker);
                }
                self.call_retirement(worker);
            }
            TaskState::Memory(holders) => {
                for worker in holders.iter() {
                    if let Some(entry) = self.workers.get_mut(worker) {
                        entry.has.remove(row);
                        entry.nbytes = entry.nbytes.wrapping_sub(holders.nbytes());
                    }
                }
                self.replicas.clear(row);
            }
            TaskState::Released | TaskState::Waiting { .. } | TaskState::Erred { .. } => {}
        }
    }

    /// Adds a task to the index of its state.
    fn enter(&mut self, row: Row) {
        let task = &self.tasks[row];
        match &task.state {
            TaskState::Queued => {
                let place = (task.priority(), row);
                if let Some(function) = task.function() {
                    self.functions.enqueue(function, place);
                }
            }
            TaskState::NoWorker => {
                self.no_worker.insert((task.priority(), row));
                self.start_patience(row);
            }
            TaskState::Processing { worker, .. } => {
                let worker = *worker;
                let function = task.function();
                let expected = function.map(|f| (f, self.expected_duration(f)));
                if let Some(entry) = self.workers.get_mut(worker) {
                    if entry.processing.is_empty() {
                        entry.progressed(self.now);
                    }
                    entry.processing.insert(row);
                    expected.into_iter().for_each(|(f, each)| entry.work.add(f, each));
                }
                self.add_stealable(row, worker);
                self.rerank(worker);
            }
            TaskState::Memory(holders) => {
                for worker in holders.iter() {
                    if let Some(entry) = self.workers.get_mut(worker) {
                        entry.has.insert(row);
                        entry.nbytes = entry.nbytes.wrapping_add(holders.nbytes());
                    }
                }
            }
            TaskState::Released | TaskState::Waiting { .. } | TaskState::Erred { .. } => {}
        }
    }

    fn want_dependencies(&mut self, row: Row) {
        for i in 0..self.tasks[row].dependencies.len() {
            let dependency = self.tasks[row].dependencies[i];
            self.tasks[dependency].waiters += 1;
        }
    }

    fn unwant_dependencies(&mut self, row: Row) {
        for i in 0..self.tasks[row].dependencies.len() {
            let dependency = self.tasks[row].dependencies[i];
            let task = &mut self.tasks[dependency];
            task.waiters -= 1;
            if task.waiters == 0 {
                self.reconsider(dependency);
            }
        }
    }

    /// Lets go of a task that nobody wants any more.
    pub(super) fn reconsider(&mut self, row: Row) {
        let task = &self.tasks[row];
        if task.is_wanted() {
            return;
        }
        match task.state.name() {
            StateName::Released | StateName::Erred if task.live_dependents > 0 => {}
            StateName::Released | StateName::Erred => self.recommend(row, Goal::Forgotten),
            _ => self.recommend(row, Goal::Released),
        }
    }

    fn record(&mut self, row: Row, old: &TaskState, to: StateName) {
        let task = &self.tasks[row];
        let worker = match (&task.state, old) {
            (TaskState::Processing { worker, .. }, _) => Some(*worker),
            (_, TaskState::Processing { worker, .. }) => Some(*worker),
            (TaskState::Memory(holders), _) => holders.iter().next(),
            _ => None,
        };
        let from = old.name();
        self.moved(row, (from, to), worker);
        let step = match worker {
            Some(worker) => Step::MovedAt { from, to, worker },
            None => Step::Moved { from, to },
        };
        self.record_step(row, step);
    }

    /// Notes in the story of a task what happened to it.
    pub(super) fn record_step(&mut self, row: Row, step: Step) {
        if self.story.stimulus() != self.stimulus {
            let (at, stimulus, cause) = (self.now, self.stimulus, self.cause);
            self.story.occur(Occasion { at, stimulus, cause });
        }
        self.story.push(self.tasks.id(row), step);
    }

    /// The end of every edge to waiting: counts what is missing and has it computed.
    fn wait_for_dependencies(&mut self, row: Row) {
        self.set_state(row, TaskState::Waiting { missing: 0 });
        let mut count = 0;
        let mut failure = None;
        for i in 0..self.tasks[row].dependencies.len() {
            let dependency = self.tasks[row].dependencies[i];
            match &self.tasks[dependency].state {
                TaskState::Memory(_) => continue,
                TaskState::Erred { error } => failure = failure.or_else(|| Some(error.clone())),
                TaskState::Released => self.recommend(dependency, Goal::Waiting),
                _ => {}
            }
            count += 1;
        }
        if let TaskState::Waiting { missing } = &mut self.tasks[row].state {
            *missing = count;
        }
        if let Some(error) = failure {
            self.recommend(row, Goal::Erred(error));
        } else if count == 0 {
            self.recommend(row, Goal::Ready);
        }
    }

    /// The end of every edge to released: starts anew, or leaves the table, where that is due.
    fn release(&mut self, row: Row) {
        self.set_state(row, TaskState::Released);
        if self.tasks[row].is_wanted() {
            self.recommend(row, Goal::Waiting);
        } else {
            self.reconsider(row);
        }
    }

    /// The end of every edge to memory: tells those who hold it, and wakes those who wait for it.
    fn arrive(&mut self, row: Row, copy: Copy) {
        let value = copy.value.as_ref().and_then(Payload::as_bytes);
        let small = value.and_then(SmallValue::new);
        let copies = Copies::new(copy.worker, copy.nbytes, small);
        self.set_state(row, TaskState::Memory(copies));
        // It may be that a copy of an earlier result was to get there.
        self.copy_arrived(row, copy.worker);
        self.announce_memory(row, copy.value);
        if self.tasks[row].waiters > 0 {
            self.for_dependents(row, |state, dependent| {
                if let TaskState::Waiting { missing } = &mut state.tasks[dependent].state {
                    *missing -= 1;
                    if *missing == 0 {
                        state.recommend(dependent, Goal::Ready);
                    }
                }
            });
        }
        let task = &mut self.tasks[row];
        task.fired = false;
        task.clear_beside();
        self.reconsider(row);
    }

    /// The end of every edge to erred: tells those who hold it, and fails those who wait for it.
    fn fail(&mut self, row: Row, error: Arc<TaskError>) {
        if self.tasks[row].waiters > 0 {
            self.for_dependents(row, |state, dependent| {
                if state.tasks[dependent].state.is_active() {
                    state.recommend(dependent, Goal::Erred(error.clone()));
                }
            });
        }
        self.announce_erred(row, &error);
        self.set_state(row, TaskState::Erred { error });
        self.tasks[row].fired = false;
        self.reconsider(row);
    }

    /// The end of every edge to forgotten: the dependencies may be forgotten too.
    fn forget(&mut self, row: Row) {
        self.forget_items(row);
        self.unfetched.forget(row);
        self.forget_carried(row);
        let state = std::mem::replace(&mut self.tasks[row].state, TaskState::Released);
        self.counts[state.name() as usize] -= 1;
        self.record(row, &state, StateName::Forgotten);
        let id = self.tasks.id(row);
        if let Some((key, dependencies)) = self.tasks.remove(row) {
            self.story.end(id, key);
            for dependency in dependencies.iter().copied() {
                self.tasks.forget_dependent(dependency);
                self.reconsider(dependency);
            }
        }
    }

    /// Does something for each dependent that is known, as often as it is one.
    pub(super) fn for_dependents(&mut self, row: Row, mut act: impl FnMut(&mut Self, Row)) {
        // The list is put back whole: nothing becomes or ceases to be a dependent meanwhile.
        let dependents = std::mem::take(&mut self.tasks[row].dependents);
        for id in dependents.iter() {
            if let Some(dependent) = self.tasks.row(*id) {
                act(self, dependent);
            }
        }
        self.tasks[row].dependents = dependents;
    }
}
