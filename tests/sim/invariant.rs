//! What holds between two events for the cluster as a whole. What holds within each state is in
//! the states: `check_invariants` of each is called after every event of its peer.

use std::collections::BTreeSet;

use dask_proto::id::{TaskId, WorkerId};
use dask_proto::message::{SchedulerToWorker, WorkerJoin, WorkerToScheduler};
use dask_worker::state::{FlightId, Stage, WorkerState};

use crate::book::{self, Page};
use crate::call::Caller;
use crate::desk::Told;
use crate::link::{Down, Link, Up};
use crate::process::{News, Process, RunKey};
use crate::sim::{PeerId, Sim};

/// Clusters with many tasks are looked at as a whole after every so many events: the cost of a
/// look grows with them.
const TASKS_AT_A_LOOK: usize = 64;

impl Sim {
    /// Everything that holds after an event of the scheduler.
    pub(crate) fn check_cluster(&self) {
        let interval = 1 + self.desk.state.tasks() / TASKS_AT_A_LOOK;
        if !self.events.is_multiple_of(interval as u64) {
            return;
        }
        // Among these: reference counts match, occupancy is the sum of what is processing, and
        // what nobody wants is forgotten at once.
        if let Err(violation) = self.desk.state.check_invariants() {
            panic!("{violation}");
        }
        self.a_wanted_key_is_never_forgotten();
        if self.events.is_multiple_of(4) {
            self.copies_are_where_the_scheduler_counts_on_them();
            self.copies_that_are_not_counted_on_are_explained();
            self.what_is_processing_is_under_way();
            self.what_is_fetched_is_under_way();
            self.nothing_waits_for_a_worker_that_is_there();
        }
    }

    /// Every future that a client holds stands for a task, whose state is what the client was told.
    fn a_wanted_key_is_never_forgotten(&self) {
        for ((client, future), (key, told)) in &self.desk.holds {
            let held = self.desk.state.held(*client, *future);
            let state = held.filter(|(of, _)| *of == key).map(|(_, state)| state);
            let agrees = match told {
                Told::Refused => true,
                Told::InMemory => state == Some("memory"),
                Told::Erred => state == Some("erred"),
                Told::Pending => state.is_some_and(|state| {
                    let is_data = key.as_str().starts_with("data");
                    state != "memory" && state != "erred" && (state != "released" || is_data)
                }),
            };
            assert!(
                agrees,
                "{client} holds {key} as {future}, heard that it is {told:?}, and it is {state:?}"
            );
        }
    }

    /// A copy that the scheduler counts on is there, unless its worker is out of reach or has said
    /// that it cannot read it back from disk.
    fn copies_are_where_the_scheduler_counts_on_them(&self) {
        for (task, worker) in self.desk.state.replicas() {
            if let Some((_, state)) = self.in_reach(worker) {
                let link = &self.links[&worker.0];
                assert!(
                    is_here(state, task) || is_reported(link, |m| is_lost(m, task)),
                    "the scheduler counts on {task} at {worker}, where it is {}",
                    state.stage(task)
                );
            }
        }
    }

    /// A copy that the scheduler does not count on is one that it is about to hear of, that its
    /// worker is about to be told to drop, or that it is about to be asked to compute and will
    /// report then.
    fn copies_that_are_not_counted_on_are_explained(&self) {
        for (peer, process) in &self.processes {
            let Some((_, state)) = self.in_reach(WorkerId(*peer)) else {
                continue;
            };
            for (task, _) in state.stages() {
                let is_stray =
                    is_here(state, task) && !self.desk.state.has_copy(task, WorkerId(*peer));
                let link = &self.links[peer];
                assert!(
                    !is_stray
                        || is_reported(link, |message| reports_copy(message, task))
                        || is_told(process, link, |message| concerns(message, task)),
                    "{peer} has a copy of {task} that nobody knows of"
                );
            }
        }
    }

    /// A task that a worker is to compute is on its way there, there, or reported.
    fn what_is_processing_is_under_way(&self) {
        for (task, run, worker) in self.desk.state.assignments() {
            let Some((process, state)) = self.in_reach(worker) else {
                continue;
            };
            let link = &self.links[&worker.0];
            let has_ended = process.ended.iter().any(|e| (e.task, e.run) == (task, run));
            assert!(
                state.run(task) == Some(run)
                    || has_ended
                    || is_told(process, link, |message| assigns(message, (task, run)))
                    || is_reported(link, |message| reports_run(message, (task, run))),
                "the scheduler waits for {run} of {task} on {worker}, where it is {}",
                state.stage(task)
            );
        }
    }

    /// A fetch that a worker waits for is under way, and what it executes is on a thread.
    fn what_is_fetched_is_under_way(&self) {
        let calls = self.calls.values().filter_map(|call| match call.caller {
            Caller::Worker(peer, flight) => Some((peer, flight)),
            _ => None,
        });
        let calls: BTreeSet<(PeerId, FlightId)> = calls.collect();
        for (peer, process) in &self.processes {
            let Some(state) = &process.state else {
                continue;
            };
            let answered = |flight: FlightId| {
                let mut inbox = process.inbox.iter();
                inbox.any(
                    |news| matches!(news, News::Fetched(of, _) | News::Busy(of) if *of == flight),
                )
            };
            for flight in state.flights() {
                let is_under_way = calls.contains(&(*peer, flight)) || answered(flight);
                assert!(is_under_way, "{peer} waits for {flight}, which is over");
            }
            for (task, stage) in state.stages() {
                let runs = matches!(stage, Stage::Executing | Stage::LongRunning);
                let run = state.run(task).filter(|_| runs);
                let is_known = run.is_none_or(|run| {
                    let has_ended = process.ended.iter().any(|e| (e.task, e.run) == (task, run));
                    process.running.contains_key(&(task, run)) || has_ended
                });
                assert!(is_known, "{peer} believes that {task} runs");
            }
        }
    }

    /// A task waits for a worker only while none is there that may run it.
    fn nothing_waits_for_a_worker_that_is_there(&self) {
        for (key, _) in self.desk.state.without_worker() {
            // Which of several has the key is not known here.
            let [page] = *self.book.pages(key) else {
                continue;
            };
            let takes = |worker: &&PeerId| self.desk.state.takes_tasks(WorkerId(**worker));
            let workers = self.desk.workers.iter().filter(|(worker, _)| takes(worker));
            let mut able = workers.map(|(_, join)| join).filter(|join| self.may_run(page, join));
            let able = able.next().map(|join| &join.name);
            assert_eq!(able, None, "{key} waits for a worker, and this one may run it");
        }
    }

    /// A worker that is well and in reach is not given up.
    pub(crate) fn a_worker_in_good_order_is_not_given_up(&self, worker: WorkerId, reason: &str) {
        if !reason.starts_with("nothing was heard") {
            return;
        }
        let well = self.in_reach(worker).filter(|(process, _)| {
            let since = process.thawed.max(process.started);
            !process.is_frozen && self.now.since(since) > self.desk.worker_ttl
        });
        assert!(well.is_none(), "{worker} is well, and the scheduler gave it up: {reason}");
    }

    /// A task is computed where it may be.
    pub(crate) fn restrictions_are_kept(&self, page: Page, slot: usize) {
        let spec = &self.book.specs[page];
        assert!(
            self.has_function(slot, spec.function),
            "{} went to a worker without its function",
            spec.key
        );
        let strict = !spec.options.slots.is_empty() && !spec.options.is_loose;
        assert!(
            !strict || self.is_named(page, slot),
            "{} went to slot {slot}, which its restrictions exclude",
            spec.key
        );
    }

    /// Whether a worker may run a task.
    fn may_run(&self, page: Page, join: &WorkerJoin) -> bool {
        let spec = &self.book.specs[page];
        let options = &spec.options;
        let slot = self.slots.iter().position(|slot| slot.join.name == join.name);
        let is_free = options.slots.is_empty() || options.is_loose;
        join.functions.contains(&book::function(spec.function))
            && (is_free || slot.is_some_and(|slot| self.is_named(page, slot)))
            && (!options.needs_gpu || join.resources.contains_key("GPU"))
    }

    /// Whether a task names this slot among those that it wants.
    fn is_named(&self, page: Page, slot: usize) -> bool {
        let options = &self.book.specs[page].options;
        let here = &self.slots[slot].join.address;
        options.slots.iter().any(|named| {
            let there = &self.slots[*named].join.address;
            *named == slot || (options.by_host && here.host() == there.host())
        })
    }

    /// A worker and its state, if what it and the scheduler say reaches the other.
    fn in_reach(&self, worker: WorkerId) -> Option<(&Process, &WorkerState)> {
        let link = self.links.get(&worker.0)?;
        let process = self.processes.get(&worker.0)?;
        let is_open = !link.up.is_closed() && !link.down.is_closed() && !process.has_ended;
        is_open.then_some((process, process.state.as_ref()?))
    }
}

fn is_here(state: &WorkerState, task: TaskId) -> bool {
    state.stage(task) == Stage::Memory
}

/// Whether a worker has been told something that it has not taken in.
fn is_told(
    process: &Process,
    link: &Link,
    what: impl Fn(&SchedulerToWorker) -> bool + Copy,
) -> bool {
    let read = process.inbox.iter().filter_map(|news| match news {
        News::Said(messages) => Some(messages),
        _ => None,
    });
    let under_way = link.down.under_way().filter_map(|item| match item {
        Down::Worker(messages) => Some(messages),
        _ => None,
    });
    read.chain(under_way).flatten().any(what)
}

/// Whether something that a worker said is on its way to the scheduler.
fn is_reported(link: &Link, what: impl Fn(&WorkerToScheduler) -> bool) -> bool {
    let under_way = link.up.under_way().filter_map(|item| match item {
        Up::Worker(messages) => Some(messages),
        _ => None,
    });
    under_way.flatten().any(what)
}

fn assigns(message: &SchedulerToWorker, run: RunKey) -> bool {
    matches!(message, SchedulerToWorker::Compute(compute) if (compute.task, compute.run) == run)
}

fn concerns(message: &SchedulerToWorker, task: TaskId) -> bool {
    match message {
        SchedulerToWorker::Free { tasks } | SchedulerToWorker::Remove { tasks } => {
            tasks.contains(&task)
        }
        SchedulerToWorker::Compute(compute) => compute.task == task,
        _ => false,
    }
}

fn reports_run(message: &WorkerToScheduler, of: RunKey) -> bool {
    match message {
        WorkerToScheduler::Finished { task, run, .. }
        | WorkerToScheduler::Erred { task, run, .. }
        | WorkerToScheduler::MissingDependencies { task, run, .. }
        | WorkerToScheduler::Rescheduled { task, run }
        | WorkerToScheduler::Dying { task, run, .. } => (*task, *run) == of,
        WorkerToScheduler::Given { tasks } => tasks.contains(&of),
        _ => false,
    }
}

fn is_lost(message: &WorkerToScheduler, copy: TaskId) -> bool {
    matches!(message, WorkerToScheduler::Lost { tasks } if tasks.contains(&copy))
}

fn reports_copy(message: &WorkerToScheduler, of: TaskId) -> bool {
    match message {
        WorkerToScheduler::Finished { task, .. } => *task == of,
        WorkerToScheduler::Added { tasks } => tasks.iter().any(|(task, _)| *task == of),
        WorkerToScheduler::Removed { tasks } | WorkerToScheduler::Lost { tasks } => {
            tasks.contains(&of)
        }
        _ => false,
    }
}
