//! What holds for what the scheduler keeps for clients.

use std::collections::BTreeSet;

use super::{Check, Violation};
use crate::state::SchedulerState;
use crate::state::client::entry::ClientEntry;
use crate::state::coordination::OWN;

impl SchedulerState {
    pub(super) fn coordination_adds_up(&self) -> Check {
        let kept = self.coordination.kept.futures().chain(self.carried.futures());
        let kept: BTreeSet<u64> = kept.map(|future| future.0).collect();
        let own = self.clients.get(&OWN).into_iter().flat_map(ClientEntry::future_ids);
        let own: BTreeSet<u64> = own.map(|future| future.0).collect();
        ensure!(kept == own, "the scheduler holds the keys in what it keeps, and no others")?;
        let known = self.carried.rows().all(|row| self.tasks.get(row).is_some());
        ensure!(known, "what is carried is carried by a known task")?;
        ensure!(self.coordination.kept.adds_up(), "what is kept is counted in bytes")?;
        let add_up = self.coordination.names_add_up(|client| self.clients.contains_key(client));
        ensure!(add_up, "names count for whoever brought them")?;
        ensure!(self.coordination.is_kept_for_a_reason(), "what is kept is somewhere")?;
        let mut clients = self.coordination.clients().chain(self.topics.subscribers());
        let connected = clients.all(|client| self.clients.contains_key(&client));
        ensure!(connected, "requests that are not over are those of connected clients")?;
        ensure!(self.coordination.places_agree(), "requests stand where they are said to")?;
        ensure!(self.coordination.nobody_waits_for_nothing(), "what is free is given to who waits")
    }
}
