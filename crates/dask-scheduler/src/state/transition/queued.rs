use std::sync::Arc;

use dask_proto::TaskError;
use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

impl SchedulerState {
    /// Nobody wants it any more.
    pub(super) fn queued_to_released(&mut self, row: Row) {
        self.release(row);
    }

    /// A dependency was lost.
    pub(super) fn queued_to_waiting(&mut self, row: Row) {
        self.wait_for_dependencies(row);
    }

    /// The last worker left.
    pub(super) fn queued_to_no_worker(&mut self, row: Row) {
        self.set_state(row, TaskState::NoWorker);
    }

    /// A worker has room.
    pub(super) fn queued_to_processing(&mut self, row: Row, worker: WorkerId) {
        self.assign(row, worker);
    }

    /// The last worker with the function left, or a dependency was lost for good.
    pub(super) fn queued_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.fail(row, error);
    }
}
