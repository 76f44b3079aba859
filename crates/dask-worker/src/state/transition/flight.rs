use dask_proto::Payload;
use dask_proto::id::TaskId;
use dask_proto::message::Compute;

use crate::state::WorkerState;
use crate::state::instruction::Instructions;

impl WorkerState {
    /// It arrived, came with a task that needs it, or a client put it here.
    pub(super) fn flight_to_memory(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        self.remember(task, value, nbytes, out);
    }

    /// The peer did not have it.
    pub(super) fn flight_to_fetch(&mut self, task: TaskId) {
        self.await_fetch(task);
    }

    /// Nothing here needs it any more, unless something came to need it since that was found; what
    /// arrives is dropped.
    pub(super) fn flight_to_released(&mut self, task: TaskId) {
        if !self.is_needed(task) {
            self.release(task);
        }
    }

    /// It is to be computed here instead; what arrives is dropped.
    pub(super) fn flight_to_waiting(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        self.assign(compute, out);
    }
}
