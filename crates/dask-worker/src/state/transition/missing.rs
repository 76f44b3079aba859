use dask_proto::Payload;
use dask_proto::id::TaskId;
use dask_proto::message::Compute;

use crate::state::WorkerState;
use crate::state::instruction::Instructions;

impl WorkerState {
    /// The scheduler named another holder.
    pub(super) fn missing_to_fetch(&mut self, task: TaskId) {
        self.missing.remove(&task);
        self.await_fetch(task);
    }

    /// Nothing here needs it any more.
    pub(super) fn missing_to_released(&mut self, task: TaskId) {
        self.missing.remove(&task);
        self.release(task);
    }

    /// It is to be computed here instead.
    pub(super) fn missing_to_waiting(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        self.missing.remove(&compute.task);
        self.assign(compute, out);
    }

    /// A client put it here, or it came with a task that needs it.
    pub(super) fn missing_to_memory(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        self.missing.remove(&task);
        self.remember(task, value, nbytes, out);
    }
}
