//! Runs that leave the pool of threads, those that wait to come back, and those that stay in it
//! although nobody wants their results.

use std::collections::VecDeque;

use dask_proto::id::{RunId, TaskId};
use dask_proto::message::WorkerToScheduler;

use super::WorkerState;
use super::instruction::Instructions;
use super::task::{Run, Stage, TaskState};
use super::transition::Next;

/// What is known of the pool beside the tasks themselves.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Runs outside of the pool that wait to come back, the first to ask first. Whatever their
    /// priority, they have begun, and come before all tasks that have not.
    returning: VecDeque<(TaskId, RunId)>,
    /// Cancelled runs in the pool.
    lingering: u32,
    /// How many of these the scheduler was told of.
    told: u32,
}

impl WorkerState {
    /// A run left the pool.
    pub(super) fn seceded(&mut self, task: TaskId, id: RunId) {
        if let Some(run) = self.cancelled.get_mut(&(task, id)) {
            self.pool.lingering -= u32::from(!run.seceded);
            self.resources.secede(run);
            return;
        }
        let entry = self.tasks.get(&task);
        if entry.is_some_and(|e| e.state.run() == Some(id) && e.state.stage() == Stage::Executing) {
            self.work.push_back((task, Next::LongRunning));
        }
    }

    /// A run outside of the pool wants to come back. One that was cancelled need not: its thread is
    /// told so.
    pub(super) fn rejoining(&mut self, task: TaskId, id: RunId) {
        let entry = self.tasks.get_mut(&task);
        if let Some(TaskState::LongRunning(run)) = entry.map(|entry| &mut entry.state)
            && run.id == id
            && !std::mem::replace(&mut run.returning, true)
        {
            self.pool.returning.push_back((task, id));
        }
    }

    /// Lets runs back into the pool, as far as threads are free; whether none waits any more, so
    /// that other tasks may start.
    pub(super) fn readmit(&mut self, out: &mut Instructions) -> bool {
        while let Some(&(task, _)) = self.pool.returning.front() {
            if !self.resources.has_seat() {
                return false;
            }
            self.pool.returning.pop_front();
            self.work.push_back((task, Next::Executing));
            self.run_transitions(out);
        }
        true
    }

    /// A run is over, and what it took is free.
    pub(super) fn end(&mut self, task: TaskId, run: &Run) {
        self.resources.end(run);
        self.give_up_return(task, run);
    }

    /// A run is cancelled, and goes on until it notices.
    pub(super) fn linger(&mut self, task: TaskId, run: Run) {
        self.give_up_return(task, &run);
        self.pool.lingering += u32::from(!run.seceded);
        self.cancelled.insert((task, run.id), run);
    }

    /// Whether the run that is over was a cancelled one; what it took is free.
    pub(super) fn lingered(&mut self, task: TaskId, id: RunId) -> bool {
        let Some(run) = self.cancelled.remove(&(task, id)) else {
            return false;
        };
        self.pool.lingering -= u32::from(!run.seceded);
        self.resources.end(&run);
        true
    }

    /// Tells the scheduler when more or fewer threads than it knows are busy for nobody.
    pub(super) fn tell_lingering(&mut self, out: &mut Instructions) {
        let runs = self.pool.lingering.min(self.config.nthreads);
        if runs != self.pool.told {
            self.pool.told = runs;
            out.tell(WorkerToScheduler::Lingering { runs });
        }
    }

    /// Runs that wait to come back into the pool.
    pub(super) fn returning(&self) -> impl ExactSizeIterator<Item = (TaskId, RunId)> + '_ {
        self.pool.returning.iter().copied()
    }

    /// Cancelled runs in the pool, as they are counted.
    pub(super) fn lingering(&self) -> u32 {
        self.pool.lingering
    }

    fn give_up_return(&mut self, task: TaskId, run: &Run) {
        if run.returning {
            self.pool.returning.retain(|waiting| *waiting != (task, run.id));
        }
    }
}
