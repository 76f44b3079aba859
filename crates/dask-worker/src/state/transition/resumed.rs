use dask_proto::id::TaskId;

use crate::state::WorkerState;
use crate::state::instruction::Instructions;
use crate::state::task::TaskState;

impl WorkerState {
    /// The run that was cancelled is over: the new one may begin.
    pub(super) fn resumed_to_waiting(&mut self, task: TaskId, out: &mut Instructions) {
        if self.is_running(task) {
            return;
        }
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        match std::mem::take(&mut entry.state) {
            TaskState::Resumed { compute } => self.released_to_waiting(compute, out),
            state => entry.state = state,
        }
    }

    /// The scheduler took it back.
    pub(super) fn resumed_to_released(&mut self, task: TaskId) {
        self.take_compute(task);
    }
}
