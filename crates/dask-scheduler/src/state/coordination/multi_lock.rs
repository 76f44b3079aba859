use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Key;
use dask_proto::id::ClientId;
use dask_proto::limits::{
    LOCKS_AT_ONCE, MAX_KEPT_REQUESTS, MAX_KEPT_REQUESTS_OF_CLIENT, MAX_LOCK_NAMES_BYTES,
};
use dask_proto::message::{Answer, CoordinationRefusal, Kept, Patience, Refusal};

use super::{CoordinationTable, Outcome, Place, Ticket, not_now};
use crate::state::client::request::Asked;

/// Locks of which several are held at once.
///
/// A request stands in the lines of all its locks from the start, in the order in which requests
/// came, and has a lock when it is the first in its line. So no two can each wait for what the
/// other has.
#[derive(Debug, Default)]
pub(super) struct MultiLockTable {
    requests: BTreeMap<Asked, MultiLockEntry>,
    lines: BTreeMap<Key, BTreeMap<Ticket, Asked>>,
    /// In how many lines requests stand, all in all and by client.
    stands: usize,
    by_client: BTreeMap<ClientId, usize>,
}

#[derive(Debug)]
struct MultiLockEntry {
    ticket: Ticket,
    /// The locks in whose lines it stands.
    names: BTreeSet<Key>,
    /// How many of them it needs.
    count: usize,
    /// Whether it has them.
    is_granted: bool,
}

impl MultiLockTable {
    pub(super) fn names(&self) -> usize {
        self.lines.len()
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn knows(&self, asked: Asked) -> bool {
        self.requests.contains_key(&asked)
    }

    /// Whether every request that waits is not the first in enough lines, and every other is the
    /// first in all of its lines.
    pub(super) fn is_settled(&self) -> bool {
        let stands = self.requests.values().map(|entry| entry.names.len()).sum::<usize>();
        let are_first = self.requests.values().all(|entry| {
            let first = entry.names.iter().filter(|name| self.is_first(name, entry.ticket));
            let first = first.count();
            if entry.is_granted { first == entry.names.len() } else { first < entry.count }
        });
        are_first
            && self.stands == stands
            && self.by_client.values().sum::<usize>() == stands
            && self.lines.values().map(BTreeMap::len).sum::<usize>() == stands
    }

    /// A name as its line has it, if there is one: whoever else names it, its text is there once.
    fn known(&self, name: Key) -> Key {
        self.lines.get_key_value(&name).map_or(name, |(known, _)| known.clone())
    }

    fn is_first(&self, name: &Key, ticket: Ticket) -> bool {
        let first = self.lines.get(name).and_then(BTreeMap::first_key_value);
        first.is_some_and(|(first, _)| *first == ticket)
    }

    /// Lets a request that is the first in enough lines have those locks, and leave the others;
    /// who comes first in these then.
    fn grant(&mut self, asked: Asked) -> Option<Vec<Asked>> {
        let entry = self.requests.get(&asked).filter(|entry| !entry.is_granted)?;
        let first = entry.names.iter().filter(|name| self.is_first(name, entry.ticket));
        let first: BTreeSet<Key> = first.take(entry.count).cloned().collect();
        if first.len() < entry.count {
            return None;
        }
        let entry = self.requests.get_mut(&asked)?;
        entry.is_granted = true;
        let ticket = entry.ticket;
        let others = std::mem::replace(&mut entry.names, first);
        let left = others.into_iter().filter(|name| !entry.names.contains(name));
        let left: Vec<Key> = left.collect();
        Some(self.leave(&left, ticket))
    }

    /// Takes a request out of lines; who comes first in them then.
    fn leave<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a Key>,
        ticket: Ticket,
    ) -> Vec<Asked> {
        // Who waits for many of them is to be looked at once.
        let mut next = BTreeSet::new();
        for name in names {
            let Some(line) = self.lines.get_mut(name) else { continue };
            let left = line.remove(&ticket);
            match line.first_key_value() {
                Some((_, first)) => drop(next.insert(*first)),
                None => drop(self.lines.remove(name)),
            }
            if let Some((client, _)) = left {
                self.stand(client, |stands| stands - 1);
            }
        }
        next.into_iter().collect()
    }

    /// Counts in how many lines a client's requests stand.
    fn stand(&mut self, client: ClientId, change: impl Fn(usize) -> usize) {
        self.stands = change(self.stands);
        let its_own = self.by_client.entry(client).or_default();
        *its_own = change(*its_own);
        if *its_own == 0 {
            self.by_client.remove(&client);
        }
    }
}

impl CoordinationTable {
    pub(super) fn multi_lock(
        &mut self,
        asked: Asked,
        (names, wanted): (Vec<Key>, u32),
        patience: Patience,
    ) -> Outcome {
        let bytes: usize = names.iter().map(|name| name.as_str().len()).sum();
        if names.len() > LOCKS_AT_ONCE || bytes > MAX_LOCK_NAMES_BYTES {
            return Ok(Some(Answer::Refused(Refusal::TooLarge)));
        }
        let names: BTreeSet<Key> =
            names.into_iter().map(|name| self.multi_locks.known(name)).collect();
        let new = names.iter().filter(|name| !self.multi_locks.lines.contains_key(*name)).count();
        self.check_names(new)?;
        if self.multi_locks.stands + names.len() > MAX_KEPT_REQUESTS {
            return Err(CoordinationRefusal::Full(Kept::Requests));
        }
        let its_own = self.multi_locks.by_client.get(&asked.0).copied().unwrap_or(0);
        if its_own + names.len() > MAX_KEPT_REQUESTS_OF_CLIENT {
            return Err(CoordinationRefusal::Share(Kept::Requests));
        }
        let ticket = self.ticket();
        self.multi_locks.stand(asked.0, |stands| stands + names.len());
        for name in &names {
            let line = self.multi_locks.lines.entry(name.clone()).or_default();
            line.insert(ticket, asked);
        }
        let wanted = (wanted as usize).min(names.len());
        let entry = MultiLockEntry { ticket, names, count: wanted, is_granted: false };
        self.multi_locks.requests.insert(asked, entry);
        self.places.insert(asked, Place::MultiLock);
        if let Some(next) = self.multi_locks.grant(asked) {
            self.grant_locks(next);
            return Ok(Some(Answer::Done));
        }
        let answer = not_now(patience);
        if answer.is_some() {
            self.forget(asked);
        }
        Ok(answer)
    }

    /// A request gives up its locks, or its places in their lines.
    pub(super) fn release_locks(&mut self, asked: Asked) {
        if let Some(entry) = self.multi_locks.requests.remove(&asked) {
            let next = self.multi_locks.leave(&entry.names, entry.ticket);
            self.grant_locks(next);
        }
    }

    fn grant_locks(&mut self, mut candidates: Vec<Asked>) {
        while let Some(asked) = candidates.pop() {
            if let Some(next) = self.multi_locks.grant(asked) {
                self.answers.push((asked, Answer::Done));
                candidates.extend(next);
            }
        }
    }
}
