//! Threads of workers: tasks that leave them and come back, and those that hold on to them although
//! they were cancelled.

use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

impl SchedulerState {
    /// A task left its worker's pool of threads: it keeps none busy.
    pub(in crate::state) fn long_running(&mut self, row: Row) {
        let task = &mut self.tasks[row];
        let (priority, function) = (task.priority(), task.function());
        let TaskState::Processing { worker, seceded, .. } = &mut task.state else {
            return;
        };
        if std::mem::replace(seceded, true) {
            return;
        }
        let worker = *worker;
        self.call_off_steal(row);
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.seceded.insert(row);
            entry.not_stealable(priority, row);
            function.into_iter().for_each(|f| entry.work.remove(f));
            entry.progressed(self.now);
            self.rerank(worker);
        }
    }

    /// A task that had left is back on a thread. How much it has still to do is not known: it
    /// counts as if it had just begun.
    pub(in crate::state) fn rejoined(&mut self, row: Row) {
        let task = &mut self.tasks[row];
        let function = task.function();
        let TaskState::Processing { worker, seceded, kept, .. } = &mut task.state else {
            return;
        };
        if !std::mem::replace(seceded, false) {
            return;
        }
        // It runs: nobody needs to ask for it.
        *kept = true;
        let worker = *worker;
        let expected = function.map(|f| (f, self.expected_duration(f)));
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.seceded.remove(row);
            expected.into_iter().for_each(|(f, each)| entry.work.add(f, each));
            self.rerank(worker);
        }
    }

    /// So many threads of a worker are busy with cancelled tasks.
    pub(in crate::state) fn lingering(&mut self, worker: WorkerId, runs: u32) {
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.lingering = runs.min(entry.nthreads);
            self.rerank(worker);
        }
    }
}
