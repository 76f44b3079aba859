use std::sync::Arc;

use dask_proto::TaskError;

use super::Copy;
use crate::state::SchedulerState;
use crate::state::table::task::Row;

impl SchedulerState {
    /// Somebody wants it.
    pub(super) fn released_to_waiting(&mut self, row: Row) {
        self.wait_for_dependencies(row);
    }

    /// Scattered data arrived.
    pub(super) fn released_to_memory(&mut self, row: Row, copy: Copy) {
        self.set_scatterer(row, None);
        self.arrive(row, copy);
    }

    /// The client that was to scatter the data left.
    pub(super) fn released_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.set_scatterer(row, None);
        self.fail(row, error);
    }

    /// Nobody wants it, and nobody depends on it.
    pub(super) fn released_to_forgotten(&mut self, row: Row) {
        self.set_scatterer(row, None);
        self.forget(row);
    }
}
