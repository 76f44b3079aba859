//! What holds between two events; for the invariants.

use std::collections::BTreeMap;

use dask_proto::id::ClientId;

use super::kept::KeptId;
use super::{CoordinationTable, Place};

impl CoordinationTable {
    /// The clients whose requests are not over.
    pub(in crate::state) fn clients(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.places.iter().map(|((client, _), _)| *client)
    }

    /// Whether everything that is kept is in as many places as is counted.
    pub(in crate::state) fn is_kept_for_a_reason(&self) -> bool {
        let mut uses: BTreeMap<KeptId, u32> = BTreeMap::new();
        let mut note = |id: KeptId| *uses.entry(id).or_default() += 1;
        for entry in self.queues.values() {
            entry.values.iter().copied().for_each(&mut note);
            entry.putters.values().map(|(_, value)| *value).for_each(&mut note);
        }
        self.variables.values().filter_map(|entry| entry.value).for_each(&mut note);
        self.datasets.values().map(|named| named.value).for_each(&mut note);
        self.metadata.values().map(|named| named.value).for_each(&mut note);
        for (_, place) in self.places.iter() {
            if let Place::Answered { values, .. } = place {
                values.iter().copied().for_each(&mut note);
            }
        }
        uses.into_iter().eq(self.kept.uses())
    }

    /// Whether every name is counted for whoever brought it.
    pub(in crate::state) fn names_add_up(&self, is_here: impl Fn(&ClientId) -> bool) -> bool {
        let events = self.events.values().map(|entry| entry.by);
        let queues = self.queues.values().map(|entry| entry.by);
        let variables = self.variables.values().map(|entry| entry.by);
        let named = self.datasets.values().chain(self.metadata.values()).map(|named| named.by);
        self.shares.are(events.chain(queues).chain(variables).chain(named).filter(is_here))
    }

    /// Whether every request is found where its place says, and in no other line.
    pub(in crate::state) fn places_agree(&self) -> bool {
        let is_there = self.places.iter().all(|(asked, place)| match place {
            Place::Event(name, ticket) => {
                let entry = self.events.get(name);
                entry.is_some_and(|e| e.waiting.get(ticket) == Some(&(*asked, ())))
            }
            Place::SemaphoreLine(name, ticket) => {
                let entry = self.semaphores.get(name);
                entry.is_some_and(|e| e.waiting.get(ticket) == Some(&(*asked, ())))
            }
            Place::Lease(name) => {
                self.semaphores.get(name).is_some_and(|e| e.leases.contains(asked))
            }
            Place::MultiLock => self.multi_locks.knows(*asked),
            Place::Getters(name, ticket) => {
                self.queues.get(name).is_some_and(|e| e.getters.contains_key(ticket))
            }
            Place::Putters(name, ticket) => {
                self.queues.get(name).is_some_and(|e| e.putters.contains_key(ticket))
            }
            Place::Variable(name, ticket) => {
                self.variables.get(name).is_some_and(|e| e.getters.contains_key(ticket))
            }
            Place::Answered { .. } => true,
        });
        let places = self.places.iter().map(|(_, place)| place);
        let answered = places.filter(|place| matches!(place, Place::Answered { .. })).count();
        let events: usize = self.events.values().map(|e| e.waiting.len()).sum();
        let semaphores = self.semaphores.values().map(|e| e.waiting.len() + e.leases.len());
        let queues = self.queues.values().map(|e| e.getters.len() + e.putters.len());
        let variables: usize = self.variables.values().map(|e| e.getters.len()).sum();
        let standing = events + semaphores.sum::<usize>() + queues.sum::<usize>() + variables;
        is_there
            && self.places.add_up()
            && self.places.len() == answered + standing + self.multi_locks.len()
    }

    /// Whether nobody waits for what is there.
    pub(in crate::state) fn nobody_waits_for_nothing(&self) -> bool {
        let events = self.events.values().all(|e| e.is_set == e.waiting.is_empty());
        let mut semaphores = self.semaphores.values();
        let semaphores =
            semaphores.all(|e| !e.leases.is_empty() && (e.is_full() || e.waiting.is_empty()));
        let queues = self.queues.values().all(super::QueueEntry::is_settled);
        let mut variables = self.variables.values();
        let variables = variables.all(|e| e.value.is_some() == e.getters.is_empty());
        events && semaphores && queues && variables && self.multi_locks.is_settled()
    }
}
