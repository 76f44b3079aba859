//! The order in which the tasks of a graph should run: Dask's `order`.
//!
//! The scheduler prefers what it heard of first, so this order decides how many results are kept
//! at a time. It goes depth first: the way to one result before the way to the next. Three rules
//! add to that. Of the dependencies of a task the one whose computation keeps most results comes
//! first. A task that can run and whose result replaces another one runs at once. And what makes
//! use of results that are kept comes before what does not.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::VecDeque;

/// A task, by its position in the list that is ordered.
pub(super) type Index = u32;

/// Orders tasks; `dependencies[i]` are those of task `i`, all of them smaller than `i`.
pub(super) fn order(dependencies: Vec<Vec<Index>>) -> Vec<Index> {
    let mut walk = Walk::new(dependencies);
    for task in 0..walk.len() {
        if walk.dependents_of(task).is_empty() {
            walk.reach(task);
            walk.finish_started();
        }
    }
    walk.sequence
}

/// The tasks, and how far the order has come.
struct Walk {
    /// Of each task, each once, in the order in which they are reached.
    dependencies: Vec<Vec<Index>>,
    /// The dependents of all tasks, those of one behind those of the other.
    dependents: Vec<Index>,
    /// Where in `dependents` those of a task begin; one more at the end.
    starts: Vec<usize>,
    /// How many dependencies and dependents of each task are not yet in the sequence.
    missing: Vec<u32>,
    pending: Vec<u32>,
    /// All pending dependents of a task, combined by exclusive or: the last of them, once it is
    /// the last.
    last_pending: Vec<Index>,
    is_done: Vec<bool>,
    /// How many dependencies and dependents were passed by already.
    next_dependency: Vec<u32>,
    next_dependent: Vec<usize>,
    /// Tasks that can run and whose result replaces another.
    replacing: VecDeque<Index>,
    /// Tasks that are in the sequence and may have pending dependents.
    started: Vec<Index>,
    sequence: Vec<Index>,
}

impl Walk {
    fn new(mut dependencies: Vec<Vec<Index>>) -> Self {
        for list in &mut dependencies {
            list.sort_unstable();
            list.dedup();
        }
        sort_by_need(&mut dependencies);
        let (dependents, starts) = reverse(&dependencies);
        let len = dependencies.len();
        let count = |list: &Vec<Index>| u32::try_from(list.len()).unwrap_or(u32::MAX);
        let mut walk = Self {
            missing: dependencies.iter().map(count).collect(),
            pending: vec![0; len],
            last_pending: vec![0; len],
            is_done: vec![false; len],
            next_dependency: vec![0; len],
            next_dependent: starts[..len].to_vec(),
            replacing: VecDeque::new(),
            started: Vec::new(),
            sequence: Vec::with_capacity(len),
            dependencies,
            dependents,
            starts,
        };
        for task in 0..walk.len() {
            for dependency in &walk.dependencies[at(task)] {
                walk.pending[at(*dependency)] += 1;
                walk.last_pending[at(*dependency)] ^= task;
            }
        }
        walk
    }

    fn len(&self) -> Index {
        Index::try_from(self.dependencies.len()).unwrap_or(Index::MAX)
    }

    fn dependents_of(&self, task: Index) -> &[Index] {
        &self.dependents[self.starts[at(task)]..self.starts[at(task) + 1]]
    }

    /// Puts a task in the sequence, after all that it needs.
    fn reach(&mut self, task: Index) {
        // A stack of our own: a chain may be longer than a thread's stack.
        let mut path = vec![task];
        while let Some(task) = path.last().copied() {
            if self.is_done[at(task)] {
                path.pop();
            } else if self.missing[at(task)] == 0 {
                path.pop();
                self.run(task);
            } else {
                let next = &mut self.next_dependency[at(task)];
                path.push(self.dependencies[at(task)][at(*next)]);
                *next += 1;
            }
        }
    }

    /// Goes on with what needs results that are kept, the latest first.
    fn finish_started(&mut self) {
        while let Some(task) = self.started.last().copied() {
            let next = self.next_dependent[at(task)];
            if next == self.starts[at(task) + 1] {
                self.started.pop();
            } else {
                self.next_dependent[at(task)] += 1;
                self.reach(self.dependents[next]);
            }
        }
    }

    /// Puts a task in the sequence whose dependencies are there, and what replaces results then.
    fn run(&mut self, task: Index) {
        self.replacing.push_back(task);
        while let Some(task) = self.replacing.pop_front() {
            if !std::mem::replace(&mut self.is_done[at(task)], true) {
                self.sequence.push(task);
                self.let_go_of_dependencies(task);
                self.wake_dependents(task);
            }
        }
    }

    fn let_go_of_dependencies(&mut self, task: Index) {
        for i in 0..self.dependencies[at(task)].len() {
            let dependency = at(self.dependencies[at(task)][i]);
            self.pending[dependency] -= 1;
            self.last_pending[dependency] ^= task;
            let last = self.last_pending[dependency];
            if self.pending[dependency] == 1 && self.missing[at(last)] == 0 {
                self.replacing.push_back(last);
            }
        }
    }

    fn wake_dependents(&mut self, task: Index) {
        for i in self.starts[at(task)]..self.starts[at(task) + 1] {
            let dependent = self.dependents[i];
            self.missing[at(dependent)] -= 1;
            let replaces = || {
                let mut dependencies = self.dependencies[at(dependent)].iter();
                dependencies.any(|dependency| self.pending[at(*dependency)] == 1)
            };
            if self.missing[at(dependent)] == 0 && replaces() {
                self.replacing.push_back(dependent);
            }
        }
        if self.pending[at(task)] > 0 {
            self.started.push(task);
        }
    }
}

/// Sorts the dependencies of each task: first those whose computation keeps most results at a
/// time, for what it keeps is gone when the next is computed (Sethi and Ullman's numbering).
fn sort_by_need(dependencies: &mut [Vec<Index>]) {
    let mut need: Vec<u32> = Vec::with_capacity(dependencies.len());
    for list in dependencies {
        list.sort_by_key(|dependency| Reverse(need[at(*dependency)]));
        let while_computed = list.iter().zip(0u32..).map(|(d, kept)| need[at(*d)] + kept);
        let together = u32::try_from(list.len()).unwrap_or(u32::MAX);
        need.push(while_computed.max().unwrap_or(0).max(together).max(1));
    }
}

/// The dependents of all tasks in one list, and where those of each begin.
fn reverse(dependencies: &[Vec<Index>]) -> (Vec<Index>, Vec<usize>) {
    let mut starts = vec![0; dependencies.len() + 1];
    for dependency in dependencies.iter().flatten() {
        starts[at(*dependency) + 1] += 1;
    }
    for task in 0..dependencies.len() {
        starts[task + 1] += starts[task];
    }
    let mut ends = starts.clone();
    let mut dependents = vec![0; starts[dependencies.len()]];
    for (list, task) in dependencies.iter().zip(0..) {
        for dependency in list {
            dependents[ends[at(*dependency)]] = task;
            ends[at(*dependency)] += 1;
        }
    }
    (dependents, starts)
}

/// Places in vectors are of the machine's size.
fn at(task: Index) -> usize {
    task as usize
}
