//! What a worker was told of its peers, and what became of asking them.

use std::collections::BTreeMap;

use dask_proto::Address;
use dask_proto::id::{TaskId, WorkerId};
use dask_proto::message::{Dependency, SchedulerToWorker};
use dask_worker::state::FlightId;

/// Events of a worker, counted.
type Count = u64;

/// The memory of one process.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    heard: Count,
    peers: BTreeMap<WorkerId, Address>,
    /// When a peer was last named as the holder of a result.
    named: BTreeMap<(TaskId, WorkerId), Count>,
    flights: BTreeMap<FlightId, Address>,
    /// When a peer was last found out of reach.
    failed: BTreeMap<Address, Count>,
}

impl Memo {
    /// Another event.
    pub(crate) fn begin(&mut self) {
        self.heard += 1;
    }

    /// The scheduler said something.
    pub(crate) fn said(&mut self, message: &SchedulerToWorker) {
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
            for holder in &dependency.holders {
                self.named.insert((dependency.task, *holder), self.heard);
            }
        }
    }

    /// A fetch failed.
    pub(crate) fn failed(&mut self, flight: FlightId) {
        if let Some(address) = self.flights.get(&flight) {
            self.failed.insert(address.clone(), self.heard);
        }
    }

    /// The worker gives a peer up.
    pub(crate) fn gave_up(&mut self, address: &Address) {
        self.failed.insert(address.clone(), self.heard);
    }

    /// The worker asks a peer. One that was found out of reach is asked only for what the
    /// scheduler has said since that it holds.
    pub(crate) fn asks(&mut self, flight: FlightId, address: &Address, tasks: &[TaskId]) {
        self.flights.insert(flight, address.clone());
        let Some(failed) = self.failed.get(address) else {
            return;
        };
        let mut ids = self.peers.iter().filter(|(_, known)| *known == address);
        // Where two processes had the address one after the other, only one of them failed.
        if let (Some((id, _)), None) = (ids.next(), ids.next()) {
            for task in tasks {
                let named = self.named.get(&(*task, *id));
                assert!(
                    named.is_some_and(|named| named > failed),
                    "{id} is out of reach, and is asked for {task} all the same"
                );
            }
        }
    }
}
