use dask_proto::id::TaskId;

use crate::state::WorkerState;
use crate::state::instruction::{Instruction, Instructions};

impl WorkerState {
    /// The scheduler wants no copy here, or it cannot be read back from disk; what has not started
    /// and needs it waits again.
    pub(super) fn memory_to_released(&mut self, task: TaskId, out: &mut Instructions) {
        let nbytes = self.tasks.get(&task).map_or(0, |entry| entry.nbytes);
        self.memory.dropped(task, nbytes);
        out.act(Instruction::Drop { task });
        self.withhold(task);
        self.release(task);
    }
}
