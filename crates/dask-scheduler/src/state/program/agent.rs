use std::time::Duration;

use dask_proto::id::AgentId;
use dask_proto::limits::{
    MAX_AGENT_PROGRAMS, MAX_AGENT_TOKENS, MAX_PROGRAM_NAME_BYTES, MAX_TROUBLE_BYTES,
    PROGRAM_BYTES_PER_SECOND,
};
use dask_proto::message::{
    AgentJoin, AgentToScheduler, ProgramNews, Rejection, SchedulerToAgent, SchedulerToClient,
    Welcome,
};
use dask_proto::program::ProgramId;

use super::{AgentEntry, Copy, CopyState, SERVED_AT_ONCE};
use crate::state::SchedulerState;
use crate::state::instruction::Peer;

impl SchedulerState {
    pub(in crate::state) fn agent_joined(&mut self, agent: AgentId, mut join: AgentJoin) {
        let peer = Peer::Agent(agent);
        let rejection = if self.is_closing {
            Some(Rejection::Closing)
        } else if join.name.len().max(join.target.len()) > MAX_PROGRAM_NAME_BYTES {
            // Clients are told of it in every message about it.
            Some(Rejection::TooLong { limit: MAX_PROGRAM_NAME_BYTES as u32 })
        } else if self.programs.names.contains(&join.name) {
            Some(Rejection::NameTaken { name: join.name.clone() })
        } else {
            None
        };
        if let Some(rejection) = rejection {
            return self.out.welcome(peer, Welcome::Rejected(rejection));
        }
        self.out.welcome(peer, Welcome::Agent { id: agent });
        if let Some(tokens) = &mut join.tokens {
            tokens.truncate(MAX_AGENT_TOKENS);
        }
        let claimed = std::mem::take(&mut join.programs).into_iter();
        let has = claimed.take(MAX_AGENT_PROGRAMS).collect();
        self.programs.names.insert(join.name.clone());
        self.programs.agents.insert(agent, AgentEntry { join, has });
        let waiting: Vec<_> = self.clients.keys().copied().collect();
        for client in waiting {
            self.ask_to_identify(client);
            self.offer(client);
        }
        let programs: Vec<_> = self.programs.programs.keys().copied().collect();
        for program in programs {
            self.spread_program(program);
        }
    }

    pub(in crate::state) fn agent_said(&mut self, agent: AgentId, said: Vec<AgentToScheduler>) {
        for message in said {
            if !self.programs.agents.contains_key(&agent) {
                return;
            }
            match message {
                AgentToScheduler::Fetched { program } => self.fetched(agent, program),
                AgentToScheduler::NotFetched { program, reason } => {
                    self.fetch_failed(agent, program, &reason);
                }
                AgentToScheduler::Crashed { program, reason } => {
                    self.crashed(agent, program, &reason);
                }
                AgentToScheduler::Fetching { program } => self.fetching(agent, program),
                AgentToScheduler::Ended { program } => self.workers_ended(agent, program),
                AgentToScheduler::Retire { program, workers } => {
                    let named = workers.iter().flat_map(|name| self.workers.by_name(name));
                    let of_program = named.filter(|worker| {
                        let worker = self.workers.get(*worker);
                        let its = worker.and_then(|worker| worker.join.program);
                        program.is_none() || its == program
                    });
                    for worker in of_program.collect::<Vec<_>>() {
                        self.begin_retirement(worker, None);
                    }
                }
                // An agent of a later version says more than this scheduler can use.
                _ => {}
            }
            self.settle_agenda();
        }
    }

    /// Forgets an agent. Its workers leave by themselves.
    pub(in crate::state) fn remove_agent(&mut self, agent: AgentId) {
        let Some(entry) = self.programs.agents.remove(&agent) else {
            return;
        };
        self.programs.names.remove(&entry.join.name);
        self.out.discard(Peer::Agent(agent));
        let programs: Vec<_> = self.programs.programs.keys().copied().collect();
        for program in programs {
            self.forget_copy((agent, entry.most_crashes()), program);
            self.supply(program);
            self.review_program(program);
        }
    }

    fn fetched(&mut self, agent: AgentId, program: ProgramId) {
        if let Some(entry) = self.programs.agents.get_mut(&agent)
            && entry.has.len() < MAX_AGENT_PROGRAMS
        {
            entry.has.insert(program);
        }
        if self.end_fetch(agent, program, CopyState::Ready).is_none() {
            return;
        }
        if let Some(entry) = self.programs.programs.get_mut(&program) {
            let had_it = entry.copies.get(&agent).is_some_and(|copy| copy.had_it);
            let others =
                || entry.copies.values().filter(|c| c.state == CopyState::FromAgent(agent));
            // What it sent when it had it before may still be on its way.
            let served =
                if had_it { u32::try_from(others().count()).unwrap_or(u32::MAX) } else { 0 };
            entry.serving.insert(agent, served);
            if served < SERVED_AT_ONCE {
                entry.free.insert(agent);
            }
        }
        self.supply(program);
    }

    fn fetching(&mut self, agent: AgentId, program: ProgramId) {
        let entry = self.programs.programs.get_mut(&program);
        if let Some(copy) = entry.and_then(|entry| entry.copies.get_mut(&agent)) {
            copy.heard = self.now;
        }
    }

    /// The workers of an agent were retired, or crashed and are not started again. It starts others
    /// for the next client, which may have come already, when they were about to end.
    fn workers_ended(&mut self, agent: AgentId, program: ProgramId) {
        let most = self.programs.agents.get(&agent).map_or(0, AgentEntry::most_crashes);
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let copy = entry.copies.get_mut(&agent);
        if let Some(copy) = copy.filter(|copy| copy.state == CopyState::Ready) {
            copy.state = CopyState::Retired;
            if copy.crashes > 0 {
                entry.broken += usize::from(copy.crashes < most);
                copy.crashes = most;
                self.review_program(program);
            } else if entry.is_awaited {
                self.run_retired(program);
            }
        }
    }

    /// A client came: agents whose workers were retired start others.
    pub(super) fn run_retired(&mut self, program: ProgramId) {
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let retired = entry.copies.iter().filter(|(_, copy)| copy.state == CopyState::Retired);
        for agent in retired.map(|(agent, _)| *agent).collect::<Vec<_>>() {
            let Some(voucher) =
                self.programs.agents.get(&agent).and_then(|a| entry.voucher_for((agent, a)))
            else {
                continue;
            };
            if let Some(copy) = entry.copies.get_mut(&agent) {
                copy.state = CopyState::Ready;
            }
            let program = entry.executable.clone();
            self.out.tell_agent(agent, SchedulerToAgent::Run { program, from: None, voucher });
        }
    }

    /// Takes the source from agents that have not got on for too long, or too slowly: others may
    /// need it.
    pub(in crate::state) fn end_stuck_fetches(&mut self) {
        let patience = self.config.fetch_patience;
        while let Some((at, program, agent)) = self.programs.fetches.first().copied() {
            if at > self.now {
                return;
            }
            self.programs.fetches.remove(&(at, program, agent));
            let entry = self.programs.programs.get(&program);
            let copy = entry.and_then(|entry| entry.copies.get(&agent));
            let Some(copy) = copy.filter(|copy| copy.state.has_source()) else {
                continue;
            };
            let bytes = entry.map_or(0, |entry| entry.executable.bytes);
            let most = patience + Duration::from_secs(bytes / PROGRAM_BYTES_PER_SECOND);
            let (stands_still, is_late) = (copy.heard + patience, copy.since + most);
            let until = stands_still.min(is_late);
            if until > self.now {
                self.programs.fetches.insert((until, program, agent));
            } else if stands_still <= self.now {
                let reason = format!("nothing of it has come for {patience:?}");
                self.fetch_failed(agent, program, &reason);
            } else {
                let reason = format!("not all of it has come in {most:?}");
                self.fetch_failed(agent, program, &reason);
            }
        }
    }

    fn fetch_failed(&mut self, agent: AgentId, program: ProgramId, reason: &str) {
        if let Some(entry) = self.programs.agents.get_mut(&agent) {
            entry.has.remove(&program);
        }
        let Some(was) = self.end_fetch(agent, program, CopyState::Waiting) else {
            return;
        };
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let attempts = entry.attempts();
        let Some(copy) = entry.copies.get_mut(&agent) else {
            return;
        };
        // That it is not in a cache after all is no failure to fetch it.
        copy.failures += u32::from(was != CopyState::Claimed);
        if copy.failures >= attempts {
            copy.state = CopyState::GivenUp;
            entry.given_up += 1;
        } else {
            entry.waiting.insert(agent);
        }
        let happened = if was == CopyState::Claimed { "look up" } else { "fetch" };
        self.note_trouble(agent, program, &format!("could not {happened} the program: {reason}"));
        self.supply(program);
        self.review_program(program);
    }

    fn crashed(&mut self, agent: AgentId, program: ProgramId, reason: &str) {
        let most = self.programs.agents.get(&agent).map_or(0, AgentEntry::most_crashes);
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let copy = entry.copies.get_mut(&agent).filter(|copy| copy.state == CopyState::Ready);
        if let Some(copy) = copy
            && copy.crashes < most
        {
            copy.crashes += 1;
            entry.broken += usize::from(copy.crashes == most);
        }
        let text = format!("could not start a worker of the program: {reason}");
        self.note_trouble(agent, program, &text);
        self.review_program(program);
    }

    /// Keeps what went wrong, and tells the clients of the program.
    fn note_trouble(&mut self, agent: AgentId, program: ProgramId, text: &str) {
        let name = self.programs.agents.get(&agent).map(|entry| entry.join.name.clone());
        let (Some(name), Some(entry)) = (name, self.programs.programs.get_mut(&program)) else {
            return;
        };
        let text = tail(text);
        entry.trouble = format!("agent {name} {text}");
        for client in entry.clients.keys() {
            let news = ProgramNews::Trouble { agent: name.clone(), reason: text.clone() };
            self.out.tell_client(*client, SchedulerToClient::Program(news));
        }
    }

    /// An agent is done with fetching, whatever came of it. How far it was, if it was at that.
    fn end_fetch(
        &mut self,
        agent: AgentId,
        program: ProgramId,
        next: CopyState,
    ) -> Option<CopyState> {
        let entry = self.programs.programs.get_mut(&program)?;
        let copy = entry.copies.get_mut(&agent)?;
        match copy.state {
            CopyState::Claimed | CopyState::FromClient | CopyState::FromAgent(_) => {}
            // It was slow, and got it after all.
            CopyState::Waiting if next == CopyState::Ready => {
                entry.waiting.remove(&agent);
            }
            CopyState::GivenUp if next == CopyState::Ready => entry.given_up -= 1,
            // It was to start it again, and does not have it any more.
            CopyState::Ready if next != CopyState::Ready => {
                copy.had_it = true;
                entry.serving.remove(&agent);
                entry.free.remove(&agent);
            }
            _ => return None,
        }
        let was = std::mem::replace(&mut copy.state, next);
        entry.let_go_of_source(&was);
        Some(was)
    }

    /// An agent neither has a program nor is to have it.
    fn forget_copy(&mut self, (agent, most): (AgentId, u32), program: ProgramId) {
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let Some(Copy { state, crashes, .. }) = entry.copies.remove(&agent) else {
            return;
        };
        entry.broken -= usize::from(crashes >= most);
        entry.let_go_of_source(&state);
        entry.given_up -= usize::from(state == CopyState::GivenUp);
        entry.waiting.remove(&agent);
        entry.serving.remove(&agent);
        entry.free.remove(&agent);
    }

    /// Has an agent run a program that it says it has, or puts it in line to fetch it.
    pub(super) fn add_copy(&mut self, agent: AgentId, program: ProgramId) {
        let agents = &self.programs.agents;
        let claims = agents.get(&agent).filter(|entry| entry.has.contains(&program));
        let Some(entry) = self.programs.programs.get_mut(&program) else {
            return;
        };
        let mut copy = Copy::default();
        if let Some(claims) = claims {
            copy.state = CopyState::Claimed;
            let (program, voucher) = (entry.executable.clone(), entry.voucher_for((agent, claims)));
            let voucher = voucher.flatten();
            self.out.tell_agent(agent, SchedulerToAgent::Run { program, from: None, voucher });
        } else {
            entry.waiting.insert(agent);
        }
        entry.copies.insert(agent, copy);
    }
}

/// The end of a text, within the limit: what a process said last says why it ended.
fn tail(text: &str) -> String {
    let start = text.len().saturating_sub(MAX_TROUBLE_BYTES);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[start..].to_owned()
}
