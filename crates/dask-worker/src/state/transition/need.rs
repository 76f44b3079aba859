//! Which tasks need which results.

use dask_proto::graph::Priority;
use dask_proto::id::TaskId;
use dask_proto::map::{SmallList, SmallSet};
use dask_proto::message::{Compute, Dependency};

use super::Next;
use crate::state::WorkerState;
use crate::state::instruction::Instructions;
use crate::state::task::{Stage, TaskState};

/// Copies that no task here needs come last.
const UNHURRIED: Priority = Priority { user: i64::MAX, sequence: u64::MAX };

impl WorkerState {
    /// Learns where a result is.
    pub(in crate::state) fn inform(&mut self, dependency: &Dependency) {
        self.hear(dependency, UNHURRIED);
    }

    fn hear(&mut self, dependency: &Dependency, priority: Priority) {
        let task = dependency.task;
        self.unlist_fetch(task);
        let entry = self.tasks.get_or_default(task);
        if matches!(entry.state, TaskState::Memory) {
            return;
        }
        let is_new = !entry.is_needed();
        entry.priority = if is_new { priority } else { entry.priority.min(priority) };
        entry.nbytes = dependency.nbytes;
        // What the scheduler says last is what it knows: holders that it names no more are gone.
        entry.holders = SmallSet::Empty;
        for &holder in dependency.holders.iter() {
            if self.gather.knows(holder) {
                entry.failed.remove(holder);
                entry.holders.insert(holder);
            } else {
                entry.failed.insert(holder);
            }
        }
        if matches!(entry.state, TaskState::Fetch | TaskState::Missing) {
            self.work.push_back((task, Next::Fetch));
        }
    }

    /// Registers a task with its dependencies; how many are not here.
    pub(super) fn require(&mut self, compute: &Compute, out: &mut Instructions) -> usize {
        let mut missing = 0;
        for dependency in &compute.dependencies {
            let task = dependency.task;
            if dependency.value.is_none() {
                self.hear(dependency, compute.priority);
            }
            let entry = self.tasks.get_or_default(task);
            let is_new = entry.dependents.insert(compute.task);
            match (entry.state.stage(), dependency.value) {
                (Stage::Memory, _) => {}
                (stage, Some(value)) => {
                    missing += usize::from(is_new);
                    // One that is to be computed here is waited for all the same.
                    if is_new && is_fetched(stage) {
                        out.added(task, dependency.nbytes);
                        let next = Next::Memory(value[..].into(), dependency.nbytes);
                        self.work.push_back((task, next));
                    }
                }
                (stage, None) => {
                    missing += usize::from(is_new);
                    if stage == Stage::Released {
                        self.work.push_back((task, Next::Fetch));
                    }
                }
            }
        }
        missing
    }

    /// Gives up the dependencies of a task; what is under way for it alone is released.
    pub(super) fn let_go(&mut self, compute: &Compute) {
        for dependency in &compute.dependencies {
            let task = dependency.task;
            let Some(entry) = self.tasks.get_mut(&task) else {
                continue;
            };
            entry.dependents.remove(compute.task);
            if is_fetched(entry.state.stage()) && !entry.is_needed() {
                self.work.push_back((task, Next::Released));
            }
        }
    }

    /// The result of a task is here.
    pub(super) fn supply(&mut self, task: TaskId) {
        for &dependent in self.dependents(task).iter() {
            let entry = self.tasks.get_mut(&dependent);
            if let Some(TaskState::Waiting { missing, .. }) = entry.map(|entry| &mut entry.state) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.work.push_back((dependent, Next::Ready));
                }
            }
        }
    }

    /// The result of a task is here no more.
    pub(super) fn withhold(&mut self, task: TaskId) {
        for &dependent in self.dependents(task).iter() {
            let entry = self.tasks.get_mut(&dependent);
            if let Some(TaskState::Waiting { missing, .. }) = entry.map(|entry| &mut entry.state) {
                *missing += 1;
            } else {
                self.work.push_back((dependent, Next::Blocked));
            }
        }
    }

    fn dependents(&self, task: TaskId) -> SmallList<TaskId> {
        let entry = self.tasks.get(&task);
        entry.into_iter().flat_map(|entry| entry.dependents.iter()).collect()
    }

    /// Takes a result that is to be fetched out of the lines, for as long as it changes.
    fn unlist_fetch(&mut self, task: TaskId) {
        if let Some(entry) = self.tasks.get(&task)
            && matches!(entry.state, TaskState::Fetch)
        {
            self.gather.remove((entry.priority, task), &entry.holders);
        }
    }
}

/// Whether a result comes from elsewhere, or would if it were needed.
fn is_fetched(stage: Stage) -> bool {
    matches!(stage, Stage::Released | Stage::Fetch | Stage::Flight | Stage::Missing)
}
