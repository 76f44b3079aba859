//! Accounts of what crossed the links: which attempts at which tasks were given to whom, and which
//! of them were accepted.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::{RunId, TaskId, WorkerId};
use dask_proto::message::{SchedulerToWorker, WorkerToScheduler};
use dask_scheduler::state::SchedulerState;

use crate::process::RunKey;
use crate::sim::PeerId;

/// The accounts of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What each worker was told to compute and neither took back nor reported.
    given: BTreeMap<(PeerId, TaskId), RunId>,
    /// Whom a task was given to last.
    latest: BTreeMap<TaskId, (PeerId, RunId)>,
    /// The runs that came to a result which nobody had cancelled.
    completed: BTreeSet<(PeerId, RunKey)>,
    /// The runs whose results were taken in.
    accepted: BTreeSet<RunKey>,
}

impl Ledger {
    /// A run gave a result.
    pub(crate) fn completed(&mut self, peer: PeerId, run: RunKey) {
        self.completed.insert((peer, run));
    }

    /// The scheduler says something to a worker. What it gives to a worker anew it takes back
    /// first: so a worker never has two attempts at one task to make.
    pub(crate) fn told(&mut self, peer: PeerId, message: &SchedulerToWorker) {
        match message {
            SchedulerToWorker::Compute(compute) => {
                let (task, run) = (compute.task, compute.run);
                let earlier = self.given.insert((peer, task), run);
                assert_eq!(earlier, None, "{task} is given to its worker twice, now as {run}");
                let (_, last) = self.latest.insert(task, (peer, run)).unwrap_or_default();
                assert!(
                    last < run || last == RunId(0),
                    "attempt {run} at {task} comes after {last}"
                );
            }
            SchedulerToWorker::Free { tasks } | SchedulerToWorker::Remove { tasks } => {
                for task in tasks {
                    self.given.remove(&(peer, *task));
                }
            }
            _ => {}
        }
    }

    /// The scheduler hears something from a worker; what it may take in, and what it counted on
    /// before.
    pub(crate) fn hears(&mut self, peer: PeerId, message: &WorkerToScheduler) {
        let over: &[(TaskId, RunId)] = match message {
            WorkerToScheduler::Finished { task, run, .. }
            | WorkerToScheduler::Erred { task, run, .. }
            | WorkerToScheduler::Rescheduled { task, run }
            | WorkerToScheduler::MissingDependencies { task, run, .. } => &[(*task, *run)],
            WorkerToScheduler::Given { tasks } => tasks,
            _ => &[],
        };
        for (task, run) in over {
            if self.given.get(&(peer, *task)) == Some(run) {
                self.given.remove(&(peer, *task));
            }
        }
    }

    /// The results in a batch that the scheduler does not count on yet.
    pub(crate) fn news(
        peer: PeerId,
        batch: &[WorkerToScheduler],
        state: &SchedulerState,
    ) -> Vec<(RunKey, u64)> {
        let finished = batch.iter().filter_map(|message| match message {
            WorkerToScheduler::Finished { task, run, duration_ns, .. } => {
                Some(((*task, *run), *duration_ns))
            }
            _ => None,
        });
        finished.filter(|((task, _), _)| !state.has_copy(*task, WorkerId(peer))).collect()
    }

    /// At most one live run of a task is accepted: the latest, once, from the worker that has it,
    /// and only if it really ran there to its end.
    pub(crate) fn at_most_one_live_run_is_accepted(
        &mut self,
        peer: PeerId,
        news: Vec<(RunKey, u64)>,
        state: &SchedulerState,
    ) {
        for (run, duration_ns) in news {
            if !state.has_copy(run.0, WorkerId(peer)) {
                continue;
            }
            let latest = self.latest.get(&run.0);
            assert_eq!(latest, Some(&(peer, run.1)), "{run:?} was accepted and is not the latest");
            assert!(self.accepted.insert(run), "{run:?} was accepted twice");
            let did_run = duration_ns == 0 || self.completed.contains(&(peer, run));
            assert!(did_run, "{run:?} was accepted and never ended");
        }
    }

    /// What a worker could not have from its holders, in the attempt that counts.
    pub(crate) fn missed(
        peer: PeerId,
        batch: &[WorkerToScheduler],
        state: &SchedulerState,
    ) -> Vec<(TaskId, WorkerId)> {
        // Whatever else takes an attempt back may have taken back this one.
        let first = batch.iter().find(|message| {
            !matches!(
                message,
                WorkerToScheduler::Added { .. }
                    | WorkerToScheduler::Finished { .. }
                    | WorkerToScheduler::Heartbeat(_)
                    | WorkerToScheduler::Logged { .. }
            )
        });
        let Some(WorkerToScheduler::MissingDependencies { task, run, missing }) = first else {
            return Vec::new();
        };
        let is_current = |it: (TaskId, RunId, WorkerId)| it == (*task, *run, WorkerId(peer));
        let others = missing.iter().filter(|(_, holder)| holder.0 != peer).copied();
        if state.assignments().any(is_current) { others.collect() } else { Vec::new() }
    }

    /// What could not be had from a holder is not counted on there, until the holder says that it
    /// has it.
    pub(crate) fn what_is_missed_is_not_counted_on(
        missed: Vec<(TaskId, WorkerId)>,
        state: &SchedulerState,
    ) {
        for (task, holder) in missed {
            let counts = state.has_copy(task, holder);
            assert!(!counts, "{task} could not be had from {holder}, which is counted on still");
        }
    }

    /// A worker is gone.
    pub(crate) fn lost(&mut self, peer: PeerId) {
        let all = (peer, TaskId(0))..=(peer, TaskId(u64::MAX));
        let gone: Vec<_> = self.given.range(all).map(|(key, _)| *key).collect();
        for key in gone {
            self.given.remove(&key);
        }
    }
}
