//! The table of transitions, one line an edge; one file per state that is left.
//!
//! A transition changes one task and recommends what follows for others, which is carried out
//! afterwards, one after the other: chains of any length need no recursion.

mod executing;
mod fetch;
mod flight;
mod memory;
mod missing;
mod need;
mod ready;
mod released;
mod resumed;
mod waiting;

use dask_proto::id::{RunId, TaskId};
use dask_proto::message::{Compute, WorkerToScheduler};
use dask_proto::{Payload, TaskError, TaskErrorKind};

use super::WorkerState;
use super::instruction::{FlightId, Instructions};
use super::story::Chapter;
use super::task::{Stage, TaskState};

/// Where a task is to go.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing is to be done for it any more.
    Released,
    /// It is to be computed.
    Waiting(Box<Compute>),
    /// The run that it waited for is over.
    Unblocked,
    /// A dependency of it went away.
    Blocked,
    /// Its last dependency is here.
    Ready,
    /// A thread takes it, or it is back on one of the pool.
    Executing,
    /// It leaves the pool.
    LongRunning,
    /// Its result is needed.
    Fetch,
    /// Its result is under way.
    Flight(FlightId),
    /// Its result and the size of it.
    Memory(Payload, u64),
    /// These inputs of it cannot be read back from disk.
    GivenBack(Vec<TaskId>),
    /// It asks to be run elsewhere.
    Rescheduled,
    /// It failed.
    Error(Box<TaskError>),
}

impl WorkerState {
    pub(super) fn run_transitions(&mut self, out: &mut Instructions) {
        while let Some((task, next)) = self.work.pop_front() {
            self.transition(task, next, out);
        }
    }

    fn transition(&mut self, task: TaskId, next: Next, out: &mut Instructions) {
        use {Next as N, Stage as S};
        let from = self.stage(task);
        let failed = matches!(next, N::Error(_));
        match (from, next) {
            (S::Released, N::Waiting(c)) if self.is_running(task) => self.released_to_resumed(c),
            (S::Released, N::Waiting(c)) => self.released_to_waiting(c, out),
            (S::Released, N::Fetch) => self.released_to_fetch(task),
            (S::Released, N::Memory(value, n)) => self.released_to_memory(task, value, n, out),

            (S::Waiting, N::Ready) => self.waiting_to_ready(task, out),
            (S::Waiting, N::Released) => self.waiting_to_released(task),
            (S::Waiting, N::Error(error)) => self.waiting_to_error(task, error, out),

            (S::Resumed, N::Unblocked) => self.resumed_to_waiting(task, out),
            (S::Resumed, N::Released) => self.resumed_to_released(task),

            (S::Ready | S::Constrained, N::Executing) => self.ready_to_executing(task, out),
            (S::Ready | S::Constrained, N::Blocked) => self.ready_to_waiting(task),
            (S::Ready | S::Constrained, N::Released) => self.ready_to_released(task),

            (S::Executing, N::LongRunning) => self.executing_to_long_running(task, out),
            (S::LongRunning, N::Executing) => self.long_running_to_executing(task, out),
            (S::Executing | S::LongRunning, N::Memory(value, n)) => {
                self.executing_to_memory(task, value, n, out);
            }
            (S::Executing | S::LongRunning, N::Error(e)) => self.executing_to_error(task, e, out),
            (S::Executing | S::LongRunning, N::GivenBack(lost)) => {
                self.executing_to_given_back(task, &lost, out);
            }
            (S::Executing | S::LongRunning, N::Rescheduled) => {
                self.executing_to_rescheduled(task, out);
            }
            (S::Executing | S::LongRunning, N::Released) => self.executing_to_released(task, out),

            (S::Fetch, N::Flight(flight)) => self.fetch_to_flight(task, flight),
            (S::Fetch, N::Fetch) => self.fetch_to_fetch(task),
            (S::Fetch, N::Released) => self.fetch_to_released(task),
            (S::Fetch, N::Waiting(c)) => self.fetch_to_waiting(c, out),
            (S::Fetch, N::Memory(value, n)) => self.fetch_to_memory(task, value, n, out),

            (S::Flight, N::Memory(value, n)) => self.flight_to_memory(task, value, n, out),
            (S::Flight, N::Fetch) => self.flight_to_fetch(task),
            (S::Flight, N::Released) => self.flight_to_released(task),
            (S::Flight, N::Waiting(c)) => self.flight_to_waiting(c, out),

            (S::Missing, N::Fetch) => self.missing_to_fetch(task),
            (S::Missing, N::Released) => self.missing_to_released(task),
            (S::Missing, N::Waiting(c)) => self.missing_to_waiting(c, out),
            (S::Missing, N::Memory(value, n)) => self.missing_to_memory(task, value, n, out),

            (S::Memory, N::Released) => self.memory_to_released(task, out),

            // It is here, or will be computed here, or is gone already.
            (_, N::Fetch | N::Released | N::Memory(..) | N::Blocked | N::Ready) => {}
            _ => self.fail_defective(task, out),
        }
        let to = if failed { Stage::Error } else { self.stage(task) };
        if from != to {
            self.story.tell(Chapter { task, from, to, stimulus: self.stimulus, moment: self.now });
        }
    }

    /// The failure of a task that this state lost track of: a bug, told with its story.
    pub(super) fn defect(&self, task: TaskId) -> Option<Box<TaskError>> {
        let state = &self.tasks.get(&task)?.state;
        let key = match state.compute() {
            Some(compute) => compute.key.clone(),
            None => task.to_string().try_into().ok()?,
        };
        let story: Vec<_> = self.story.of(task).map(ToString::to_string).collect();
        let message = format!("the worker lost track of it: {}", story.join("; "));
        Some(Box::new(TaskError {
            worker: Some(self.config.address.clone()),
            ..TaskError::new(TaskErrorKind::Internal, key, message)
        }))
    }

    /// Fails a task that is not running, or is no longer to.
    fn fail_defective(&mut self, task: TaskId, out: &mut Instructions) {
        let run = self.tasks.get(&task).and_then(|entry| entry.state.run());
        if let (Some(run), Some(error)) = (run, self.defect(task)) {
            out.tell(WorkerToScheduler::Erred { task, run, error });
            self.work.push_back((task, Next::Released));
        }
    }

    /// Whether a run of it goes on that was cancelled.
    fn is_running(&self, task: TaskId) -> bool {
        let runs = (task, RunId(0))..=(task, RunId(u32::MAX));
        self.cancelled.range(runs).next().is_some()
    }

    /// Leaves nothing done for a task: it is forgotten, or fetched if a task here needs it.
    fn release(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        entry.state = TaskState::Released;
        if entry.is_needed() {
            self.work.push_back((task, Next::Fetch));
        } else {
            self.tasks.remove(&task);
        }
    }

    /// Takes the assignment of a task that has not started, and releases it.
    fn take_compute(&mut self, task: TaskId) -> Option<Box<Compute>> {
        let entry = self.tasks.get_mut(&task)?;
        let compute = std::mem::take(&mut entry.state).into_compute();
        self.release(task);
        compute
    }
}
