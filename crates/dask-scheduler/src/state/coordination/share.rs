//! How many of the names that stay each client brought.

use std::collections::BTreeMap;

use dask_proto::id::ClientId;
use dask_proto::limits::MAX_KEPT_NAMES_OF_CLIENT;
use dask_proto::message::{CoordinationRefusal, Kept};

/// The names that connected clients were the first to mention.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_client: BTreeMap<ClientId, usize>,
}

impl Shares {
    /// Whether a client may bring another one. No client has all that there can be.
    pub(super) fn check(&self, client: ClientId) -> Result<(), CoordinationRefusal> {
        let has_all = self.by_client.get(&client).is_some_and(|n| *n >= MAX_KEPT_NAMES_OF_CLIENT);
        if has_all { Err(CoordinationRefusal::Share(Kept::Names)) } else { Ok(()) }
    }

    /// A client brings a name.
    pub(super) fn add(&mut self, client: ClientId) {
        *self.by_client.entry(client).or_default() += 1;
    }

    /// A name is gone that a client brought, which may be gone itself.
    pub(super) fn remove(&mut self, client: ClientId) {
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }

    /// A client is gone: the names that it brought count for all.
    pub(super) fn forget_client(&mut self, client: ClientId) {
        self.by_client.remove(&client);
    }

    /// Whether these are all of them, each by who brought it; for the invariants.
    pub(super) fn are(&self, brought: impl Iterator<Item = ClientId>) -> bool {
        let mut counts: BTreeMap<ClientId, usize> = BTreeMap::new();
        brought.for_each(|client| *counts.entry(client).or_default() += 1);
        counts == self.by_client
    }
}
