//! What a worker was told of its peers, and what became of asking them.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Address;
use dask_proto::id::{TaskId, WorkerId};
use dask_proto::message::{Dependency, SchedulerToWorker};
use dask_worker::state::{Event, FlightId, Stage, WorkerState};

/// The memory of one process.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    peers: BTreeMap<WorkerId, Address>,
    flights: BTreeMap<FlightId, Address>,
    /// The results that were to be fetched before the event that is handled now.
    wanted: Vec<TaskId>,
    /// What peers that were out of reach would have been asked for, until the scheduler names them
    /// again.
    refused: BTreeSet<(TaskId, WorkerId)>,
}

impl Memo {
    /// The worker is about to handle an event.
    pub(crate) fn begin(&mut self, event: &Event, state: &WorkerState) {
        self.wanted.clear();
        match event {
            Event::SchedulerSaid(messages) => messages.iter().for_each(|m| self.said(m)),
            Event::FetchFailed { flight } => {
                self.wanted = wanted(state);
                if let Some(address) = self.flights.get(flight).cloned() {
                    self.gave_up(&address);
                }
            }
            Event::Timeout => self.wanted = wanted(state),
            _ => {}
        }
    }

    fn said(&mut self, message: &SchedulerToWorker) {
        match message {
            SchedulerToWorker::Peer { id, address } => {
                self.peers.insert(*id, address.clone());
            }
            SchedulerToWorker::Compute(compute) => self.name(&compute.dependencies),
            SchedulerToWorker::Acquire { dependencies } => self.name(dependencies),
            _ => {}
        }
    }

    fn name(&mut self, dependencies: &[Dependency]) {
        for dependency in dependencies {
            for holder in dependency.holders.iter() {
                self.refused.remove(&(dependency.task, *holder));
            }
        }
    }

    /// The worker gives a peer up.
    pub(crate) fn gave_up(&mut self, address: &Address) {
        if let Some(id) = self.only_one_at(address) {
            self.refused.extend(self.wanted.iter().map(|task| (*task, id)));
        }
    }

    /// The worker asks a peer. One that was out of reach is not asked for what was wanted then,
    /// before the scheduler has said again that it holds that.
    pub(crate) fn asks(&mut self, flight: FlightId, address: &Address, tasks: &[TaskId]) {
        self.flights.insert(flight, address.clone());
        if let Some(id) = self.only_one_at(address) {
            for task in tasks {
                let is_refused = self.refused.contains(&(*task, id));
                assert!(!is_refused, "{id} is out of reach, and is asked for {task} all the same");
            }
        }
    }

    /// The process at an address. Where two had it one after the other, only one of them failed.
    fn only_one_at(&self, address: &Address) -> Option<WorkerId> {
        let mut ids = self.peers.iter().filter(|(_, known)| *known == address);
        let (id, _) = ids.next()?;
        ids.next().is_none().then_some(*id)
    }
}

/// The results that a worker is to fetch or fetches.
fn wanted(state: &WorkerState) -> Vec<TaskId> {
    // An assignment that waits for an earlier run to end names holders as they were when it came.
    if state.stages().any(|(_, stage)| stage == Stage::Resumed) {
        return Vec::new();
    }
    let wanted = state.stages().filter(|(_, s)| matches!(s, Stage::Fetch | Stage::Flight));
    wanted.map(|(task, _)| task).collect()
}
