use std::sync::Arc;

use dask_proto::TaskError;
use dask_proto::id::{RunId, WorkerId};

use super::Copy;
use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

impl SchedulerState {
    /// Nobody wants it any more: the worker is told to stop.
    pub(super) fn processing_to_released(&mut self, row: Row) {
        self.free_at_worker(row);
        self.release(row);
    }

    /// It has to run again: its worker left, could not fetch a dependency, or the function failed
    /// and may be retried; or a dependency was lost, and if this worker had a copy it would count.
    pub(super) fn processing_to_waiting(&mut self, row: Row) {
        self.free_at_worker(row);
        self.wait_for_dependencies(row);
    }

    /// Its worker gave it back for another that is idle.
    pub(super) fn processing_to_processing(&mut self, row: Row, worker: WorkerId) {
        self.assign(row, worker);
    }

    /// It is done.
    pub(super) fn processing_to_memory(&mut self, row: Row, copy: Copy) {
        self.arrive(row, copy);
    }

    /// It failed, or killed its worker, or a dependency was lost for good.
    pub(super) fn processing_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.free_at_worker(row);
        self.fail(row, error);
    }

    /// Tells the worker to forget the task, if it is still there. Also where the worker reported
    /// that it is through with it: what the worker keeps until then is its own affair.
    ///
    /// The task lives on and may be in memory elsewhere soon. If it was in memory before, the
    /// worker may have said that it fetched a copy then, and that word be on its way: so such a
    /// copy counts no more until the worker confirms that it has none. Nothing of the kind can be
    /// on its way during the first attempt, and there nothing is confirmed.
    fn free_at_worker(&mut self, row: Row) {
        if let TaskState::Processing { worker, .. } = &self.tasks[row].state {
            let worker = *worker;
            if self.tasks[row].run > RunId(1) {
                self.tell_to_remove(row, worker);
            } else {
                self.free(worker, self.tasks.id(row));
            }
        }
    }
}
