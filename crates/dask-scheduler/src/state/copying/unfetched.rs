//! Results that could not be had from the workers that hold them.
//!
//! Two workers that both live may not reach each other. What the one needs and the other has is
//! then computed again, by all that placement knows in the same place, to be out of reach again.

use std::collections::BTreeMap;

use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::table::spec::Spec;
use crate::state::table::task::Row;

/// A result that was lost so often because its last holder did not hand it over is computed where
/// it is needed. Before that the holder is likely to be dead, and its results are spread out.
const PATIENCE: u32 = 2;

/// Who could not fetch a result that had no other holder.
#[derive(Debug)]
struct Unfetched {
    by: WorkerId,
    times: u32,
}

/// The results of which this is known, until they are forgotten.
#[derive(Debug, Default)]
pub(in crate::state) struct UnfetchedTable {
    rows: BTreeMap<Row, Unfetched>,
}

impl UnfetchedTable {
    pub(in crate::state) fn forget(&mut self, row: Row) {
        if !self.rows.is_empty() {
            self.rows.remove(&row);
        }
    }

    pub(in crate::state) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows.keys().copied()
    }
}

impl SchedulerState {
    /// Notes that a worker could not fetch a result, if that was the last copy.
    pub(in crate::state) fn not_fetched(&mut self, row: Row, by: WorkerId) {
        let holders = self.tasks[row].holders();
        if holders.is_some_and(|holders| holders.is_empty()) {
            let unfetched = self.unfetched.rows.entry(row).or_insert(Unfetched { by, times: 0 });
            unfetched.by = by;
            unfetched.times = unfetched.times.saturating_add(1);
        }
    }

    /// The worker that needs a result and cannot fetch it from where it was computed, if it may
    /// compute it itself.
    pub(in crate::state) fn where_it_is_missed(&self, row: Row, spec: &Spec) -> Option<WorkerId> {
        let unfetched = self.unfetched.rows.get(&row)?;
        let entry = self.workers.get(unfetched.by)?;
        let options = spec.options();
        let may = options.allow_other_workers
            || options.workers.is_empty()
            || options.workers.iter().any(|text| self.workers.is_named(text, unfetched.by));
        let can = self.can_run(unfetched.by, spec.function) && entry.supplies(&options.resources);
        (unfetched.times >= PATIENCE && may && can).then_some(unfetched.by)
    }
}
