use std::sync::Arc;

use dask_proto::TaskError;

use super::Goal;
use crate::state::SchedulerState;
use crate::state::instruction::Again;
use crate::state::table::task::{Row, StateName, TaskState};

impl SchedulerState {
    /// Nobody wants it any more, or all its holders are gone. In the second case those who wanted
    /// it wait again.
    pub(super) fn memory_to_released(&mut self, row: Row) {
        self.free_at_holders(row);
        if self.tasks[row].is_wanted() {
            self.announce_pending(row, Again::Lost);
        }
        if self.tasks[row].waiters > 0 {
            self.for_dependents(row, |state, dependent| match &mut state.tasks[dependent].state {
                TaskState::Waiting { missing } => *missing += 1,
                other if other.is_active() => state.recommend(dependent, Goal::Waiting),
                _ => {}
            });
        }
        self.release(row);
    }

    /// Scattered data was lost.
    pub(super) fn memory_to_erred(&mut self, row: Row, error: Arc<TaskError>) {
        self.free_at_holders(row);
        // Those that wait for other data counted this as present, and are about to fail with it.
        self.for_dependents(row, |state, dependent| {
            if let TaskState::Waiting { missing } = &mut state.tasks[dependent].state {
                *missing += 1;
            }
        });
        self.fail(row, error);
    }

    fn free_at_holders(&mut self, row: Row) {
        debug_assert_eq!(self.tasks[row].state.name(), StateName::Memory);
        let Self { tasks, workers, out, .. } = self;
        for worker in tasks[row].holders().into_iter().flat_map(|holders| holders.iter()) {
            if workers.get(worker).is_some() {
                out.free(worker, tasks.id(row));
            }
        }
    }
}
