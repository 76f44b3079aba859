use dask_proto::Key;
use dask_proto::message::{Answer, EventAction};

use super::{CoordinationTable, Line, Outcome, Place, Ticket, count};
use crate::state::request::Asked;

/// An event that is set, or that somebody waits for; any other needs no entry.
#[derive(Debug, Default)]
pub(super) struct EventEntry {
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
                if !self.events.contains_key(&name) {
                    self.check_name()?;
                }
                let ticket = self.ticket();
                let entry = self.events.entry(name.clone()).or_default();
                entry.waiting.insert(ticket, (asked, ()));
                self.places.insert(asked, Place::Event(name, ticket));
                return Ok(None);
            }
            EventAction::Set => {
                if !self.events.contains_key(&name) {
                    self.check_name()?;
                }
                let entry = self.events.entry(name).or_default();
                entry.is_set = true;
                for (asked, ()) in std::mem::take(&mut entry.waiting).into_values() {
                    self.places.remove(&asked);
                    self.answers.push((asked, Answer::Done));
                }
            }
            // Nobody waits for an event that is set, so there is nothing else in the entry.
            _ if is_set => drop(self.events.remove(&name)),
            _ => {}
        }
        Ok(Some(Answer::Done))
    }

    pub(super) fn leave_event(&mut self, name: &Key, ticket: Ticket) {
        let Some(entry) = self.events.get_mut(name) else { return };
        entry.waiting.remove(&ticket);
        if !entry.is_set && entry.waiting.is_empty() {
            self.events.remove(name);
        }
    }
}
