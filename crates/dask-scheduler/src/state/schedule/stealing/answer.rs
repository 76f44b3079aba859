//! What comes of asking a worker for a task.

use dask_proto::id::{RunId, TaskId, WorkerId};

use crate::state::SchedulerState;
use crate::state::insight::story::Step;
use crate::state::table::task::{Row, TaskState};
use crate::state::table::worker::WorkerEntry;
use crate::state::transition::Goal;

impl SchedulerState {
    /// A worker has forgotten tasks that it was asked for: they go to those that wanted them, or
    /// to whoever is best now.
    ///
    /// One that it was not asked for has to run elsewhere all the same.
    pub(in crate::state) fn given(&mut self, worker: WorkerId, tasks: &[(TaskId, RunId)]) {
        for (task, run) in tasks {
            let Some(row) = self.attempt(worker, *task, *run) else {
                continue;
            };
            self.record_step(row, Step::Given { victim: worker });
            let theft = self.call_off_steal(row);
            let thief = theft.and_then(|theft| theft.thief);
            let goal = match thief.and_then(|thief| self.receiver(row, thief, worker)) {
                Some(receiver) => Goal::Processing(receiver),
                None => Goal::Waiting,
            };
            self.transition(row, goal);
            // The next is to find this one counted.
            self.settle_agenda();
        }
    }

    /// Tasks that a worker was asked for stay there: they run or are done. A task is not asked for
    /// again.
    pub(in crate::state) fn kept(&mut self, worker: WorkerId, tasks: &[(TaskId, RunId)]) {
        for (task, run) in tasks {
            let Some(row) = self.attempt(worker, *task, *run) else {
                continue;
            };
            if self.call_off_steal(row).is_some() {
                self.record_step(row, Step::Kept { victim: worker });
                if let TaskState::Processing { kept, .. } = &mut self.tasks[row].state {
                    *kept = true;
                }
            }
        }
    }

    /// Where a task goes that its victim gave: to the thief, or to another worker that would start
    /// it earlier by now. Not back to the victim while the thief is there, or it could be stolen
    /// for ever.
    fn receiver(&self, row: Row, thief: WorkerId, victim: WorkerId) -> Option<WorkerId> {
        let spec = self.tasks[row].spec()?;
        if !self.may_run(thief, spec) {
            return None;
        }
        let idlest = self.functions.idlest(spec.function);
        let idlest = idlest.filter(|w| *w != victim && self.may_run(*w, spec));
        let candidates: Vec<WorkerId> = [thief].into_iter().chain(idlest).collect();
        self.choose(row, &candidates)
    }

    /// Forgets that a task was asked for: it was answered for, or is out of the victim's hands.
    pub(in crate::state) fn call_off_steal(&mut self, row: Row) -> Option<super::Theft> {
        let theft = self.stealing.end(row)?;
        // The thief has room for another.
        self.stealing.wake();
        if let Some(entry) = self.workers.get_mut(theft.victim) {
            entry.outgoing.remove(row, theft.cost);
            self.rerank(theft.victim);
        }
        if let Some(thief) = theft.thief
            && let Some(entry) = self.workers.get_mut(thief)
        {
            entry.incoming.remove(row, theft.cost.saturating_add(theft.fetch));
            self.rerank(thief);
        }
        Some(theft)
    }

    /// A worker is gone for which others were asked for tasks. They answer all the same.
    pub(in crate::state) fn lose_thief(&mut self, thief: &WorkerEntry) {
        for row in thief.incoming.rows() {
            self.stealing.lose_thief(row);
        }
    }
}
