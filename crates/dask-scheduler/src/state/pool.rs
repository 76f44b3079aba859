//! Threads of workers: tasks that leave them and come back, and those that hold on to them although
//! they were cancelled.

use dask_proto::id::WorkerId;

use super::SchedulerState;
use super::task::{Row, TaskState};

impl SchedulerState {
    /// A task left its worker's pool of threads: it keeps none busy.
    pub(super) fn long_running(&mut self, row: Row) {
        let TaskState::Processing { worker, expected, seceded } = &mut self.tasks[row].state else {
            return;
        };
        if std::mem::replace(seceded, true) {
            return;
        }
        let (worker, expected) = (*worker, *expected);
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.seceded.insert(row);
            entry.occupancy = entry.occupancy.wrapping_sub(expected);
            self.rerank(worker);
        }
    }

    /// A task that had left is back on a thread. How much it has still to do is not known: it
    /// counts as if it had just begun.
    pub(super) fn rejoined(&mut self, row: Row) {
        let TaskState::Processing { worker, expected, seceded } = &mut self.tasks[row].state else {
            return;
        };
        if !std::mem::replace(seceded, false) {
            return;
        }
        let (worker, expected) = (*worker, *expected);
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.seceded.remove(&row);
            entry.occupancy = entry.occupancy.wrapping_add(expected);
            self.rerank(worker);
        }
    }

    /// So many threads of a worker are busy with cancelled tasks.
    pub(super) fn lingering(&mut self, worker: WorkerId, runs: u32) {
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.lingering = runs.min(entry.join.nthreads);
            self.rerank(worker);
        }
    }
}
