use dask_proto::id::{AgentId, ClientId};
use dask_proto::message::{ProgramNews, ProgramSource, SchedulerToAgent, SchedulerToClient};
use dask_proto::program::ProgramId;

use super::{CopyState, ProgramEntry, SERVED_AT_ONCE};
use crate::state::SchedulerState;

/// Who sends a program.
#[derive(Debug, Clone, Copy)]
enum Sender {
    Client,
    Agent(AgentId),
}

impl ProgramEntry {
    /// Nothing is fetched from this source any more.
    pub(super) fn let_go_of_source(&mut self, state: &CopyState) {
        match state {
            CopyState::FromClient => self.from_client = None,
            CopyState::FromAgent(holder) => {
                if let Some(serving) = self.serving.get_mut(holder) {
                    *serving = serving.saturating_sub(1);
                    self.free.insert(*holder);
                }
            }
            _ => {}
        }
    }

    /// The client that is asked for the program next: the latest first, and then the one before,
    /// so that a client that does not send it stands in nobody's way.
    fn next_client(&self) -> Option<ClientId> {
        let mut clients = self.clients.keys().rev().copied();
        let before = clients.find(|client| self.asked.is_none_or(|asked| *client < asked));
        before.or_else(|| self.clients.keys().next_back().copied())
    }

    /// Who can send the program to the next in line: a client as long as no agent has it. Who
    /// failed to get it from another agent gets it from a client as well, which has it for certain.
    fn next_sender(&self, agent: AgentId) -> Option<Sender> {
        let can_upload = !self.clients.is_empty() && self.from_client.is_none();
        let has_failed = self.copies.get(&agent).is_some_and(|copy| copy.failures > 0);
        if can_upload && (has_failed || self.serving.is_empty()) {
            return Some(Sender::Client);
        }
        self.free.first().map(|holder| Sender::Agent(*holder))
    }
}

impl SchedulerState {
    /// Gives a source to those that wait for one, as far as there are sources.
    pub(super) fn supply(&mut self, program: ProgramId) {
        while let Some((agent, sender)) = self.next_delivery(program) {
            let table = &mut self.programs;
            let Some(entry) = table.programs.get_mut(&program) else {
                return;
            };
            entry.waiting.remove(&agent);
            let mut asked = None;
            let (state, from) = match sender {
                Sender::Client => {
                    let Some(client) = entry.next_client() else {
                        return;
                    };
                    entry.asked = Some(client);
                    asked = Some(client);
                    table.last_ticket += 1;
                    let ticket = table.last_ticket;
                    entry.from_client = Some(agent);
                    let news = ProgramNews::Wanted { ticket };
                    self.out.tell_client(client, SchedulerToClient::Program(news));
                    (CopyState::FromClient, ProgramSource::Scheduler { ticket })
                }
                Sender::Agent(holder) => {
                    let serving = entry.serving.entry(holder).or_default();
                    *serving += 1;
                    if *serving >= SERVED_AT_ONCE {
                        entry.free.remove(&holder);
                    }
                    let Some(sender) = table.agents.get(&holder) else {
                        return;
                    };
                    let address = sender.join.address.clone();
                    (CopyState::FromAgent(holder), ProgramSource::Agent { address })
                }
            };
            if let Some(copy) = entry.copies.get_mut(&agent) {
                copy.state = state;
                (copy.since, copy.heard) = (self.now, self.now);
            }
            table.fetches.insert((self.now + self.config.fetch_patience, program, agent));
            let taker = table.agents.get(&agent);
            let voucher = taker.and_then(|taker| match asked {
                Some(client) => entry.voucher_of(client, (agent, taker)),
                None => entry.voucher_for((agent, taker)).flatten(),
            });
            let (program, from) = (entry.executable.clone(), Some(from));
            self.out.tell_agent(agent, SchedulerToAgent::Run { program, from, voucher });
        }
    }

    fn next_delivery(&self, program: ProgramId) -> Option<(AgentId, Sender)> {
        let entry = self.programs.programs.get(&program)?;
        let failures = |agent: &AgentId| entry.copies.get(agent).map_or(0, |copy| copy.failures);
        // One that fails, or does not get on, is not in the way of the others.
        let first = entry.waiting.first().filter(|agent| failures(agent) == 0);
        let agent = first.or_else(|| entry.waiting.iter().min_by_key(|agent| failures(agent)))?;
        Some((*agent, entry.next_sender(*agent)?))
    }
}
