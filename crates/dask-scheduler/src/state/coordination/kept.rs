//! Values that the scheduler keeps for clients, and the keys of the futures in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use dask_proto::Payload;
use dask_proto::id::{ClientId, FutureId};
use dask_proto::limits::{
    BLOB_PAYLOAD_BYTES, KEPT_ENTRY_BYTES, MAX_KEPT_BYTES, MAX_KEPT_BYTES_OF_CLIENT,
    MAX_KEPT_VALUE_BYTES,
};
use dask_proto::message::{Code, CoordinationRefusal, Kept, KeptValue};

use crate::state::SchedulerState;
use crate::state::client::entry::ClientEntry;
use crate::state::table::task::{Hold, Row};

/// The scheduler itself, as the client that holds the keys of what it keeps. Clients that connect
/// are counted from 1.
pub(in crate::state) const OWN: ClientId = ClientId(0);

/// What a key costs besides its text, in bytes.
const KEY_BYTES: u64 = 128;

/// A value that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct KeptId(u64);

/// All of them.
#[derive(Debug, Default)]
pub(in crate::state) struct KeptTable {
    entries: BTreeMap<KeptId, KeptEntry>,
    bytes: u64,
    /// How much of that each client brought that is here.
    by_client: BTreeMap<ClientId, u64>,
    next: u64,
    next_future: u64,
    /// Futures that are held for nothing any more.
    released: Vec<FutureId>,
    /// The value that the request in work brings.
    pub(super) brought: Option<KeptId>,
}

#[derive(Debug)]
struct KeptEntry {
    value: KeptValue,
    /// The scheduler's holds on the keys in it.
    holds: Vec<FutureId>,
    /// Who brought it.
    client: ClientId,
    nbytes: u64,
    /// In how many places it is.
    uses: u32,
}

impl KeptTable {
    pub(in crate::state) fn get(&self, id: KeptId) -> Option<&KeptValue> {
        self.entries.get(&id).map(|entry| &entry.value)
    }

    /// Notes that it is in one place more.
    pub(in crate::state) fn share(&mut self, id: KeptId) -> KeptId {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.uses += 1;
        }
        id
    }

    /// Notes that it is in one place less. In none, it is forgotten.
    pub(in crate::state) fn drop_one(&mut self, id: KeptId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.uses -= 1;
        if entry.uses == 0
            && let Some(entry) = self.entries.remove(&id)
        {
            self.bytes -= entry.nbytes;
            if let Some(bytes) = self.by_client.get_mut(&entry.client) {
                *bytes = bytes.saturating_sub(entry.nbytes);
            }
            self.released.extend(entry.holds);
        }
    }

    /// Whether the scheduler has ever held a key itself.
    pub(super) fn has_held(&self) -> bool {
        self.next_future > 0
    }

    /// The futures by which the scheduler itself holds keys; for the invariants.
    pub(in crate::state) fn futures(&self) -> impl Iterator<Item = FutureId> + '_ {
        self.entries.values().flat_map(|entry| entry.holds.iter().copied())
    }

    /// A client is gone: what it brought counts for all.
    pub(super) fn forget_client(&mut self, client: ClientId) {
        self.by_client.remove(&client);
    }

    /// Whether the bytes of all values are counted; for the invariants.
    pub(in crate::state) fn adds_up(&self) -> bool {
        let mut by_client: BTreeMap<ClientId, u64> = BTreeMap::new();
        for entry in self.entries.values() {
            *by_client.entry(entry.client).or_default() += entry.nbytes;
        }
        let are_counted = self
            .by_client
            .iter()
            .all(|(client, bytes)| by_client.get(client).copied().unwrap_or_default() == *bytes);
        are_counted && self.entries.values().map(|entry| entry.nbytes).sum::<u64>() == self.bytes
    }

    /// How often each value is used; for the invariants.
    pub(super) fn uses(&self) -> impl Iterator<Item = (KeptId, u32)> + '_ {
        self.entries.iter().map(|(id, entry)| (*id, entry.uses))
    }
}

impl SchedulerState {
    /// Keeps a value, in one place, and the keys of the futures in it.
    pub(in crate::state) fn keep(
        &mut self,
        client: ClientId,
        value: KeptValue,
    ) -> Result<KeptId, CoordinationRefusal> {
        let keys = value.futures.iter().map(|key| key.as_str().len() as u64 + KEY_BYTES);
        let nbytes = keys.fold(value.payload.nbytes(), u64::saturating_add);
        if nbytes > MAX_KEPT_VALUE_BYTES {
            let limit = MAX_KEPT_VALUE_BYTES;
            return Err(CoordinationRefusal::ValueTooLarge { nbytes, limit });
        }
        let nbytes = nbytes + KEPT_ENTRY_BYTES;
        if self.coordination.kept.bytes + nbytes > MAX_KEPT_BYTES {
            return Err(CoordinationRefusal::Full(Kept::Bytes));
        }
        let its_own = self.coordination.kept.by_client.get(&client).copied().unwrap_or_default();
        if its_own + nbytes > MAX_KEPT_BYTES_OF_CLIENT {
            return Err(CoordinationRefusal::Share(Kept::Bytes));
        }
        let mut rows = Vec::with_capacity(value.futures.len());
        for key in &value.futures {
            let row = self.tasks.find(key.as_str());
            rows.push(row.ok_or_else(|| CoordinationRefusal::UnknownKey(key.clone()))?);
        }
        let holds = rows.into_iter().map(|row| self.hold_itself(row)).collect();
        let value = KeptValue { payload: alone(value.payload), ..value };
        let kept = &mut self.coordination.kept;
        let id = KeptId(kept.next);
        kept.next += 1;
        kept.bytes += nbytes;
        *kept.by_client.entry(client).or_default() += nbytes;
        kept.entries.insert(id, KeptEntry { value, holds, client, nbytes, uses: 1 });
        Ok(id)
    }

    /// Holds a task for the scheduler itself, by a new future.
    pub(in crate::state) fn hold_itself(&mut self, row: Row) -> FutureId {
        let new = || ClientEntry::new("the scheduler".to_owned(), Code::Withheld);
        self.clients.entry(OWN).or_insert_with(new);
        self.coordination.kept.next_future += 1;
        let future = FutureId(self.coordination.kept.next_future);
        self.hold(Hold { client: OWN, future }, row);
        future
    }

    /// Lets go of the keys of what is kept no longer.
    pub(in crate::state) fn let_go_of_kept(&mut self) {
        for future in std::mem::take(&mut self.coordination.kept.released) {
            self.release_future(OWN, future);
        }
    }
}

/// A payload that holds on to no more memory than it has bytes. A small one is a part of the batch
/// that it came with, which it would keep from being freed.
pub(in crate::state) fn alone(payload: Payload) -> Payload {
    match payload {
        Payload::Bytes(bytes) if bytes.len() <= BLOB_PAYLOAD_BYTES => {
            Bytes::copy_from_slice(&bytes).into()
        }
        payload => payload,
    }
}
