//! Dask's active memory manager, with the one policy that Dask runs by default: `ReduceReplicas`.
//!
//! A worker keeps what it fetched for its tasks, so results gather copies that nobody needs any
//! more. Every `active-memory-manager.interval` the results with several copies are looked at, and
//! copies beyond the number that is wanted are removed from the workers that hold most.
//!
//! What is wanted is one copy; more where somebody asked for them, by replicating the result or by
//! scattering it to every worker; and the one on each worker that was given a task which needs it.
//! Dask knows no such wishes: its manager takes back what `replicate` made.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use dask_proto::id::WorkerId;
use dask_proto::message::{Answer, ManageMemory, Refusal, WorkerStatus};

use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

/// A round ends after it has looked at this many holders and dependents; the next one goes on
/// from there.
const STEPS: usize = 20_000;

impl SchedulerState {
    /// Sets the time of the next round, if there is anything to look at.
    pub(in crate::state) fn plan_round(&mut self) {
        if self.replicas.next_round.is_none() && self.replicas.is_managed {
            let next = self.now + self.config.active_memory_manager_interval;
            self.replicas.next_round = Some(next);
        }
    }

    /// Starts or stops the manager, or has it look at everything once.
    pub(in crate::state) fn manage_memory(&mut self, what: ManageMemory) -> Answer {
        match what {
            ManageMemory::Start => {
                self.replicas.is_managed = true;
                if !self.replicas.replicated.is_empty() {
                    self.plan_round();
                }
            }
            ManageMemory::Stop => {
                self.replicas.is_managed = false;
                (self.replicas.next_round, self.replicas.next_row) = (None, None);
            }
            ManageMemory::RunOnce => drop(self.make_round(None, usize::MAX)),
            // A client of a later version.
            _ => return Answer::Refused(Refusal::TooLarge),
        }
        Answer::Done
    }

    /// Makes a round, if it is time for one.
    pub(in crate::state) fn reduce_replicas(&mut self) {
        if self.replicas.next_round.is_none_or(|at| at > self.now) {
            return;
        }
        self.replicas.next_round = None;
        let start = self.replicas.next_row.take();
        self.replicas.next_row = self.make_round(start, STEPS);
        if !self.replicas.replicated.is_empty() {
            self.plan_round();
        }
    }

    /// Looks at the results with several copies from a row on; where it ended, if that was after
    /// so many steps.
    fn make_round(&mut self, start: Option<Row>, most: usize) -> Option<Row> {
        // Each costs a step at least.
        let (replicated, rows) = (&self.replicas.replicated, most.saturating_add(1));
        let rows: Vec<Row> = match start {
            Some(start) => replicated.range(start..).take(rows).copied().collect(),
            None => replicated.iter().take(rows).copied().collect(),
        };
        let mut steps = 0;
        for row in rows {
            if steps >= most {
                return Some(row);
            }
            steps += self.reduce(row);
        }
        None
    }

    /// Removes the copies of one result that nobody wants; how many steps that took.
    fn reduce(&mut self, row: Row) -> usize {
        let task = &self.tasks[row];
        let TaskState::Memory(holders) = &task.state else {
            return 1;
        };
        let steps = holders.len() + if task.waiters > 0 { task.dependents.len() } else { 0 };
        // Copies that are on their way have their reason.
        if self.errands.concern(row) {
            return steps;
        }
        // What a worker holds that is to leave does not count, and leaves with it.
        let staying = holders.iter().filter_map(|worker| {
            let entry = self.workers.get(worker)?;
            let is_paused = entry.status == WorkerStatus::Paused;
            let rank = (Reverse(is_paused), Reverse(entry.nbytes), worker);
            (entry.status != WorkerStatus::Retiring).then_some(rank)
        });
        let mut staying: Vec<_> = staying.collect();
        let Some(mut excess) = staying.len().checked_sub(self.replicas.wanted(row)) else {
            return steps;
        };
        let Some(needed) = self.needed_at(row).filter(|_| excess > 0) else {
            return steps;
        };
        staying.sort_unstable();
        for (.., worker) in staying {
            if excess > 0 && !needed.contains(&worker) {
                self.drop_copy(row, worker);
                excess -= 1;
            }
        }
        steps
    }

    /// The holders of a result that were given tasks which need it; none if a worker was that does
    /// not hold it, and may be about to fetch it from any holder.
    fn needed_at(&self, row: Row) -> Option<BTreeSet<WorkerId>> {
        let task = &self.tasks[row];
        let mut needed = BTreeSet::new();
        if task.waiters == 0 {
            return Some(needed);
        }
        for dependent in task.dependents.iter().filter_map(|id| self.tasks.row(*id)) {
            if let TaskState::Processing { worker, .. } = &self.tasks[dependent].state {
                if !task.holders()?.contains(*worker) {
                    return None;
                }
                needed.insert(*worker);
            }
        }
        Some(needed)
    }
}
