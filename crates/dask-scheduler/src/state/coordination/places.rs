use std::collections::BTreeMap;

use dask_proto::Key;
use dask_proto::id::{ClientId, RequestId};
use dask_proto::limits::{MAX_KEPT_REQUESTS, MAX_KEPT_REQUESTS_OF_CLIENT};
use dask_proto::message::{CoordinationRefusal, Kept};

use super::Ticket;
use super::kept::KeptId;
use crate::state::client::request::Asked;

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits for an event.
    Event(Key, Ticket),
    /// It waits for a lease.
    SemaphoreLine(Key, Ticket),
    /// It has a lease.
    Lease(Key),
    /// It waits for several locks, or has them.
    MultiLock,
    /// It waits for values.
    Getters(Key, Ticket),
    /// It waits for room.
    Putters(Key, Ticket),
    /// It waits for a value.
    Variable(Key, Ticket),
    /// It was answered with these values. They go back to the queue, if they come from one.
    Answered { from: Option<Key>, values: Vec<KeptId> },
}

/// Where the requests stand that are not over, and how many of them each client has.
#[derive(Debug, Default)]
pub(super) struct Places {
    by_request: BTreeMap<Asked, Place>,
    by_client: BTreeMap<ClientId, usize>,
}

impl Places {
    /// Whether a client may have another one. No client has all that there can be.
    pub(super) fn check_room(&self, client: ClientId) -> Result<(), CoordinationRefusal> {
        if self.by_request.len() >= MAX_KEPT_REQUESTS {
            return Err(CoordinationRefusal::Full(Kept::Requests));
        }
        if self.by_client.get(&client).is_some_and(|n| *n >= MAX_KEPT_REQUESTS_OF_CLIENT) {
            return Err(CoordinationRefusal::Share(Kept::Requests));
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, asked: Asked, place: Place) {
        if self.by_request.insert(asked, place).is_none() {
            *self.by_client.entry(asked.0).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, asked: &Asked) -> Option<Place> {
        let place = self.by_request.remove(asked)?;
        if let Some(count) = self.by_client.get_mut(&asked.0) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&asked.0);
            }
        }
        Some(place)
    }

    pub(super) fn get(&self, asked: &Asked) -> Option<&Place> {
        self.by_request.get(asked)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Asked, &Place)> {
        self.by_request.iter()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.by_request.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.by_request.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_request.is_empty()
    }

    /// The requests of a client.
    pub(super) fn of(&self, client: ClientId) -> Vec<Asked> {
        let all = (client, RequestId(0))..=(client, RequestId(u64::MAX));
        self.by_request.range(all).map(|(asked, _)| *asked).collect()
    }

    /// Whether they are counted; for the invariants.
    pub(super) fn add_up(&self) -> bool {
        let mut counts: BTreeMap<ClientId, usize> = BTreeMap::new();
        self.by_request.keys().for_each(|asked| *counts.entry(asked.0).or_default() += 1);
        counts == self.by_client
    }
}
