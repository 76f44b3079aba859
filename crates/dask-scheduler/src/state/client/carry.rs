//! Futures inside of arguments and of scattered data: a task that gets one as a part of a value
//! subscribes to its key while it runs. So the scheduler holds that key, as a client of its own,
//! for as long as it knows the task and may have it run again.

use std::collections::BTreeMap;

use dask_proto::id::{ClientId, FutureId};

use super::graph::MAX_DEPENDENCIES;
use crate::state::SchedulerState;
use crate::state::coordination::OWN;
use crate::state::instruction::Peer;
use crate::state::table::task::Row;

/// The tasks with such values.
#[derive(Debug, Default)]
pub(in crate::state) struct CarryTable {
    /// For each the tasks whose futures they carry, with the scheduler's hold on each.
    rows: BTreeMap<Row, BTreeMap<Row, FutureId>>,
}

impl CarryTable {
    /// The tasks that carry something; for the invariants.
    pub(in crate::state) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows.keys().copied()
    }

    /// The futures by which the scheduler holds what is carried; for the invariants.
    pub(in crate::state) fn futures(&self) -> impl Iterator<Item = FutureId> + '_ {
        self.rows.values().flat_map(|carried| carried.values().copied())
    }
}

impl SchedulerState {
    /// Holds what a task carries.
    pub(in crate::state) fn carry(
        &mut self,
        client: ClientId,
        carrier: FutureId,
        futures: &[FutureId],
    ) {
        let Some(row) = self.task_of(client, carrier) else { return };
        for future in futures {
            let Some(inner) = self.task_of(client, *future) else { continue };
            // A future is there before the value that it is in. What only says so could form a
            // circle, in which tasks keep each other for ever.
            if self.tasks[inner].priority().sequence >= self.tasks[row].priority().sequence {
                continue;
            }
            let carried = self.carried.rows.get(&row);
            if carried.is_some_and(|carried| carried.contains_key(&inner)) {
                continue;
            }
            if carried.is_some_and(|carried| carried.len() == MAX_DEPENDENCIES) {
                let reason = format!("a task carries more than {MAX_DEPENDENCIES} futures");
                return self.disconnect(Peer::Client(client), reason);
            }
            let own = self.hold_itself(inner);
            self.carried.rows.entry(row).or_default().insert(inner, own);
        }
    }

    /// Lets go of what a task carried that is forgotten.
    pub(in crate::state) fn forget_carried(&mut self, row: Row) {
        if self.carried.rows.is_empty() {
            return;
        }
        for own in self.carried.rows.remove(&row).unwrap_or_default().into_values() {
            self.release_future(OWN, own);
        }
    }
}
