use dask_proto::TaskError;
use dask_proto::id::TaskId;
use dask_proto::message::WorkerToScheduler;

use crate::state::WorkerState;
use crate::state::instruction::Instructions;
use crate::state::resources::Requirement;
use crate::state::task::TaskState;

impl WorkerState {
    /// Its last dependency is here: it stands in line for a thread, and for abstract resources if
    /// it needs any (Dask's `constrained`).
    pub(super) fn waiting_to_ready(&mut self, task: TaskId, out: &mut Instructions) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let compute = match std::mem::take(&mut entry.state) {
            TaskState::Waiting { compute, missing: 0 } => compute,
            // A dependency went away again.
            state => {
                entry.state = state;
                return;
            }
        };
        let Ok(requirement) = self.resources.requirement(&compute.resources) else {
            entry.state = TaskState::Waiting { compute, missing: 0 };
            return self.fail_defective(task, out);
        };
        self.resources.enqueue(requirement, compute.priority, task);
        entry.state = if requirement == Requirement::NONE {
            TaskState::Ready { compute }
        } else {
            TaskState::Constrained { compute, requirement }
        };
    }

    /// The scheduler took it back, or it was given back.
    pub(super) fn waiting_to_released(&mut self, task: TaskId) {
        if let Some(compute) = self.take_compute(task) {
            self.let_go(&compute);
        }
    }

    /// A dependency cannot be had in a form that travels.
    pub(super) fn waiting_to_error(
        &mut self,
        task: TaskId,
        error: Box<TaskError>,
        out: &mut Instructions,
    ) {
        if let Some(compute) = self.take_compute(task) {
            self.let_go(&compute);
            let run = compute.run;
            out.tell(WorkerToScheduler::Erred { task, run, error });
        }
    }
}
