use dask_proto::Payload;
use dask_proto::id::TaskId;
use dask_proto::map::SmallSet;
use dask_proto::message::Compute;

use crate::state::WorkerState;
use crate::state::instruction::{FlightId, Instructions};
use crate::state::task::TaskState;

impl WorkerState {
    /// A peer is asked for it.
    pub(super) fn fetch_to_flight(&mut self, task: TaskId, flight: FlightId) {
        self.unlist(task);
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.state = TaskState::Flight(flight);
        }
    }

    /// Its holders or its urgency changed.
    pub(super) fn fetch_to_fetch(&mut self, task: TaskId) {
        self.unlist(task);
        self.await_fetch(task);
    }

    /// Nothing here needs it any more, unless something came to need it since that was found.
    pub(super) fn fetch_to_released(&mut self, task: TaskId) {
        if !self.is_needed(task) {
            self.unlist(task);
            self.release(task);
        }
    }

    pub(super) fn is_needed(&self, task: TaskId) -> bool {
        let entry = self.tasks.get(&task);
        entry.is_some_and(|entry| entry.is_needed())
    }

    /// It is to be computed here instead.
    pub(super) fn fetch_to_waiting(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        self.unlist(compute.task);
        self.assign(compute, out);
    }

    /// A client put it here, or it came with a task that needs it.
    pub(super) fn fetch_to_memory(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        self.unlist(task);
        self.remember(task, value, nbytes, out);
    }

    /// What was to be fetched is to be computed.
    pub(super) fn assign(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        if let Some(entry) = self.tasks.get_mut(&compute.task) {
            entry.state = TaskState::Released;
            // Who had it does not count any more. Should it be taken back, nobody is asked who may
            // be found out of reach until then.
            entry.holders = SmallSet::Empty;
        }
        if self.is_running(compute.task) {
            self.released_to_resumed(compute);
        } else {
            self.released_to_waiting(compute, out);
        }
    }
}
