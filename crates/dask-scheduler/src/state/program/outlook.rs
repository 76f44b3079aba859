use std::sync::Arc;

use dask_proto::id::AgentId;
use dask_proto::message::AgentInfo;
use dask_proto::program::ProgramId;
use dask_proto::{TaskError, TaskErrorKind};

use super::identity::UNKNOWN;
use super::{AgentEntry, CopyState, ProgramEntry, ProgramTable};
use crate::state::SchedulerState;
use crate::state::table::task::Row;
use crate::state::transition::Goal;

/// How many agents an explanation lists.
const LISTED: usize = 5;

impl ProgramEntry {
    /// Whether no agent will run it as things are. Without agents there is hope: some may come, as
    /// workers may.
    fn is_hopeless(&self) -> bool {
        let lost = self.given_up + self.broken;
        self.workers.is_empty() && !self.copies.is_empty() && lost >= self.copies.len()
    }
}

impl ProgramTable {
    /// What each agent offers, and what it runs.
    pub(in crate::state) fn infos(&self) -> Vec<AgentInfo> {
        let info = |(id, AgentEntry { join, .. }): (&AgentId, &AgentEntry)| AgentInfo {
            name: join.name.clone(),
            address: join.address.clone(),
            nworkers: join.nworkers,
            nthreads: join.nthreads,
            memory_limit: join.memory_limit,
            programs: self.run_by(*id).map(|entry| entry.executable.name.clone()).collect(),
        };
        self.agents.iter().map(info).collect()
    }

    fn run_by(&self, agent: AgentId) -> impl Iterator<Item = &ProgramEntry> {
        self.programs.values().filter(move |entry| {
            entry.copies.get(&agent).is_some_and(|copy| copy.state == CopyState::Ready)
        })
    }
}

impl SchedulerState {
    /// Why a program will run nowhere; `None` if it may.
    pub(super) fn hopeless(&self, program: ProgramId) -> Option<&str> {
        let entry = self.programs.programs.get(&program)?;
        entry.is_hopeless().then_some(entry.trouble.as_str())
    }

    /// What becomes of a task whose program has no worker.
    pub(in crate::state) fn without_program(&self, row: Row, program: ProgramId) -> Goal {
        let Some(trouble) = self.hopeless(program) else {
            return Goal::NoWorker;
        };
        let key = self.tasks[row].key.clone();
        let function = self.tasks[row].function().map(|f| self.functions.get(f));
        Goal::Erred(Arc::new(TaskError {
            function: function.map_or_else(String::new, |f| f.function.path.clone()),
            ..TaskError::new(TaskErrorKind::Program, key, trouble)
        }))
    }

    /// Something went wrong with a program: if it runs nowhere, nobody waits for it any more.
    pub(super) fn review_program(&mut self, program: ProgramId) {
        if self.hopeless(program).is_some() {
            self.rejudge_no_worker();
            self.unpark_program(program);
        }
    }

    /// How far agents are with a program, in lines for people.
    pub(in crate::state) fn explain_program(&self, program: ProgramId, lines: &mut Vec<String>) {
        let Some(entry) = self.programs.programs.get(&program) else {
            let is_asked = program == UNKNOWN;
            let line = if is_asked {
                "its client was there before all agents, and has yet to say which program it is"
            } else {
                "its program is not known any more"
            };
            return lines.push(line.to_owned());
        };
        let name = &entry.executable.name;
        if entry.copies.is_empty() {
            return lines.push(format!("no agent is connected that runs its program {name}"));
        }
        lines.push(format!("its program {name} is to run on {} agents:", entry.copies.len()));
        for (agent, copy) in entry.copies.iter().take(LISTED) {
            let agent = self.programs.agents.get(agent).map_or("", |a| a.join.name.as_str());
            let state = match copy.state {
                CopyState::Waiting => "waits until another agent has it, to fetch it from there",
                CopyState::Claimed => "checks whether it has it",
                CopyState::FromClient => "fetches it from a client",
                CopyState::FromAgent(_) => "fetches it from another agent",
                CopyState::Ready => "has it and starts it",
                CopyState::Retired => "has it, and its workers were retired",
                CopyState::GivenUp => "could not fetch it and does not try again",
            };
            lines.push(format!("  {agent} {state}"));
        }
        if entry.copies.len() > LISTED {
            lines.push(format!("  and {} more", entry.copies.len() - LISTED));
        }
        if !entry.trouble.is_empty() {
            lines.push(format!("the last trouble with it: {}", entry.trouble));
        }
    }
}
