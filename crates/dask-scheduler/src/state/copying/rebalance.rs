//! Dask's `rebalance`: results move from workers that hold much to workers that hold little.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::{FutureId, WorkerId};
use dask_proto::message::Answer;

use super::errand::{Aim, ErrandId, Item, Progress};
use crate::state::SchedulerState;
use crate::state::client::request::Asked;
use crate::state::table::task::Row;

/// A worker within one part in so many of the mean is left alone: half of Dask's
/// `sender-recipient-gap` of 10 %.
const GAP: u64 = 20;

/// This many of the workers that hold least are considered for one result.
const RECIPIENTS: usize = 16;

/// A result that is to move.
struct Move {
    row: Row,
    from: WorkerId,
    to: WorkerId,
}

impl SchedulerState {
    /// Starts to rebalance; an answer if that is refused. Results that are not in memory are
    /// waited for.
    ///
    /// Dask compares the memory of processes with their limits; here the bytes of results that
    /// workers hold are compared with their mean, so that it works without limits too.
    pub(in crate::state) fn rebalance(
        &mut self,
        asked_by: Asked,
        futures: &[FutureId],
        names: &[String],
    ) -> Option<Answer> {
        let (rows, among) = match self.results_and_workers(asked_by, futures, names) {
            Ok(found) => found,
            Err(refusal) => return Some(Answer::Refused(refusal)),
        };
        let targets = self.as_targets(std::iter::empty());
        let selected = (!futures.is_empty()).then(|| rows.clone());
        let errand = self.errands.open(Aim::Rebalance { asked_by, selected, among }, targets);
        for row in rows {
            self.errands.add_item(errand, row, Item::default());
        }
        None
    }

    /// Everything that was waited for is in memory, or never will be: says what moves where.
    pub(in crate::state) fn plan_moves(
        &mut self,
        errand: ErrandId,
        selected: Option<&BTreeSet<Row>>,
        among: &[WorkerId],
    ) {
        for Move { row, from, to } in self.moves(selected, among) {
            let path = Some((from, to));
            self.errands.add_item(errand, row, Item { path, ..Item::default() });
            self.want_copy(row, to, errand);
        }
        // Also when there is nothing to move.
        self.errands.call(errand);
    }

    fn moves(&self, selected: Option<&BTreeSet<Row>>, among: &[WorkerId]) -> Vec<Move> {
        let held = among.iter().filter(|worker| self.takes_copies(**worker));
        let held = held.filter_map(|worker| Some((self.workers.get(*worker)?.nbytes, *worker)));
        let mut held: Vec<(u64, WorkerId)> = held.collect();
        held.sort_unstable();
        let total = held.iter().fold(0u64, |total, (bytes, _)| total.saturating_add(*bytes));
        let mean = total / (held.len() as u64).max(1);
        let limit = mean.saturating_add(mean / GAP);
        let split = held.partition_point(|(bytes, _)| *bytes <= limit);
        let senders = held.split_off(split);
        let recipients = held.into_iter().collect();
        let mut plan = Plan { state: self, limit, recipients, moves: BTreeMap::new() };
        for (bytes, from) in senders.into_iter().rev() {
            let rows = self.movable(from, selected);
            // First what fits below the mean; then whatever makes the difference smaller.
            let bytes = plan.send(from, bytes, &rows, |_| limit);
            plan.send(from, bytes, &rows, |bytes| bytes.saturating_sub(1));
        }
        plan.moves.into_values().collect()
    }

    /// The results that may leave a worker, the largest first: not those that its tasks need.
    fn movable(
        &self,
        worker: WorkerId,
        selected: Option<&BTreeSet<Row>>,
    ) -> Vec<(Reverse<u64>, Row)> {
        let rows = self.workers.get(worker).into_iter().flat_map(|entry| entry.has.iter());
        let rows = rows.filter(|row| selected.is_none_or(|selected| selected.contains(row)));
        let sized = rows.filter_map(|row| Some((Reverse(self.tasks[row].nbytes()?), row)));
        let mut movable: Vec<_> = sized
            .filter(|(nbytes, row)| nbytes.0 > 0 && !self.is_needed_at(*row, worker))
            .collect();
        movable.sort_unstable();
        movable
    }

    fn holds(&self, worker: WorkerId, row: Row) -> bool {
        let holders = self.tasks[row].holders();
        holders.is_some_and(|holders| holders.contains(worker))
    }

    pub(in crate::state) fn pursue_move(&mut self, errand: ErrandId, row: Row) -> Progress {
        let item = self.errands.item(row, errand);
        let Some((from, to)) = item.and_then(|item| item.path) else {
            return Progress::Over;
        };
        if !self.holds(from, row) {
            // It was lost or released, or the worker left: there is nothing to move.
            Progress::Over
        } else if self.holds(to, row) {
            if !self.is_needed_at(row, from) {
                self.drop_copy(row, from);
            }
            Progress::Over
        } else if item.is_some_and(|item| item.under_way > 0) {
            Progress::Waiting
        } else {
            Progress::Failed
        }
    }
}

/// What is to move, while it is thought out.
struct Plan<'a> {
    state: &'a SchedulerState,
    /// A worker that holds no more than this sends nothing.
    limit: u64,
    /// Those that receive, by what they will hold.
    recipients: BTreeSet<(u64, WorkerId)>,
    moves: BTreeMap<Row, Move>,
}

impl Plan<'_> {
    /// Has a worker send results until it holds little enough. A recipient may come to hold as
    /// much as `most` says, given what the sender holds. What the sender holds then.
    fn send(
        &mut self,
        from: WorkerId,
        mut bytes: u64,
        rows: &[(Reverse<u64>, Row)],
        most: impl Fn(u64) -> u64,
    ) -> u64 {
        for (Reverse(nbytes), row) in rows {
            if bytes <= self.limit {
                break;
            }
            if self.moves.contains_key(row) {
                continue;
            }
            let first = self.recipients.iter().take(RECIPIENTS);
            let mut fitting = first.filter(|(held, worker)| {
                held.saturating_add(*nbytes) <= most(bytes) && !self.state.holds(*worker, *row)
            });
            if let Some((held, to)) = fitting.next().copied() {
                self.recipients.remove(&(held, to));
                self.recipients.insert((held.saturating_add(*nbytes), to));
                bytes = bytes.saturating_sub(*nbytes);
                self.moves.insert(*row, Move { row: *row, from, to });
            }
        }
        bytes
    }
}
