//! Tasks that the scheduler asks back for another worker.

use dask_proto::id::{RunId, TaskId};
use dask_proto::message::WorkerToScheduler;

use super::WorkerState;
use super::instruction::Instructions;
use super::task::TaskState;
use super::transition::Next;

impl WorkerState {
    /// Gives back what has not started, and says of each task whether it did (Dask's
    /// `steal-request` and `steal-response`).
    pub(super) fn steal(&mut self, tasks: Vec<(TaskId, RunId)>, out: &mut Instructions) {
        let (mut given, mut kept) = (Vec::new(), Vec::new());
        for (task, run) in tasks {
            if self.can_give(task, run) {
                self.work.push_back((task, Next::Released));
                self.run_transitions(out);
                given.push((task, run));
            } else {
                kept.push((task, run));
            }
        }
        if !given.is_empty() {
            out.tell(WorkerToScheduler::Given { tasks: given });
        }
        if !kept.is_empty() {
            out.tell(WorkerToScheduler::Kept { tasks: kept });
        }
    }

    /// Whether this attempt waits for its dependencies or for a thread.
    ///
    /// What was handed to the threads ahead of time may be running by now; what waits for a
    /// cancelled run of itself to end stays, as in Dask.
    fn can_give(&self, task: TaskId, run: RunId) -> bool {
        let state = self.tasks.get(&task).map(|entry| &entry.state);
        match state {
            Some(
                TaskState::Waiting { compute, .. }
                | TaskState::Ready { compute }
                | TaskState::Constrained { compute, .. },
            ) => compute.run == run,
            _ => false,
        }
    }
}
