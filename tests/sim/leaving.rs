//! Workers that retire: they get no more tasks, and leave nothing behind that only they had.

use std::collections::BTreeSet;

use dask_proto::id::{TaskId, WorkerId};
use dask_proto::message::{ClientToScheduler, Request, SchedulerToWorker, WorkerToScheduler};
use dask_scheduler::state::{Event, Peer, SchedulerState};

use crate::sim::Sim;

/// How things were before an event of the scheduler, as far as workers retire or are about to.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    retiring: BTreeSet<WorkerId>,
    copies: BTreeSet<(WorkerId, TaskId)>,
}

impl Leaving {
    pub(crate) fn before(event: &Event, sim: &Sim) -> Self {
        let state = &sim.desk.state;
        let workers = sim.desk.workers.keys().map(|peer| WorkerId(*peer));
        let retiring: BTreeSet<WorkerId> = workers.filter(|w| state.is_retiring(*w)).collect();
        if retiring.is_empty() && !asks_to_retire(event) {
            return Self::default();
        }
        if reports_loss(event) {
            return Self { retiring, copies: BTreeSet::new() };
        }
        let copies = state.replicas().map(|(task, worker)| (worker, task)).collect();
        Self { retiring, copies }
    }

    /// One that was to leave before an event and still is gets no task by it.
    pub(crate) fn gets_no_tasks(
        &self,
        worker: WorkerId,
        message: &SchedulerToWorker,
        state: &SchedulerState,
    ) {
        let is_task = matches!(message, SchedulerToWorker::Compute(_));
        let is_leaving = self.retiring.contains(&worker) && state.is_retiring(worker);
        assert!(!is_task || !is_leaving, "{worker} is to leave, and is given {message:?}");
    }

    /// What the scheduler counted on at a worker that was retired is still in memory, unless
    /// nobody wants it any more.
    pub(crate) fn left_nothing_behind(&self, peer: Peer, reason: &str, state: &SchedulerState) {
        let Peer::Worker(worker) = peer else {
            return;
        };
        if reason != "the worker was retired" {
            return;
        }
        let all = (worker, TaskId(0))..=(worker, TaskId(u64::MAX));
        for (_, task) in self.copies.range(all) {
            let now = state.known(*task).map(|(_, now)| now);
            let is_safe = matches!(now, None | Some("memory" | "released"));
            assert!(is_safe, "{worker} was retired with {task}, which is {now:?} now");
        }
    }
}

/// Whether copies are not there that were counted on.
fn reports_loss(event: &Event) -> bool {
    match event {
        Event::ClientSaid { messages, .. } => {
            messages.iter().any(|m| matches!(m, ClientToScheduler::MissingData { .. }))
        }
        Event::WorkerSaid { messages, .. } => messages.iter().any(|message| {
            matches!(
                message,
                WorkerToScheduler::MissingDependencies { .. } | WorkerToScheduler::Lost { .. }
            )
        }),
        _ => false,
    }
}

fn asks_to_retire(event: &Event) -> bool {
    let Event::ClientSaid { messages, .. } = event else {
        return false;
    };
    messages.iter().any(|message| {
        matches!(message, ClientToScheduler::Request { request: Request::RetireWorkers { .. }, .. })
    })
}
