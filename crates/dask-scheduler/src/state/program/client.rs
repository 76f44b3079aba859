use dask_proto::id::{ClientId, WorkerId};
use dask_proto::message::{Answer, Code, Refusal, Rejection, Request};
use dask_proto::program::ProgramId;

use super::identity::implausible;
use super::{CopyState, MOST_PARKED, Parked, ProgramEntry};
use crate::state::SchedulerState;
use crate::state::table::worker::WorkerEntry;

/// How many agents a refusal quotes.
const QUOTED: usize = 3;

impl SchedulerState {
    /// Why a client is not welcome: it does not say which program it is, although there are agents;
    /// or it brings one that no agent runs, and there is no worker that was started without an
    /// agent and may have its tasks.
    pub(in crate::state) fn refusal(&self, code: &Code) -> Option<Rejection> {
        let is_alone = |worker: &WorkerEntry| worker.join.program.is_none();
        if let Some(reason) = implausible(code) {
            Some(Rejection::Program { reason: reason.to_owned() })
        } else if self.programs.agents.is_empty() {
            None
        } else if *code == Code::Unidentified {
            Some(Rejection::Identify)
        } else if self.workers.iter().any(|(_, worker)| is_alone(worker)) {
            None
        } else {
            self.runs_nowhere(code).map(|reason| Rejection::Program { reason })
        }
    }

    /// Why no agent runs the program of a client; `None` if one does, or need not.
    fn runs_nowhere(&self, code: &Code) -> Option<String> {
        let agents = &self.programs.agents;
        let (executable, voucher) = match code {
            Code::Withheld | Code::Unidentified => return None,
            Code::NoRole => {
                return Some(
                    "it cannot be started as a worker: put #[dask_client::main] on its main \
                     function"
                        .to_owned(),
                );
            }
            Code::Offered { executable, voucher } => (executable, voucher.as_ref()),
        };
        let mut reasons = Vec::new();
        for agent in agents.values() {
            reasons.push(agent.refuses(executable, voucher)?);
            if reasons.len() > QUOTED {
                break;
            }
        }
        // One that is further behind may run it.
        let runs = |agent: &super::AgentEntry| agent.refuses(executable, voucher).is_none();
        if reasons.len() > QUOTED && agents.values().any(runs) {
            return None;
        }
        reasons.truncate(QUOTED);
        Some(reasons.join("; "))
    }

    /// A client belongs to the tasks of a worker: its own tasks are for that worker's program. It
    /// lives as long as the worker, which is no reason to keep the program.
    pub(in crate::state) fn share_program(&mut self, client: ClientId) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        let offered = entry.program;
        if offered.is_none() {
            let worker = entry.serves.and_then(|worker| self.workers.get(worker));
            entry.program = worker.and_then(|worker| worker.join.program);
            if let Some(shared) = entry.program {
                self.bind_functions(client, Some(shared));
            }
        }
        self.leave_program(client, offered);
    }

    /// Has agents run the program of a client, if any does. That of a worker's tasks runs already.
    pub(in crate::state) fn offer(&mut self, client: ClientId) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        let Code::Offered { executable, voucher } = &entry.code else {
            return;
        };
        let (id, voucher) = (executable.id, *voucher);
        if entry.is_of_tasks() {
            return;
        }
        if entry.program.is_none() {
            let refuses = |a: &super::AgentEntry| a.refuses(executable, voucher.as_ref()).is_some();
            if self.programs.agents.values().all(refuses) {
                return;
            }
            entry.program = Some(id);
            let programs = &mut self.programs.programs;
            let program = programs.entry(id).or_insert_with(|| {
                // Some may be about to end since the program was stopped.
                let workers = self.workers.iter();
                let own = workers.filter(|(_, worker)| worker.join.program == Some(id));
                let workers = own.map(|(worker, _)| worker).collect();
                ProgramEntry { workers, ..ProgramEntry::new(executable.clone()) }
            });
            program.clients.insert(client, voucher);
            let retiring = &self.retirements.workers;
            program.is_awaited = program.workers.iter().all(|worker| retiring.contains_key(worker));
            program.try_again();
            self.run_retired(id);
            self.bind_functions(client, Some(id));
        }
        self.spread_program(id);
    }

    /// Has all agents run a program that do not refuse it.
    pub(super) fn spread_program(&mut self, program: ProgramId) {
        let Some(entry) = self.programs.programs.get(&program) else {
            return;
        };
        let agents = self.programs.agents.iter();
        let lacking = agents.filter(|(id, agent)| {
            !entry.copies.contains_key(id)
                && agent.refuses_program(&entry.executable).is_none()
                && entry.voucher_for((**id, agent)).is_some()
        });
        for agent in lacking.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.add_copy(agent, program);
        }
        self.supply(program);
    }

    /// A client is gone: its program is stopped after a while, if nobody needs it then.
    pub(in crate::state) fn leave_program(&mut self, client: ClientId, program: Option<ProgramId>) {
        let Some(id) = program else { return };
        let Some(entry) = self.programs.programs.get_mut(&id) else {
            return;
        };
        if entry.clients.remove(&client).is_some() && entry.clients.is_empty() {
            let at = self.now + self.config.program_grace;
            self.programs.looks.insert((at, id));
        }
    }

    /// How many workers a client counts on: those that can run its tasks.
    pub(in crate::state) fn workers_for(&self, client: ClientId) -> usize {
        let program = self.clients.get(&client).and_then(|entry| entry.program);
        match program {
            Some(id) => self.programs.programs.get(&id).map_or(0, |entry| entry.workers.len()),
            None => self.workers.len(),
        }
    }

    /// The workers of a client's program; `None` if it does not travel.
    pub(in crate::state) fn workers_of_program(&self, client: ClientId) -> Option<Vec<WorkerId>> {
        let program = self.clients.get(&client)?.program?;
        let entry = self.programs.programs.get(&program)?;
        Some(entry.workers.iter().copied().collect())
    }

    /// Whether the workers of a client's program are still to come.
    fn waits_for_program(&self, client: ClientId) -> bool {
        let Some(entry) = self.clients.get(&client) else {
            return false;
        };
        match entry.program {
            Some(id) => self.workers_for(client) == 0 && self.hopeless(id).is_none(),
            // It is asked which one it is.
            None => entry.code == Code::Unidentified && !self.programs.agents.is_empty(),
        }
    }

    /// Chooses workers for data, now or once those of the client's program are there; an answer if
    /// it is now.
    pub(in crate::state) fn scatter_or_park(
        &mut self,
        request: Parked,
        workers: &[String],
    ) -> Option<Answer> {
        let client = request.asked_by.0;
        if !workers.is_empty() || !self.waits_for_program(client) {
            return self.scatter(client, request.items, workers, request.broadcast.into());
        }
        let waiting = self.programs.parked.entry(client).or_default();
        if waiting.len() >= MOST_PARKED {
            return Some(Answer::Refused(Refusal::NoWorkers));
        }
        waiting.push(request);
        None
    }

    /// Answers what waited for the workers of a program.
    pub(super) fn unpark_program(&mut self, program: ProgramId) {
        let clients = &self.clients;
        let is_of_program = |client: &ClientId| {
            clients.get(client).is_some_and(|entry| entry.program == Some(program))
        };
        let waiting = self.programs.parked.keys().copied().filter(is_of_program);
        for client in waiting.collect::<Vec<_>>() {
            self.unpark_client(client);
        }
    }

    /// Answers what a client asked for while there were no workers of its program, if there is an
    /// answer by now.
    pub(super) fn unpark_client(&mut self, client: ClientId) {
        let parked = self.programs.parked.remove(&client);
        for Parked { asked_by, items, broadcast } in parked.into_iter().flatten() {
            let workers = Vec::new();
            self.request(asked_by, Request::Scatter { items, workers, broadcast });
        }
    }

    /// A worker that an agent started joined.
    pub(in crate::state) fn program_runs(&mut self, program: Option<ProgramId>, worker: WorkerId) {
        let Some(id) = program else { return };
        if let Some(entry) = self.programs.programs.get_mut(&id) {
            entry.workers.insert(worker);
            entry.is_awaited = false;
            entry.forget_crashes();
            self.unpark_program(id);
        }
    }

    /// A worker that an agent started is gone.
    pub(in crate::state) fn program_left(&mut self, program: Option<ProgramId>, worker: WorkerId) {
        let entry = program.and_then(|id| self.programs.programs.get_mut(&id));
        if let Some(entry) = entry {
            entry.workers.remove(&worker);
        }
    }
}

impl ProgramEntry {
    /// Its workers are counted on again, on all agents.
    fn forget_crashes(&mut self) {
        self.broken = 0;
        self.copies.values_mut().for_each(|copy| copy.crashes = 0);
    }

    /// What went wrong for earlier clients may go right for this one.
    fn try_again(&mut self) {
        self.forget_crashes();
        self.given_up = 0;
        for (agent, copy) in &mut self.copies {
            copy.failures = 0;
            if copy.state == CopyState::GivenUp {
                copy.state = CopyState::Waiting;
                self.waiting.insert(*agent);
            }
        }
    }
}
