use dask_proto::id::TaskId;
use dask_proto::message::Compute;

use crate::state::WorkerState;
use crate::state::instruction::{Instruction, Instructions};
use crate::state::resources::Requirement;
use crate::state::task::{Run, TaskState};

impl WorkerState {
    /// A thread takes it.
    pub(super) fn ready_to_executing(&mut self, task: TaskId, out: &mut Instructions) {
        let requirement = self.leave_line(task);
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        let Some(compute) = std::mem::take(&mut entry.state).into_compute() else {
            return;
        };
        let run = Run {
            id: compute.run,
            function: compute.function,
            requirement,
            cost_ns: self.resources.cost(compute.function),
            seceded: false,
            returning: false,
        };
        self.resources.start(&run);
        self.memory.claim(&compute);
        entry.state = TaskState::Executing(run);
        self.let_go(&compute);
        out.act(Instruction::Execute(compute));
    }

    /// A dependency went away before it started.
    pub(super) fn ready_to_waiting(&mut self, task: TaskId) {
        self.leave_line(task);
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if let Some(compute) = std::mem::take(&mut entry.state).into_compute() {
            let missing = self.absent(&compute);
            if missing == 0 {
                self.work.push_back((task, super::Next::Ready));
            }
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.state = TaskState::Waiting { compute, missing };
            }
        }
    }

    /// The scheduler took it back.
    pub(super) fn ready_to_released(&mut self, task: TaskId) {
        self.leave_line(task);
        self.waiting_to_released(task);
    }

    fn leave_line(&mut self, task: TaskId) -> Requirement {
        let state = self.tasks.get(&task).map(|entry| &entry.state);
        let (priority, line) = match state {
            Some(TaskState::Ready { compute }) => (compute.priority, Requirement::NONE),
            Some(TaskState::Constrained { compute, requirement }) => {
                (compute.priority, *requirement)
            }
            _ => return Requirement::NONE,
        };
        self.resources.withdraw(line, priority, task);
        line
    }

    /// How many distinct dependencies are not here.
    fn absent(&self, compute: &Compute) -> usize {
        let here = |task| {
            let entry = self.tasks.get(task);
            entry.is_some_and(|entry| matches!(entry.state, TaskState::Memory))
        };
        let mut dependencies: Vec<_> = compute.dependencies.iter().map(|d| d.task).collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        dependencies.iter().filter(|task| !here(task)).count()
    }
}
