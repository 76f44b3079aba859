use std::collections::BTreeMap;

use dask_proto::map::SmallList;

use super::function::FunctionRow;

/// How long a worker's tasks will keep one thread busy (Dask's `occupancy`).
///
/// All its tasks of one function are taken to run for the same time, and that time is brought up
/// to date whenever the worker is given or finishes one of them: so a worker whose tasks turn out
/// to be long is known to be busy when the first of them is done, at no cost per task.
#[derive(Debug, Default)]
pub(in crate::state) struct Workload {
    /// In the order of the functions, which are few. None is ever taken out: a function that a
    /// worker was told of keeps its row for as long as the worker is there.
    shares: SmallList<Share>,
    total: u64,
}

/// The tasks of one function.
#[derive(Debug, Clone, Copy)]
struct Share {
    function: FunctionRow,
    /// Whether the worker was told what the function's id stands for.
    is_told: bool,
    tasks: u64,
    /// In nanoseconds.
    each: u64,
    /// How many it has finished.
    finished: u64,
}

impl Share {
    fn of(function: FunctionRow) -> Self {
        Self { function, is_told: false, tasks: 0, each: 0, finished: 0 }
    }

    /// Sums of a peer's claims wrap instead of panicking.
    fn total(self) -> u64 {
        self.tasks.wrapping_mul(self.each)
    }
}

impl Workload {
    /// In nanoseconds.
    pub(in crate::state) fn total(&self) -> u64 {
        self.total
    }

    /// Adds a task of a function whose tasks are expected to run for so long, in nanoseconds.
    pub(in crate::state) fn add(&mut self, function: FunctionRow, each: u64) {
        self.change(function, |share| {
            share.tasks += 1;
            share.each = each;
        });
    }

    /// Takes out a task.
    pub(in crate::state) fn remove(&mut self, function: FunctionRow) {
        self.change(function, |share| share.tasks = share.tasks.saturating_sub(1));
    }

    /// A task of a function is done, and this is what was learned of it.
    pub(in crate::state) fn finish(&mut self, function: FunctionRow, each: u64) {
        self.change(function, |share| {
            share.each = each;
            share.finished += 1;
        });
    }

    /// The worker is told what a function's id stands for; whether that is news.
    pub(in crate::state) fn tell(&mut self, function: FunctionRow) -> bool {
        !std::mem::replace(&mut self.share(function).is_told, true)
    }

    /// The functions of all its tasks, also of those that were done: all that it was told of.
    pub(in crate::state) fn functions(&self) -> impl Iterator<Item = FunctionRow> + '_ {
        self.shares.iter().map(|share| share.function)
    }

    /// How many tasks of each function were done.
    pub(in crate::state) fn finished(&self) -> impl Iterator<Item = (FunctionRow, u64)> + '_ {
        let shares = self.shares.iter().filter(|share| share.finished > 0);
        shares.map(|share| (share.function, share.finished))
    }

    /// How many tasks of which function it is the sum of.
    pub(in crate::state) fn tasks(&self) -> BTreeMap<FunctionRow, u64> {
        let shares = self.shares.iter().filter(|share| share.tasks > 0);
        shares.map(|share| (share.function, share.tasks)).collect()
    }

    /// Whether the sum is right.
    pub(in crate::state) fn adds_up(&self) -> bool {
        self.shares.iter().fold(0, |sum: u64, share| sum.wrapping_add(share.total())) == self.total
    }

    fn change(&mut self, function: FunctionRow, change: impl FnOnce(&mut Share)) {
        let share = self.share(function);
        let before = share.total();
        change(share);
        let after = share.total();
        self.total = self.total.wrapping_sub(before).wrapping_add(after);
    }

    fn share(&mut self, function: FunctionRow) -> &mut Share {
        let found = self.shares.binary_search_by_key(&function, |share| share.function);
        let index = found.unwrap_or_else(|index| {
            self.shares.insert(index, Share::of(function));
            index
        });
        &mut self.shares[index]
    }
}
