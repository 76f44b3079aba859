//! Who could steal from whom, and what.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::graph::Priority;
use dask_proto::id::WorkerId;

use crate::state::table::function::GroupRow;
use crate::state::table::task::Row;
use crate::state::table::worker::WorkerEntry;

/// After attempts that led to nothing, and without news, the next ones are made this much later.
const PAUSE: Duration = Duration::from_millis(10);

/// A load in steps of about a fifth of itself: a worker changes its place in an order of loads
/// seldom, and not with every task.
pub(in crate::state) type Step = u32;

/// The step of a load in nanoseconds.
pub(super) fn step(nanos: u64) -> Step {
    // About a millisecond, and then the place of the leading bit with the two bits that follow.
    let units = nanos >> 20;
    match units.checked_ilog2() {
        Some(bits) if bits >= 2 => 4 * bits + u32::try_from((units >> (bits - 2)) & 3).unwrap_or(3),
        _ => u32::try_from(units).unwrap_or(3),
    }
}

/// What the scheduler knows for work stealing, beside what it knows of each worker.
#[derive(Debug, Default)]
pub(in crate::state) struct Stealing {
    /// Workers that may stand elsewhere than before. Mostly it is found that they do not: they were
    /// done with a task, and given another.
    touched: Vec<WorkerId>,
    /// Workers with a free thread, the least loaded of each group first.
    idle: BTreeSet<(GroupRow, Step, WorkerId)>,
    /// Workers with tasks that wait for long.
    saturated: BTreeSet<(Step, WorkerId)>,
    /// The tasks that a worker was asked for and has not answered for.
    in_flight: BTreeMap<Row, Theft>,
    /// The worker that was last tried as a thief in its turn, and as a victim.
    last_thief: Option<(GroupRow, Step, WorkerId)>,
    last_victim: Option<(Step, WorkerId)>,
    /// Something has changed since attempts last led to nothing: where workers stand between two
    /// events, or what they were asked for.
    has_news: bool,
    next_try: Moment,
}

/// A task that a worker was asked to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct Theft {
    pub(in crate::state) victim: WorkerId,
    /// None once it is gone: the victim answers all the same.
    pub(in crate::state) thief: Option<WorkerId>,
    /// How long the task is expected to run, in nanoseconds.
    pub(in crate::state) cost: u64,
    /// How long the thief will fetch dependencies for it, in nanoseconds.
    pub(in crate::state) fetch: u64,
}

/// Where a worker stands in the [`Stealing`] table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::state) struct Standing {
    /// Its load, if it has a free thread.
    pub(in crate::state) idle: Option<Step>,
    /// How long its last task waits, if that is long.
    pub(in crate::state) saturated: Option<Step>,
}

impl Stealing {
    /// Whether an attempt could lead to anything that the last did not. Cheap, for it is asked
    /// after every event.
    pub(in crate::state) fn is_due(&self, now: Moment) -> bool {
        !self.saturated.is_empty()
            && !self.idle.is_empty()
            && (self.has_news || now >= self.next_try)
    }

    /// Attempts led to nothing.
    pub(super) fn rest(&mut self, now: Moment) {
        self.has_news = false;
        self.next_try = now + PAUSE;
    }

    /// A task that was asked for is answered for, or out of the victim's hands.
    pub(super) fn wake(&mut self) {
        self.has_news = true;
    }

    /// Notes that a worker may stand elsewhere.
    pub(in crate::state) fn touch(&mut self, worker: WorkerId, entry: &mut WorkerEntry) {
        if !std::mem::replace(&mut entry.is_touched, true) {
            self.touched.push(worker);
        }
    }

    /// A worker that may stand elsewhere.
    pub(super) fn next_touched(&mut self) -> Option<WorkerId> {
        self.touched.pop()
    }

    /// Notes where a worker stands now.
    pub(super) fn place(&mut self, worker: WorkerId, entry: &mut WorkerEntry) {
        entry.is_touched = false;
        let (old, new) = (entry.standing, entry.standing_now());
        if old == new {
            return;
        }
        entry.standing = new;
        self.withdraw(worker, entry.group, old);
        self.idle.extend(new.idle.map(|step| (entry.group, step, worker)));
        self.saturated.extend(new.saturated.map(|step| (step, worker)));
        self.has_news |= new.idle.is_some() && old.idle.is_none();
        self.has_news |= new.saturated > old.saturated;
        if new.saturated.is_none() {
            entry.drop_stealable();
        }
    }

    /// Forgets where a worker stood.
    pub(in crate::state) fn withdraw(&mut self, worker: WorkerId, group: GroupRow, old: Standing) {
        if let Some(step) = old.idle {
            self.idle.remove(&(group, step, worker));
        }
        if let Some(step) = old.saturated {
            self.saturated.remove(&(step, worker));
        }
    }

    /// Whether every worker stands where it was noted.
    pub(in crate::state) fn is_settled(&self) -> bool {
        self.touched.is_empty()
    }

    /// Whether a worker is in the table where it should be.
    pub(in crate::state) fn has(&self, worker: WorkerId, entry: &WorkerEntry) -> bool {
        let Standing { idle, saturated } = entry.standing;
        idle.is_none_or(|step| self.idle.contains(&(entry.group, step, worker)))
            && saturated.is_none_or(|step| self.saturated.contains(&(step, worker)))
    }

    /// How many workers are in the table: idle ones, and saturated ones.
    pub(in crate::state) fn lens(&self) -> (usize, usize) {
        (self.idle.len(), self.saturated.len())
    }

    /// The worker whose last task waits longest.
    pub(super) fn most_saturated(&self) -> Option<WorkerId> {
        self.saturated.last().map(|(_, worker)| *worker)
    }

    /// The idle worker of this group with the least to do, or one of another group.
    pub(super) fn idlest(&self, group: GroupRow) -> Option<WorkerId> {
        let own = self.idle.range((group, 0, WorkerId(0))..).next();
        let own = own.filter(|(g, ..)| *g == group);
        own.or_else(|| self.idle.first()).map(|(.., worker)| *worker)
    }

    /// Each idle worker in its turn.
    pub(super) fn next_thief(&mut self) -> Option<WorkerId> {
        self.last_thief = following(&self.idle, self.last_thief);
        self.last_thief.map(|(.., worker)| worker)
    }

    /// Each saturated worker in its turn.
    pub(super) fn next_victim(&mut self) -> Option<WorkerId> {
        self.last_victim = following(&self.saturated, self.last_victim);
        self.last_victim.map(|(_, worker)| worker)
    }

    pub(super) fn begin(&mut self, row: Row, theft: Theft) {
        self.in_flight.insert(row, theft);
    }

    pub(super) fn end(&mut self, row: Row) -> Option<Theft> {
        // Nearly always there are none, and this is asked for every task that ends.
        if self.in_flight.is_empty() {
            return None;
        }
        self.in_flight.remove(&row)
    }

    /// The thief of a task is gone.
    pub(super) fn lose_thief(&mut self, row: Row) {
        if let Some(theft) = self.in_flight.get_mut(&row) {
            theft.thief = None;
        }
    }

    pub(in crate::state) fn in_flight(&self) -> &BTreeMap<Row, Theft> {
        &self.in_flight
    }
}

/// The element after this one, or the first.
fn following<T: Ord + Copy>(set: &BTreeSet<T>, last: Option<T>) -> Option<T> {
    use std::ops::Bound::{Excluded, Unbounded};
    let after = last.and_then(|last| set.range((Excluded(last), Unbounded)).next());
    after.or_else(|| set.first()).copied()
}

/// How much of a task's time it costs to move it: 0 is nothing. Then the last to run comes first.
pub(in crate::state) type Place = (u8, Reverse<Priority>, Reverse<Row>);

/// The tasks of a saturated worker that can be stolen, the cheapest to move first.
///
/// There is none until somebody wants to steal from the worker, so workers whose tasks are short
/// pay nothing for it.
#[derive(Debug, Default)]
pub(in crate::state) struct Stealable {
    /// Tasks that any worker with their function may run.
    free: BTreeSet<Place>,
    /// Tasks that are restricted in where they may run. They are tried in turn: the first ones may
    /// be those that no idle worker can run.
    restricted: BTreeSet<Place>,
    levels: BTreeMap<Row, u8>,
    last_tried: Option<Place>,
    /// How many changes have paid for the next time that it is built.
    changes: usize,
}

/// Whether a task may run anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Restriction {
    None,
    Some,
}

impl Stealable {
    pub(super) fn insert(&mut self, place: Place, restriction: Restriction) {
        self.changes += 1;
        self.levels.insert(place.2.0, place.0);
        match restriction {
            Restriction::None => self.free.insert(place),
            Restriction::Some => self.restricted.insert(place),
        };
    }

    pub(in crate::state) fn remove(&mut self, priority: Priority, row: Row) {
        self.changes += 1;
        if let Some(level) = self.levels.remove(&row) {
            let place = (level, Reverse(priority), Reverse(row));
            self.free.remove(&place);
            self.restricted.remove(&place);
        }
    }

    /// The first of those that any worker may run.
    pub(super) fn first(&self, count: usize) -> Vec<Row> {
        self.free.iter().take(count).map(|place| place.2.0).collect()
    }

    /// The restricted task whose turn it is.
    pub(super) fn next_restricted(&mut self) -> Option<Row> {
        self.last_tried = following(&self.restricted, self.last_tried);
        self.last_tried.map(|place| place.2.0)
    }

    pub(super) fn restricted_len(&self) -> usize {
        self.restricted.len()
    }

    /// It was built just now.
    pub(super) fn is_built(&mut self) {
        self.changes = 0;
    }

    /// Whether it has been of use for as many changes as building it anew would take.
    pub(in crate::state) fn is_paid_for(&self) -> bool {
        self.changes >= self.levels.len()
    }

    /// All tasks in it.
    pub(in crate::state) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.levels.keys().copied()
    }

    /// Whether its parts agree.
    pub(in crate::state) fn agrees(&self) -> bool {
        let places = self.free.iter().chain(&self.restricted);
        let mut levels: Vec<(Row, u8)> = places.map(|place| (place.2.0, place.0)).collect();
        levels.sort_unstable();
        levels.into_iter().eq(self.levels.iter().map(|(row, level)| (*row, *level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_load() {
        let loads = (0..200).map(|i| 1_u64 << (i / 4 % 50)).chain([0, 5_000_000, u64::MAX]);
        let mut loads: Vec<u64> = loads.collect();
        loads.extend((1..500).map(|i| i * 777_777));
        loads.sort_unstable();
        let steps: Vec<Step> = loads.into_iter().map(step).collect();
        assert!(steps.is_sorted());
        assert!(step(100_000_000) < step(130_000_000));
        assert_eq!(step(102_000_000), step(110_000_000));
    }

    #[test]
    fn turns_go_round() {
        let set = BTreeSet::from([2, 4]);
        assert_eq!(following(&set, None), Some(2));
        assert_eq!(following(&set, Some(2)), Some(4));
        assert_eq!(following(&set, Some(3)), Some(4));
        assert_eq!(following(&set, Some(4)), Some(2));
        assert_eq!(following(&BTreeSet::<u8>::new(), Some(4)), None);
    }
}
