use std::collections::BTreeSet;

use dask_proto::Key;
use dask_proto::message::{Answer, CoordinationRefusal, Patience, Refusal, SemaphoreAction};

use super::{CoordinationTable, Line, Outcome, Place, Ticket, count, not_now};
use crate::state::client::request::Asked;

/// A semaphore that is leased; any other needs no entry.
#[derive(Debug)]
pub(super) struct SemaphoreEntry {
    max_leases: u32,
    /// The requests that were granted.
    pub(super) leases: BTreeSet<Asked>,
    /// Those that were not: as long as there are any, all leases are granted.
    pub(super) waiting: Line,
}

impl SemaphoreEntry {
    pub(super) fn is_full(&self) -> bool {
        self.leases.len() >= self.max_leases as usize
    }
}

impl CoordinationTable {
    pub(super) fn semaphore(
        &mut self,
        asked: Asked,
        (name, max_leases): (Key, u32),
        action: &SemaphoreAction,
    ) -> Outcome {
        match action {
            SemaphoreAction::Acquire(patience) => {
                return self.acquire(asked, (name, max_leases), *patience);
            }
            SemaphoreAction::Value => {
                let leases = self.semaphores.get(&name).map(|entry| entry.leases.len());
                return Ok(Some(count(leases.unwrap_or(0))));
            }
            _ => self.close_semaphore(&name),
        }
        Ok(Some(Answer::Done))
    }

    fn acquire(
        &mut self,
        asked: Asked,
        (name, max_leases): (Key, u32),
        patience: Patience,
    ) -> Outcome {
        if !self.semaphores.contains_key(&name) {
            self.check_name()?;
        }
        let ticket = self.ticket();
        let new = || SemaphoreEntry {
            max_leases: max_leases.max(1),
            leases: BTreeSet::new(),
            waiting: Line::new(),
        };
        let entry = self.semaphores.entry(name.clone()).or_insert_with(new);
        if entry.max_leases != max_leases.max(1) {
            let max_leases = entry.max_leases;
            return Err(CoordinationRefusal::OtherLeases { name, max_leases });
        }
        if !entry.is_full() {
            entry.leases.insert(asked);
            self.places.insert(asked, Place::Lease(name));
            return Ok(Some(Answer::Done));
        }
        let answer = not_now(patience);
        if answer.is_none() {
            entry.waiting.insert(ticket, (asked, ()));
            self.places.insert(asked, Place::SemaphoreLine(name, ticket));
        }
        Ok(answer)
    }

    pub(super) fn leave_semaphore(&mut self, name: &Key, ticket: Ticket) {
        if let Some(entry) = self.semaphores.get_mut(name) {
            entry.waiting.remove(&ticket);
        }
    }

    /// A lease ends, and goes to the next who waits.
    pub(super) fn release_lease(&mut self, name: &Key, asked: Asked) {
        let Some(entry) = self.semaphores.get_mut(name) else { return };
        entry.leases.remove(&asked);
        if let Some((_, (next, ()))) = entry.waiting.pop_first() {
            entry.leases.insert(next);
            self.places.insert(next, Place::Lease(name.clone()));
            self.answers.push((next, Answer::Done));
        }
        if entry.leases.is_empty() {
            self.semaphores.remove(name);
        }
    }

    fn close_semaphore(&mut self, name: &Key) {
        let Some(entry) = self.semaphores.remove(name) else { return };
        for asked in entry.leases {
            self.places.remove(&asked);
        }
        for (asked, ()) in entry.waiting.into_values() {
            self.places.remove(&asked);
            let refusal = Refusal::Coordination(CoordinationRefusal::Closed(name.clone()));
            self.answers.push((asked, Answer::Refused(refusal)));
        }
    }
}
