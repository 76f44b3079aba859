//! Copies of results: who holds one, how many there shall be, and which are on their way out.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Moment;
use dask_proto::id::{TaskId, WorkerId};

use super::task::{Row, TaskState};
use crate::state::{Config, SchedulerState};

/// What is known about copies beyond the list of holders that each task has.
#[derive(Debug, Default)]
pub(in crate::state) struct ReplicaTable {
    /// Whether rounds are made.
    pub(in crate::state) is_managed: bool,
    /// The results with more than one holder: what a round of
    /// [`amm`](crate::state::copying::amm) looks at.
    pub(in crate::state) replicated: BTreeSet<Row>,
    /// How many copies somebody asked for, for as long as the result is in memory: by replicating
    /// it, or by scattering it to every worker.
    wishes: BTreeMap<Row, usize>,
    /// Copies that workers were told to remove, and how often they have not confirmed that: what
    /// such a worker says of having one was said before it heard the last time.
    leaving: BTreeMap<(WorkerId, TaskId), u32>,
    /// When copies are looked at next.
    pub(in crate::state) next_round: Option<Moment>,
    /// The result with which the next round begins.
    pub(in crate::state) next_row: Option<Row>,
}

impl ReplicaTable {
    pub(in crate::state) fn new(config: &Config) -> Self {
        Self { is_managed: config.active_memory_manager, ..Self::default() }
    }

    /// How many copies of a result there shall be at least.
    pub(in crate::state) fn wanted(&self, row: Row) -> usize {
        self.wishes.get(&row).copied().unwrap_or(1).max(1)
    }

    /// Somebody asks for so many copies.
    pub(in crate::state) fn wish(&mut self, row: Row, copies: usize) {
        if copies > 1 {
            let wish = self.wishes.entry(row).or_default();
            *wish = copies.max(*wish);
        }
    }

    /// A result is not in memory any more, or its row is free.
    pub(in crate::state) fn clear(&mut self, row: Row) {
        self.replicated.remove(&row);
        self.wishes.remove(&row);
    }

    pub(in crate::state) fn is_leaving(&self, worker: WorkerId, task: TaskId) -> bool {
        self.leaving.contains_key(&(worker, task))
    }

    /// A worker confirms that it has no copy; whether it has heard all that it was told of it.
    fn left(&mut self, worker: WorkerId, task: TaskId) -> bool {
        let Some(told) = self.leaving.get_mut(&(worker, task)) else {
            return false;
        };
        *told -= 1;
        if *told > 0 {
            return false;
        }
        self.leaving.remove(&(worker, task));
        true
    }

    pub(in crate::state) fn forget_worker(&mut self, worker: WorkerId) {
        let all = (worker, TaskId(0))..=(worker, TaskId(u64::MAX));
        let tasks: Vec<TaskId> = self.leaving.range(all).map(|((_, task), _)| *task).collect();
        for task in tasks {
            self.leaving.remove(&(worker, task));
        }
    }

    /// Those that workers have not confirmed to be removed, for a check.
    pub(in crate::state) fn leaving(&self) -> impl Iterator<Item = (WorkerId, TaskId)> + '_ {
        self.leaving.keys().copied()
    }

    /// The results of which somebody asked for copies, for a check.
    pub(in crate::state) fn wished(&self) -> impl Iterator<Item = Row> + '_ {
        self.wishes.keys().copied()
    }
}

impl SchedulerState {
    /// Notes that a worker has a copy of a result that is in memory.
    pub(in crate::state) fn add_holder(&mut self, row: Row, worker: WorkerId) {
        let TaskState::Memory(holders) = &mut self.tasks[row].state else {
            return;
        };
        let Some(entry) = self.workers.get_mut(worker) else { return };
        if !holders.insert(worker) {
            return;
        }
        entry.has.insert(row);
        entry.nbytes = entry.nbytes.wrapping_add(holders.nbytes());
        if holders.len() > 1 && self.replicas.replicated.insert(row) {
            self.plan_round();
        }
        self.errands.touch(row);
    }

    /// Notes that a worker has no copy of a result; whether it was believed to have one. The last
    /// copy can be taken out too: the result is lost then.
    pub(in crate::state) fn remove_holder(&mut self, row: Row, worker: WorkerId) -> bool {
        let TaskState::Memory(holders) = &mut self.tasks[row].state else {
            return false;
        };
        if !holders.remove(worker) {
            return false;
        }
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.has.remove(row);
            entry.nbytes = entry.nbytes.wrapping_sub(holders.nbytes());
        }
        if holders.len() < 2 {
            self.replicas.replicated.remove(&row);
        }
        self.errands.touch(row);
        true
    }

    /// Has a worker remove whatever copy it has, and counts on none until it confirms that.
    pub(in crate::state) fn tell_to_remove(&mut self, row: Row, worker: WorkerId) {
        let task = self.tasks.id(row);
        if self.workers.get(worker).is_some() {
            *self.replicas.leaving.entry((worker, task)).or_default() += 1;
            self.out.remove(worker, task);
        }
    }

    /// Removes a copy that others have too.
    pub(in crate::state) fn drop_copy(&mut self, row: Row, worker: WorkerId) {
        let holders = self.tasks[row].holders();
        if holders.is_some_and(|holders| holders.len() > 1) && self.remove_holder(row, worker) {
            self.tell_to_remove(row, worker);
        }
    }

    /// A worker confirms that it has no copies of these since it was told so.
    pub(in crate::state) fn removed(&mut self, worker: WorkerId, tasks: &[TaskId]) {
        for task in tasks {
            let has_heard = self.replicas.left(worker, *task);
            if let Some(row) = self.tasks.row(*task).filter(|_| has_heard) {
                // What a client put there meanwhile went with it.
                self.lose_copy(row, worker);
                // It may have been told to have one before it was told to remove it.
                self.copy_refused(row, worker);
            }
        }
    }

    /// Whether a worker was given a task that needs this result.
    pub(in crate::state) fn is_needed_at(&self, row: Row, worker: WorkerId) -> bool {
        let task = &self.tasks[row];
        let Some(entry) = self.workers.get(worker).filter(|_| task.waiters > 0) else {
            return false;
        };
        if entry.processing.len() < task.dependents.len() {
            let mut given = entry.processing.iter();
            return given.any(|given| self.tasks[given].dependencies.contains(&row));
        }
        let mut dependents = task.dependents.iter().filter_map(|id| self.tasks.row(*id));
        dependents.any(|dependent| entry.processing.contains(dependent))
    }
}
