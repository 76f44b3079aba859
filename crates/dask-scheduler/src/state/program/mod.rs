//! Programs that travel: which agents there are, which programs clients brought, and who has, gets
//! or lacks which.
//!
//! A program is fetched from a client once; from then on agents fetch it from each other, each of
//! those that have it serving a few at a time. What it takes to have a program run is tried a few
//! times per agent. A program that runs nowhere, and never will as things are, fails the tasks that
//! wait for it with what was last heard of it; a program that nobody needs is stopped.

mod agent;
mod client;
mod disuse;
mod identity;
mod invariant;
mod need;
mod outlook;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Moment;
use dask_proto::id::{AgentId, ClientId, WorkerId};
use dask_proto::message::{AgentJoin, CodePolicy, ScatterItem};
use dask_proto::program::{Executable, ProgramId, Voucher, runs_on};

pub(super) use identity::UNKNOWN;

use crate::state::client::request::Asked;

/// How often an agent tries to fetch a program, and how often each of its workers may crash at
/// start, before it is not counted on any more.
const ATTEMPTS: u32 = 3;

/// How many attempts more an agent has, one for each further client: what some of them show or send
/// is of no use, and is not in the way of the others.
const MOST_FURTHER: usize = 16;

/// To how many agents one that has a program sends it at the same time.
const SERVED_AT_ONCE: u32 = 2;

/// Scatter requests that wait for the workers of a client's program, for each client.
const MOST_PARKED: usize = 1000;

/// All agents, and all programs that clients brought.
#[derive(Debug, Default)]
pub(super) struct ProgramTable {
    agents: BTreeMap<AgentId, AgentEntry>,
    names: BTreeSet<String>,
    programs: BTreeMap<ProgramId, ProgramEntry>,
    last_ticket: u64,
    /// When to look whether programs without a client are needed.
    looks: BTreeSet<(Moment, ProgramId)>,
    /// When to look whether agents that fetch a program got on.
    fetches: BTreeSet<(Moment, ProgramId, AgentId)>,
    parked: BTreeMap<ClientId, Vec<Parked>>,
}

/// What the scheduler knows about an agent.
#[derive(Debug)]
struct AgentEntry {
    join: AgentJoin,
    /// The programs that it says it has.
    has: BTreeSet<ProgramId>,
}

/// A program that agents run.
#[derive(Debug)]
struct ProgramEntry {
    executable: Executable,
    /// Those that brought it, each with what shows that it knows a token.
    clients: BTreeMap<ClientId, Option<Voucher>>,
    workers: BTreeSet<WorkerId>,
    /// The agents that run it or are to.
    copies: BTreeMap<AgentId, Copy>,
    /// Those that need a source.
    waiting: BTreeSet<AgentId>,
    /// Those that have it, with how many others each serves.
    serving: BTreeMap<AgentId, u32>,
    /// Those of them that can serve another.
    free: BTreeSet<AgentId>,
    /// The agent that fetches it from a client.
    from_client: Option<AgentId>,
    /// Whether a client came when it had no workers that stay, and it has had none since.
    is_awaited: bool,
    /// The client that was asked for it last.
    asked: Option<ClientId>,
    /// How many agents will not have it.
    given_up: usize,
    /// On how many agents it crashed at start too often.
    broken: usize,
    /// What was last heard that went wrong.
    trouble: String,
}

/// How far an agent is with a program.
#[derive(Debug, Default)]
struct Copy {
    state: CopyState,
    /// How often it could not be fetched.
    failures: u32,
    /// How often it crashed at start since a worker of the program joined.
    crashes: u32,
    /// When it was given a source last.
    since: Moment,
    /// When that was, or when it got more of the program since.
    heard: Moment,
    /// Whether it had the program and lost it.
    had_it: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum CopyState {
    /// It is to be fetched, and nobody can send it yet.
    #[default]
    Waiting,
    /// The agent said that it has it, and looks whether that is so.
    Claimed,
    /// It is fetched from a client.
    FromClient,
    /// It is fetched from another agent.
    FromAgent(AgentId),
    /// It is there, and its workers are started.
    Ready,
    /// It could not be fetched too often.
    GivenUp,
    /// It is there, and its workers were retired.
    Retired,
}

impl CopyState {
    /// Whether it is being fetched.
    fn has_source(&self) -> bool {
        matches!(self, Self::FromClient | Self::FromAgent(_))
    }

    /// Whether others can fetch it from there.
    fn is_there(&self) -> bool {
        matches!(self, Self::Ready | Self::Retired)
    }
}

/// A scatter request that waits for the workers of its client's program.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) asked_by: Asked,
    pub(super) items: Vec<ScatterItem>,
    pub(super) broadcast: bool,
}

impl AgentEntry {
    /// How often a program may crash at start there.
    fn most_crashes(&self) -> u32 {
        self.join.nworkers.max(1).saturating_mul(ATTEMPTS)
    }

    /// Why it does not run a program for a client; `None` if it does.
    fn refuses(&self, program: &Executable, voucher: Option<&Voucher>) -> Option<String> {
        self.refuses_token(voucher).or_else(|| self.refuses_program(program))
    }

    /// Why it runs no program for a client. That the voucher is no forgery the agent sees itself.
    fn refuses_token(&self, voucher: Option<&Voucher>) -> Option<String> {
        let tokens = self.join.tokens.as_ref()?;
        let name = &self.join.name;
        match voucher {
            Some(voucher) if tokens.contains(&voucher.token) => None,
            Some(_) => Some(format!(
                "agent {name} does not allow the token of this client (--allow-token-file): use \
                 another, or have it allowed there"
            )),
            None => Some(format!(
                "agent {name} wants to see a token (--allow-token-file): set DASK_TOKEN, or use \
                 Client::builder().token(…)"
            )),
        }
    }

    /// Why it does not run a program, whoever's it is.
    fn refuses_program(&self, program: &Executable) -> Option<String> {
        let AgentJoin { name, target, code, .. } = &self.join;
        if self.has.contains(&program.id) {
            return None;
        }
        if *code == CodePolicy::Installed {
            return Some(format!(
                "agent {name} runs only programs that are installed on its host (--no-code)"
            ));
        }
        if !runs_on(&program.target, target) {
            let wanted = &program.target;
            return Some(format!(
                "agent {name} runs programs for {target}, and this one is for {wanted}: build it \
                 with --target"
            ));
        }
        None
    }
}

impl ProgramEntry {
    /// The voucher with which an agent runs it, if that needs one: that of the latest of its
    /// clients, and after each failure that of the one before, so that no forgery stands in the way
    /// of who knows the token. `None` if the agent runs it for none of them.
    fn voucher_for(&self, (id, agent): (AgentId, &AgentEntry)) -> Option<Option<Voucher>> {
        if agent.join.tokens.is_none() {
            return Some(None);
        }
        let failures = self.copies.get(&id).map_or(0, |copy| copy.failures);
        let vouchers = self.clients.values().rev().flatten();
        let allowed = vouchers.filter(|voucher| agent.refuses_token(Some(voucher)).is_none());
        allowed.cycle().nth(failures as usize).copied().map(Some)
    }

    /// The same, of the client that is to send the program, if the agent takes its voucher.
    fn voucher_of(&self, client: ClientId, agent: (AgentId, &AgentEntry)) -> Option<Voucher> {
        agent.1.join.tokens.as_ref()?;
        let own = self.clients.get(&client).copied().flatten();
        let allowed = own.filter(|voucher| agent.1.refuses_token(Some(voucher)).is_none());
        allowed.or_else(|| self.voucher_for(agent).flatten())
    }

    /// How often an agent tries to fetch it: each of its clients is asked, as far as there are not
    /// too many.
    fn attempts(&self) -> u32 {
        let further = self.clients.len().saturating_sub(1).min(MOST_FURTHER);
        ATTEMPTS + u32::try_from(further).unwrap_or(0)
    }

    fn new(executable: Executable) -> Self {
        Self {
            executable,
            clients: BTreeMap::new(),
            workers: BTreeSet::new(),
            copies: BTreeMap::new(),
            waiting: BTreeSet::new(),
            serving: BTreeMap::new(),
            free: BTreeSet::new(),
            from_client: None,
            is_awaited: false,
            asked: None,
            given_up: 0,
            broken: 0,
            trouble: String::new(),
        }
    }
}

impl ProgramTable {
    pub(super) fn agents(&self) -> impl Iterator<Item = AgentId> + '_ {
        self.agents.keys().copied()
    }

    /// When to look next whether programs are needed, and get to where they are.
    pub(super) fn next_look(&self) -> Option<Moment> {
        let needed = self.looks.first().map(|(at, _)| *at);
        let fetched = self.fetches.first().map(|(at, ..)| *at);
        needed.into_iter().chain(fetched).min()
    }

    /// What a client asked for while there were no workers of its program is not wanted any more.
    pub(super) fn forget_parked(&mut self, client: ClientId) {
        self.parked.remove(&client);
    }

    /// Nobody waits for these answers any more.
    pub(super) fn unpark(&mut self, is_gone: impl Fn(Asked) -> bool) {
        self.parked.retain(|_, parked| {
            parked.retain(|parked| !is_gone(parked.asked_by));
            !parked.is_empty()
        });
    }
}
