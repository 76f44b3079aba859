use std::sync::Arc;

use dask_proto::TaskError;
use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

impl SchedulerState {
    /// Nobody wants it any more.
    pub(super) fn no_worker_to_released(&mut self, row: Row) {
        self.release(row);
    }

    /// A dependency was lost.
    pub(super) fn no_worker_to_waiting(&mut self, row: Row) {
        self.wait_for_dependencies(row);
    }

    /// Workers joined, and it is one of many that can run anywhere.
    pub(super) fn no_worker_to_queued(&mut self, row: Row) {
        self.set_state(row, TaskState::Queued);
    }

    /// A worker joined that may run it.
    pub(super) fn no_worker_to_processing(&mut self, row: Row, worker: WorkerId) {
        self.assign(row, worker);
    }

    /// A worker joined, and it does not have the function; or a dependency was lost for good.
    pub(super) fn no_worker_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.fail(row, error);
    }
}
