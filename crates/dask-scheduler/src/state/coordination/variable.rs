use dask_proto::Key;
use dask_proto::id::ClientId;
use dask_proto::message::{Answer, Patience, VariableAction};

use super::kept::KeptId;
use super::{CoordinationTable, Line, Outcome, Place, Ticket, not_now};
use crate::state::client::request::Asked;

/// A variable that has a value, or whose value somebody waits for; any other needs no entry.
#[derive(Debug)]
pub(super) struct VariableEntry {
    /// Who was the first to mention it.
    pub(super) by: ClientId,
    pub(super) value: Option<KeptId>,
    pub(super) getters: Line,
}

impl CoordinationTable {
    pub(super) fn variable(&mut self, asked: Asked, name: Key, action: VariableAction) -> Outcome {
        if !self.variables.contains_key(&name) {
            self.check_name_of(asked.0)?;
        }
        match action {
            VariableAction::Set(_) => self.set_variable(asked.0, &name),
            VariableAction::Get(patience) => {
                return Ok(self.get_variable(asked, name, patience));
            }
            // Those who wait for it wait for the next value.
            _ => {
                let entry = self.variables.get_mut(&name);
                if let Some(value) = entry.and_then(|entry| entry.value.take()) {
                    self.kept.drop_one(value);
                    self.forget_unused_variable(&name);
                }
            }
        }
        Ok(Some(Answer::Done))
    }

    /// The entry of a variable, a new one if it has none.
    fn variable_entry(&mut self, client: ClientId, name: &Key) -> &mut VariableEntry {
        if !self.variables.contains_key(name) {
            self.shares.add(client);
        }
        let new = || VariableEntry { by: client, value: None, getters: Line::new() };
        self.variables.entry(name.clone()).or_insert_with(new)
    }

    fn set_variable(&mut self, client: ClientId, name: &Key) {
        let Some(value) = self.kept.brought.take() else { return };
        let entry = self.variable_entry(client, name);
        let old = entry.value.replace(value);
        let getters = std::mem::take(&mut entry.getters);
        old.into_iter().for_each(|old| self.kept.drop_one(old));
        for (asked, ()) in getters.into_values() {
            let value = self.kept.share(value);
            let answer = self.answer_values(asked, None, vec![value]);
            self.answers.push((asked, answer));
        }
    }

    fn get_variable(&mut self, asked: Asked, name: Key, patience: Patience) -> Option<Answer> {
        if let Some(value) = self.variables.get(&name).and_then(|entry| entry.value) {
            let value = self.kept.share(value);
            return Some(self.answer_values(asked, None, vec![value]));
        }
        let answer = not_now(patience);
        if answer.is_none() {
            let ticket = self.ticket();
            let entry = self.variable_entry(asked.0, &name);
            entry.getters.insert(ticket, (asked, ()));
            self.places.insert(asked, Place::Variable(name, ticket));
        }
        answer
    }

    pub(super) fn leave_variable(&mut self, name: &Key, ticket: Ticket) {
        if let Some(entry) = self.variables.get_mut(name) {
            entry.getters.remove(&ticket);
        }
        self.forget_unused_variable(name);
    }

    fn forget_unused_variable(&mut self, name: &Key) {
        let is_unused = |e: &&VariableEntry| e.value.is_none() && e.getters.is_empty();
        if let Some(entry) = self.variables.get(name).filter(is_unused) {
            let by = entry.by;
            self.variables.remove(name);
            self.shares.remove(by);
        }
    }
}
