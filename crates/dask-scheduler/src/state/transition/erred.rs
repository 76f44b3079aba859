use crate::state::SchedulerState;
use crate::state::instruction::Again;
use crate::state::table::task::Row;

impl SchedulerState {
    /// A client asked to try again, or scatters lost data anew.
    pub(super) fn erred_to_released(&mut self, row: Row) {
        self.announce_pending(row, Again::Retried);
        self.tasks[row].clear_deaths();
        self.release(row);
    }

    /// Nobody wants it, and nobody depends on it.
    pub(super) fn erred_to_forgotten(&mut self, row: Row) {
        self.forget(row);
    }
}
