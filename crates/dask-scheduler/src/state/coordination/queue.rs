use std::collections::VecDeque;

use dask_proto::Key;
use dask_proto::id::ClientId;
use dask_proto::limits::VALUES_AT_ONCE;
use dask_proto::message::{Answer, CoordinationRefusal, Patience, QueueAction, Refusal};

use super::kept::KeptId;
use super::{CoordinationTable, Line, Outcome, Place, Ticket, count, not_now};
use crate::state::client::request::Asked;

/// A queue that has values, is waited for, or is bounded; any other needs no entry.
#[derive(Debug)]
pub(super) struct QueueEntry {
    /// Who was the first to mention it.
    pub(super) by: ClientId,
    /// How many values it takes; 0 for no limit.
    maxsize: u32,
    pub(super) values: VecDeque<KeptId>,
    /// Who waits for values, and for how many.
    pub(super) getters: Line<usize>,
    /// Who waits for room, and with what.
    pub(super) putters: Line<KeptId>,
}

impl QueueEntry {
    fn new(by: ClientId) -> Self {
        let (values, getters, putters) = (VecDeque::new(), Line::new(), Line::new());
        Self { by, maxsize: 0, values, getters, putters }
    }

    /// Whether another value may come in: also one that the first getter needs to go on.
    fn has_room(&self) -> bool {
        let wanted = self.getters.first_key_value().map_or(0, |(_, (_, wanted))| *wanted);
        self.maxsize == 0 || self.values.len() < wanted.max(self.maxsize as usize)
    }

    /// Whether nobody waits for what is there; for the invariants.
    pub(super) fn is_settled(&self) -> bool {
        let first = self.getters.first_key_value().map(|(_, (_, wanted))| *wanted);
        let can_get = first.is_some_and(|wanted| wanted <= self.values.len());
        let can_put = self.has_room() && !self.putters.is_empty();
        !can_get && !can_put && !self.is_unused()
    }

    fn is_unused(&self) -> bool {
        let is_empty = self.values.is_empty() && self.getters.is_empty();
        is_empty && self.putters.is_empty() && self.maxsize == 0
    }
}

impl CoordinationTable {
    pub(super) fn queue(
        &mut self,
        asked: Asked,
        (name, maxsize): (Key, u32),
        action: QueueAction,
    ) -> Outcome {
        if !self.queues.contains_key(&name) {
            self.check_name_of(asked.0)?;
        }
        let entry = self.queue_entry(asked.0, &name);
        if entry.maxsize == 0 {
            entry.maxsize = maxsize;
        }
        let outcome = match action {
            QueueAction::Put { patience, .. } => Ok(self.put(asked, &name, patience)),
            QueueAction::Get { count, patience } => Ok(self.take(asked, &name, (count, patience))),
            QueueAction::Drain => {
                let taken = entry.values.len().min(VALUES_AT_ONCE);
                let values = entry.values.drain(..taken).collect();
                Ok(Some(self.answer_values(asked, Some(name.clone()), values)))
            }
            QueueAction::Size => Ok(Some(count(entry.values.len()))),
            _ => {
                self.close_queue(&name);
                Ok(Some(Answer::Done))
            }
        };
        self.settle_queue(&name);
        outcome
    }

    fn put(&mut self, asked: Asked, name: &Key, patience: Patience) -> Option<Answer> {
        let ticket = self.ticket();
        let entry = self.queues.get_mut(name)?;
        if entry.putters.is_empty() && entry.has_room() {
            entry.values.extend(self.kept.brought.take());
            return Some(Answer::Done);
        }
        let answer = not_now(patience);
        if answer.is_none() {
            if let Err(full) = self.places.check_room(asked.0) {
                return Some(Answer::Refused(Refusal::Coordination(full)));
            }
            let entry = self.queues.get_mut(name)?;
            entry.putters.insert(ticket, (asked, self.kept.brought.take()?));
            self.places.insert(asked, Place::Putters(name.clone(), ticket));
        }
        answer
    }

    fn take(
        &mut self,
        asked: Asked,
        name: &Key,
        (wanted, patience): (u32, Patience),
    ) -> Option<Answer> {
        let wanted = (wanted as usize).max(1);
        if wanted > VALUES_AT_ONCE {
            return Some(Answer::Refused(Refusal::TooLarge));
        }
        let ticket = self.ticket();
        let entry = self.queues.get_mut(name)?;
        if entry.getters.is_empty() && entry.values.len() >= wanted {
            let values = entry.values.drain(..wanted).collect();
            return Some(self.answer_values(asked, Some(name.clone()), values));
        }
        let answer = not_now(patience);
        if answer.is_none() {
            entry.getters.insert(ticket, (asked, wanted));
            self.places.insert(asked, Place::Getters(name.clone(), ticket));
        }
        answer
    }

    /// Hands out values and lets in others, until those who wait have to go on waiting.
    fn settle_queue(&mut self, name: &Key) {
        while let Some(entry) = self.queues.get_mut(name) {
            let first = entry.getters.first_key_value().map(|(_, (_, wanted))| *wanted);
            if let Some(wanted) = first.filter(|wanted| *wanted <= entry.values.len()) {
                let Some((_, (asked, _))) = entry.getters.pop_first() else { return };
                let values = entry.values.drain(..wanted).collect();
                let answer = self.answer_values(asked, Some(name.clone()), values);
                self.answers.push((asked, answer));
            } else if entry.has_room()
                && let Some((_, (asked, value))) = entry.putters.pop_first()
            {
                entry.values.push_back(value);
                self.places.remove(&asked);
                self.answers.push((asked, Answer::Done));
            } else {
                if entry.is_unused() {
                    let by = entry.by;
                    self.queues.remove(name);
                    self.shares.remove(by);
                }
                return;
            }
        }
    }

    pub(super) fn leave_getters(&mut self, name: &Key, ticket: Ticket) {
        if let Some(entry) = self.queues.get_mut(name) {
            entry.getters.remove(&ticket);
        }
        self.settle_queue(name);
    }

    pub(super) fn leave_putters(&mut self, name: &Key, ticket: Ticket) {
        let entry = self.queues.get_mut(name);
        if let Some((_, value)) = entry.and_then(|entry| entry.putters.remove(&ticket)) {
            self.kept.drop_one(value);
        }
        self.settle_queue(name);
    }

    /// Values that were not accepted are the first in their queue again.
    pub(super) fn take_back(&mut self, asked: Asked, from: Option<Key>, values: Vec<KeptId>) {
        let Some(name) = from else {
            values.into_iter().for_each(|value| self.kept.drop_one(value));
            return;
        };
        let entry = self.queue_entry(asked.0, &name);
        for value in values.into_iter().rev() {
            entry.values.push_front(value);
        }
        self.settle_queue(&name);
    }

    /// The entry of a queue, a new one if it has none.
    fn queue_entry(&mut self, client: ClientId, name: &Key) -> &mut QueueEntry {
        if !self.queues.contains_key(name) {
            self.shares.add(client);
        }
        self.queues.entry(name.clone()).or_insert_with(|| QueueEntry::new(client))
    }

    fn close_queue(&mut self, name: &Key) {
        let Some(entry) = self.queues.remove(name) else { return };
        self.shares.remove(entry.by);
        let waiting = entry.getters.into_values().map(|(asked, _)| asked);
        let mut refused: Vec<Asked> = waiting.collect();
        for (asked, value) in entry.putters.into_values() {
            refused.push(asked);
            self.kept.drop_one(value);
        }
        for asked in refused {
            self.places.remove(&asked);
            let refusal = Refusal::Coordination(CoordinationRefusal::Closed(name.clone()));
            self.answers.push((asked, Answer::Refused(refusal)));
        }
        entry.values.into_iter().for_each(|value| self.kept.drop_one(value));
        // What was taken and not accepted has nowhere to go back to.
        for place in self.places.values_mut() {
            if let Place::Answered { from, .. } = place {
                from.take_if(|from| from == name);
            }
        }
    }
}
