//! Copies of results that workers were told to fetch, for the sake of [errands](super::errand).
//!
//! A result spreads like a tree: at most [`BRANCHING`] workers at a time are told to fetch it for
//! each one that has it, so that a result for a thousand workers does not come from one.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::WorkerId;
use dask_proto::map::SmallSet;

use super::errand::ErrandId;
use crate::state::SchedulerState;
use crate::state::table::task::{Row, TaskState};

/// Workers that fetch a result at a time, for each that has it (Dask's `branching_factor`).
const BRANCHING: usize = 2;

/// How often a worker is told to fetch a result that it cannot get, before another is.
const ATTEMPTS: u32 = 3;

/// All transfers, by result and by target.
#[derive(Debug, Default)]
pub(in crate::state) struct TransferTable {
    by_row: BTreeMap<Row, Spread>,
    by_target: BTreeMap<WorkerId, BTreeSet<Row>>,
}

/// The transfers of one result.
#[derive(Debug, Default)]
pub(in crate::state) struct Spread {
    pub(in crate::state) targets: BTreeMap<WorkerId, Transfer>,
    /// The targets that have not been told yet.
    pub(in crate::state) waiting: BTreeSet<WorkerId>,
}

/// A copy on its way.
#[derive(Debug, Default)]
pub(in crate::state) struct Transfer {
    /// How often the target could not get it.
    attempts: u32,
    /// Those for whose sake it is under way.
    pub(in crate::state) errands: SmallSet<ErrandId>,
}

impl TransferTable {
    /// Has a target fetch a result for an errand; whether that is new to the errand.
    fn want(&mut self, row: Row, target: WorkerId, errand: ErrandId) -> bool {
        self.by_target.entry(target).or_default().insert(row);
        let spread = self.by_row.entry(row).or_default();
        let transfer = spread.targets.entry(target).or_insert_with(|| {
            spread.waiting.insert(target);
            Transfer::default()
        });
        transfer.errands.insert(errand)
    }

    /// Ends a transfer; those for whose sake it was.
    fn end(&mut self, row: Row, target: WorkerId) -> SmallSet<ErrandId> {
        if let Some(rows) = self.by_target.get_mut(&target) {
            rows.remove(&row);
            if rows.is_empty() {
                self.by_target.remove(&target);
            }
        }
        let Some(spread) = self.by_row.get_mut(&row) else {
            return SmallSet::Empty;
        };
        spread.waiting.remove(&target);
        let transfer = spread.targets.remove(&target);
        if spread.targets.is_empty() {
            self.by_row.remove(&row);
        }
        transfer.map_or(SmallSet::Empty, |transfer| transfer.errands)
    }

    /// An errand has no more use for copies of a result: what arrives all the same is one more.
    pub(in crate::state) fn unwant(&mut self, row: Row, errand: ErrandId) {
        let Some(spread) = self.by_row.get_mut(&row) else {
            return;
        };
        let mut unwanted = Vec::new();
        for (target, transfer) in &mut spread.targets {
            transfer.errands.remove(errand);
            if transfer.errands.is_empty() {
                unwanted.push(*target);
            }
        }
        for target in unwanted {
            self.end(row, target);
        }
    }

    /// The result is not in memory: its targets are told anew once it is.
    pub(in crate::state) fn stall(&mut self, row: Row) {
        if let Some(spread) = self.by_row.get_mut(&row) {
            spread.waiting = spread.targets.keys().copied().collect();
        }
    }

    /// The next target to be told, while this many workers have the result.
    fn next(&mut self, row: Row, holders: usize) -> Option<WorkerId> {
        let spread = self.by_row.get_mut(&row)?;
        let told = spread.targets.len() - spread.waiting.len();
        if told < BRANCHING * holders { spread.waiting.pop_first() } else { None }
    }

    fn get_mut(&mut self, row: Row, target: WorkerId) -> Option<(&mut Spread, u32)> {
        let spread = self.by_row.get_mut(&row)?;
        let transfer = spread.targets.get_mut(&target)?;
        transfer.attempts += 1;
        let attempts = transfer.attempts;
        Some((spread, attempts))
    }

    /// A worker that is to get a result.
    pub(in crate::state) fn any_target(&self, row: Row) -> Option<WorkerId> {
        self.by_row.get(&row)?.targets.keys().next().copied()
    }

    /// The results that are to get to a worker.
    fn to(&self, target: WorkerId) -> Vec<Row> {
        let rows = self.by_target.get(&target).into_iter().flatten();
        rows.copied().collect()
    }

    /// All transfers by result, for a check.
    pub(in crate::state) fn iter(&self) -> impl Iterator<Item = (Row, &Spread)> {
        self.by_row.iter().map(|(row, spread)| (*row, spread))
    }

    /// Whether the two indexes name the same transfers, for a check.
    pub(in crate::state) fn agrees(&self) -> bool {
        let mut by_target: BTreeMap<WorkerId, BTreeSet<Row>> = BTreeMap::new();
        for (row, spread) in &self.by_row {
            for target in spread.targets.keys() {
                by_target.entry(*target).or_default().insert(*row);
            }
        }
        by_target == self.by_target
    }
}

impl SchedulerState {
    /// Has a worker fetch a result for the sake of an errand.
    pub(in crate::state) fn want_copy(&mut self, row: Row, target: WorkerId, errand: ErrandId) {
        if self.transfers.want(row, target, errand) {
            self.errands.sent(row, errand);
        }
        self.errands.touch(row);
    }

    /// Tells as many targets to fetch a result as may fetch it at a time.
    pub(in crate::state) fn tell_to_acquire(&mut self, row: Row) {
        let TaskState::Memory(holders) = &self.tasks[row].state else {
            return self.transfers.stall(row);
        };
        let holders = holders.len();
        while let Some(target) = self.transfers.next(row, holders) {
            let dependency = self.dependency(row, target);
            self.introduce_peers(std::slice::from_ref(&dependency), target);
            self.out.acquire(target, dependency);
        }
    }

    /// A worker has a copy now.
    pub(in crate::state) fn copy_arrived(&mut self, row: Row, worker: WorkerId) {
        self.end_transfer(row, worker, Outcome::Arrived);
    }

    /// A worker could not get a copy from any holder: it is told where they are now, unless it
    /// was often enough.
    pub(in crate::state) fn copy_refused(&mut self, row: Row, worker: WorkerId) {
        let Some((spread, attempts)) = self.transfers.get_mut(row, worker) else {
            return;
        };
        if attempts < ATTEMPTS {
            spread.waiting.insert(worker);
            self.errands.touch(row);
        } else {
            self.end_transfer(row, worker, Outcome::Failed);
        }
    }

    /// A worker takes no copies any more.
    pub(in crate::state) fn target_lost(&mut self, worker: WorkerId) {
        for row in self.transfers.to(worker) {
            self.end_transfer(row, worker, Outcome::Failed);
        }
    }

    fn end_transfer(&mut self, row: Row, target: WorkerId, outcome: Outcome) {
        for errand in self.transfers.end(row, target).iter() {
            let in_vain = (outcome == Outcome::Failed).then_some(target);
            self.errands.arrived(row, errand, in_vain);
        }
        self.errands.touch(row);
    }
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Arrived,
    Failed,
}
