use std::collections::BTreeMap;

use super::function::FunctionRow;

/// How long a worker's tasks will keep one thread busy (Dask's `occupancy`).
///
/// All its tasks of one function are taken to run for the same time, and that time is brought up
/// to date whenever the worker is given or finishes one of them: so a worker whose tasks turn out
/// to be long is known to be busy when the first of them is done, at no cost per task.
#[derive(Debug, Default)]
pub(super) struct Workload {
    shares: BTreeMap<FunctionRow, Share>,
    total: u64,
}

/// The tasks of one function.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    tasks: u64,
    /// In nanoseconds.
    each: u64,
}

impl Share {
    /// Sums of a peer's claims wrap instead of panicking.
    fn total(self) -> u64 {
        self.tasks.wrapping_mul(self.each)
    }
}

impl Workload {
    /// In nanoseconds.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Adds a task of a function whose tasks are expected to run for so long, in nanoseconds.
    pub(super) fn add(&mut self, function: FunctionRow, each: u64) {
        self.change(function, |share| *share = Share { tasks: share.tasks + 1, each });
    }

    /// Takes out a task.
    pub(super) fn remove(&mut self, function: FunctionRow) {
        self.change(function, |share| share.tasks = share.tasks.saturating_sub(1));
    }

    /// Takes in what was learned about a function.
    pub(super) fn revalue(&mut self, function: FunctionRow, each: u64) {
        self.change(function, |share| share.each = each);
    }

    /// How many tasks of which function it is the sum of.
    pub(super) fn tasks(&self) -> BTreeMap<FunctionRow, u64> {
        let shares = self.shares.iter().filter(|(_, share)| share.tasks > 0);
        shares.map(|(function, share)| (*function, share.tasks)).collect()
    }

    /// Whether the sum is right.
    pub(super) fn adds_up(&self) -> bool {
        self.shares.values().fold(0, |sum: u64, s| sum.wrapping_add(s.total())) == self.total
    }

    fn change(&mut self, function: FunctionRow, change: impl FnOnce(&mut Share)) {
        let share = self.shares.entry(function).or_default();
        let before = share.total();
        change(share);
        self.total = self.total.wrapping_sub(before).wrapping_add(share.total());
    }
}
