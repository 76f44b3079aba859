use dask_proto::id::TaskId;
use dask_proto::message::WorkerToScheduler;
use dask_proto::{Payload, TaskError};

use crate::state::WorkerState;
use crate::state::instruction::{Instruction, Instructions};
use crate::state::task::{Run, TaskState};

impl WorkerState {
    /// It left the pool and goes on; its thread counts no more.
    pub(super) fn executing_to_long_running(&mut self, task: TaskId, out: &mut Instructions) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if let TaskState::Executing(mut run) = entry.state {
            self.resources.secede(&mut run);
            entry.state = TaskState::LongRunning(run);
            let run = run.id;
            out.tell(WorkerToScheduler::LongRunning { task, run });
        }
    }

    /// It is back in the pool: a thread was free for it.
    pub(super) fn long_running_to_executing(&mut self, task: TaskId, out: &mut Instructions) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if let TaskState::LongRunning(mut run) = entry.state {
            self.resources.rejoin(&mut run);
            entry.state = TaskState::Executing(run);
            let run = run.id;
            out.act(Instruction::Rejoin { task, run });
            out.tell(WorkerToScheduler::Rejoined { task, run });
        }
    }

    /// It is done.
    pub(super) fn executing_to_memory(
        &mut self,
        task: TaskId,
        value: Payload,
        nbytes: u64,
        out: &mut Instructions,
    ) {
        if let Some(run) = self.running(task) {
            self.end(task, &run);
            self.remember(task, value, nbytes, out);
        }
    }

    /// It failed.
    pub(super) fn executing_to_error(
        &mut self,
        task: TaskId,
        error: Box<TaskError>,
        out: &mut Instructions,
    ) {
        if let Some(run) = self.running(task) {
            self.end(task, &run);
            self.release(task);
            let run = run.id;
            out.tell(WorkerToScheduler::Erred { task, run, error });
        }
    }

    /// It could not start, since these inputs cannot be read back from disk: it is given back.
    pub(super) fn executing_to_given_back(
        &mut self,
        task: TaskId,
        lost: &[TaskId],
        out: &mut Instructions,
    ) {
        if let Some(run) = self.running(task) {
            self.end(task, &run);
            self.release(task);
            let (run, own) = (run.id, self.config.id);
            let missing = lost.iter().map(|input| (*input, own)).collect();
            out.tell(WorkerToScheduler::MissingDependencies { task, run, missing });
        }
    }

    /// It asks to be run elsewhere, and is forgotten here.
    pub(super) fn executing_to_rescheduled(&mut self, task: TaskId, out: &mut Instructions) {
        if let Some(run) = self.running(task) {
            self.end(task, &run);
            self.release(task);
            let run = run.id;
            out.tell(WorkerToScheduler::Rescheduled { task, run });
        }
    }

    /// Nobody wants it any more: it runs on, is told, and its result will be dropped (Dask's
    /// `cancelled`).
    pub(super) fn executing_to_released(&mut self, task: TaskId, out: &mut Instructions) {
        if let Some(run) = self.running(task) {
            self.linger(task, run);
            self.release(task);
            let run = run.id;
            out.act(Instruction::Cancel { task, run });
        }
    }

    fn running(&self, task: TaskId) -> Option<Run> {
        match self.tasks.get(&task)?.state {
            TaskState::Executing(run) | TaskState::LongRunning(run) => Some(run),
            _ => None,
        }
    }
}
