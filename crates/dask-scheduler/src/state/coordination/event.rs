use dask_proto::Key;
use dask_proto::id::ClientId;
use dask_proto::message::{Answer, CoordinationRefusal, EventAction};

use super::{CoordinationTable, Line, Outcome, Place, Ticket, count};
use crate::state::client::request::Asked;

/// An event that is set, or that somebody waits for; any other needs no entry.
#[derive(Debug)]
pub(super) struct EventEntry {
    /// Who was the first to mention it.
    pub(super) by: ClientId,
    pub(super) is_set: bool,
    pub(super) waiting: Line,
}

impl CoordinationTable {
    pub(super) fn event(&mut self, asked: Asked, name: Key, action: &EventAction) -> Outcome {
        let is_set = self.events.get(&name).is_some_and(|entry| entry.is_set);
        match action {
            EventAction::IsSet => return Ok(Some(count(usize::from(is_set)))),
            EventAction::Wait if is_set => {}
            EventAction::Wait => {
                let ticket = self.ticket();
                let entry = self.event_entry(asked.0, &name)?;
                entry.waiting.insert(ticket, (asked, ()));
                self.places.insert(asked, Place::Event(name, ticket));
                return Ok(None);
            }
            EventAction::Set => {
                let entry = self.event_entry(asked.0, &name)?;
                entry.is_set = true;
                for (asked, ()) in std::mem::take(&mut entry.waiting).into_values() {
                    self.places.remove(&asked);
                    self.answers.push((asked, Answer::Done));
                }
            }
            // Nobody waits for an event that is set, so there is nothing else in the entry.
            _ if is_set => self.forget_event(&name),
            _ => {}
        }
        Ok(Some(Answer::Done))
    }

    pub(super) fn leave_event(&mut self, name: &Key, ticket: Ticket) {
        let Some(entry) = self.events.get_mut(name) else { return };
        entry.waiting.remove(&ticket);
        if !entry.is_set && entry.waiting.is_empty() {
            self.forget_event(name);
        }
    }

    /// The entry of an event, a new one if it has none.
    fn event_entry(
        &mut self,
        client: ClientId,
        name: &Key,
    ) -> Result<&mut EventEntry, CoordinationRefusal> {
        if !self.events.contains_key(name) {
            self.check_name_of(client)?;
            self.shares.add(client);
        }
        let new = || EventEntry { by: client, is_set: false, waiting: Line::new() };
        Ok(self.events.entry(name.clone()).or_insert_with(new))
    }

    fn forget_event(&mut self, name: &Key) {
        if let Some(entry) = self.events.remove(name) {
            self.shares.remove(entry.by);
        }
    }
}
