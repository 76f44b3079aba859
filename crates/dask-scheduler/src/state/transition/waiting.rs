use std::sync::Arc;

use dask_proto::TaskError;
use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

impl SchedulerState {
    /// Nobody wants it any more.
    pub(super) fn waiting_to_released(&mut self, row: Row) {
        self.release(row);
    }

    /// It could run, and is one of many that can run anywhere: it waits for room.
    pub(super) fn waiting_to_queued(&mut self, row: Row) {
        self.set_state(row, TaskState::Queued);
    }

    /// It could run, and no worker is there that may run it.
    pub(super) fn waiting_to_no_worker(&mut self, row: Row) {
        self.set_state(row, TaskState::NoWorker);
    }

    /// A worker was chosen.
    pub(super) fn waiting_to_processing(&mut self, row: Row, worker: WorkerId) {
        self.assign(row, worker);
    }

    /// A dependency failed, or no worker has the function.
    pub(super) fn waiting_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.fail(row, error);
    }
}
