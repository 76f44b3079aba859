use dask_proto::id::AgentId;
use dask_proto::program::ProgramId;

use super::{CopyState, ProgramEntry, SERVED_AT_ONCE};
use crate::state::SchedulerState;

impl SchedulerState {
    /// Whether what is known of programs agrees with itself, for a check.
    pub(in crate::state) fn programs_agree(&self) -> bool {
        let table = &self.programs;
        let names = table.agents.values().map(|agent| agent.join.name.as_str());
        let clients_agree = self.clients.iter().all(|(id, client)| {
            let program = client.program.map(|program| table.programs.get(&program));
            let is_noted = |entry: &ProgramEntry| entry.clients.contains_key(id);
            client.is_of_tasks() || program.is_none_or(|entry| entry.is_some_and(is_noted))
        });
        let workers_agree = self.workers.iter().all(|(id, worker)| {
            let program = worker.join.program.and_then(|program| table.programs.get(&program));
            program.is_none_or(|entry| entry.workers.contains(&id))
        });
        names.count() == table.names.len()
            && clients_agree
            && workers_agree
            && table.parked.keys().all(|client| self.clients.contains_key(client))
            && table.programs.iter().all(|(id, entry)| self.program_agrees(*id, entry))
    }

    fn program_agrees(&self, program: ProgramId, entry: &ProgramEntry) -> bool {
        let agents = &self.programs.agents;
        let count =
            |state: &CopyState| entry.copies.values().filter(|copy| copy.state == *state).count();
        let is = |agent: &AgentId, state: &CopyState| {
            entry.copies.get(agent).is_some_and(|copy| copy.state == *state)
        };
        let is_looked_at = self.programs.looks.iter().any(|(_, looked_at)| *looked_at == program);
        let serving = entry.serving.iter().all(|(holder, served)| {
            let others = count(&CopyState::FromAgent(*holder));
            entry.copies.get(holder).is_some_and(|copy| copy.state.is_there())
                && others == *served as usize
                && entry.free.contains(holder) == (*served < SERVED_AT_ONCE)
        });
        let fetches = entry.copies.iter().all(|(agent, copy)| {
            let mut looks = self.programs.fetches.iter();
            !copy.state.has_source() || looks.any(|look| (look.1, look.2) == (program, *agent))
        });
        let broken = entry.copies.iter().filter(|(agent, copy)| {
            agents.get(*agent).is_some_and(|agent| copy.crashes >= agent.most_crashes())
        });
        entry.copies.keys().all(|agent| agents.contains_key(agent))
            && entry.waiting.iter().all(|agent| is(agent, &CopyState::Waiting))
            && entry.waiting.len() == count(&CopyState::Waiting)
            && entry.serving.len() == count(&CopyState::Ready) + count(&CopyState::Retired)
            && fetches
            && entry.free.iter().all(|agent| entry.serving.contains_key(agent))
            && entry.given_up == count(&CopyState::GivenUp)
            && entry.broken == broken.count()
            && entry.from_client.is_some() == (count(&CopyState::FromClient) == 1)
            && count(&CopyState::FromClient) <= 1
            && (is_looked_at || !entry.clients.is_empty())
            && entry.clients.keys().all(|c| self.clients.contains_key(c))
            && entry.workers.iter().all(|worker| self.workers.get(*worker).is_some())
            && serving
    }
}
