use dask_proto::id::TaskId;
use dask_proto::map::SmallSet;
use dask_proto::message::{Compute, WorkerToScheduler};
use dask_proto::{Payload, TaskError, TaskErrorKind};

use super::Next;
use crate::state::WorkerState;
use crate::state::instruction::{Instruction, Instructions};
use crate::state::task::TaskState;

impl WorkerState {
    /// The scheduler assigned it: its dependencies are called for.
    pub(super) fn released_to_waiting(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        let task = compute.task;
        if let Err(error) = self.admissible(&compute) {
            let run = compute.run;
            out.tell(WorkerToScheduler::Erred { task, run, error });
            return self.release(task);
        }
        let missing = self.require(&compute, out);
        if missing == 0 {
            self.work.push_back((task, Next::Ready));
        }
        let entry = self.tasks.get_or_default(task);
        entry.state = TaskState::Waiting { compute, missing };
    }

    /// The scheduler assigned it, and an earlier run of it still goes on.
    pub(super) fn released_to_resumed(&mut self, compute: Box<Compute>) {
        let entry = self.tasks.get_or_default(compute.task);
        entry.state = TaskState::Resumed { compute };
    }

    /// Its result is needed here.
    pub(super) fn released_to_fetch(&mut self, task: TaskId) {
        self.await_fetch(task);
    }

    /// A client put it here, or it came with a task that needs it.
    pub(super) fn released_to_memory(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        self.remember(task, value, nbytes, out);
    }

    /// Holds a result.
    pub(super) fn remember(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        let entry = self.tasks.get_or_default(task);
        entry.state = TaskState::Memory;
        entry.nbytes = nbytes;
        entry.holders = SmallSet::Empty;
        entry.failed = SmallSet::Empty;
        entry.acquired = false;
        self.memory.stored(task, nbytes);
        out.act(Instruction::Store { task, value });
        self.supply(task);
    }

    /// Puts a result in the lines of its holders; without any it is missing.
    pub(super) fn await_fetch(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if entry.holders.is_empty() {
            entry.state = TaskState::Missing;
            self.missing.insert(task);
        } else {
            entry.state = TaskState::Fetch;
            self.gather.add((entry.priority, task), &entry.holders);
        }
    }

    /// What the scheduler cannot mean.
    fn admissible(&mut self, compute: &Compute) -> Result<(), Box<TaskError>> {
        let key = || compute.key.clone();
        if compute.dependencies.iter().any(|d| d.task == compute.task) {
            let message = "the task depends on itself";
            let error = TaskError::new(TaskErrorKind::InvalidGraph, key(), message);
            return Err(Box::new(error));
        }
        match self.resources.requirement(&compute.resources) {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::Internal, key(), &error);
                Err(Box::new(error))
            }
        }
    }
}
