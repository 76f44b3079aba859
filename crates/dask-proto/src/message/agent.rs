//! What a host agent, which knows no user code, says and hears; and the links that programs
//! travel on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Address;
use crate::program::{Executable, ProgramId, TokenId, Voucher};

/// What an agent offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentJoin {
    /// Its name, unique among agents: that of its worker, or what the names of its workers start
    /// with.
    pub name: String,
    /// Where other agents fetch programs that it has.
    pub address: Address,
    /// The target whose programs it runs, as of [`target`](crate::program::target).
    pub target: String,
    /// Whether it takes programs from clients.
    pub code: CodePolicy,
    /// How many worker processes it starts for each program.
    pub nworkers: u32,
    /// How many tasks each of them runs at once.
    pub nthreads: u32,
    /// Bytes of memory that each of them may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// The abstract resources of each of them.
    pub resources: BTreeMap<String, f64>,
    /// The programs that it has.
    pub programs: Vec<ProgramId>,
    /// Its process id.
    pub pid: u32,
    /// Whose clients' programs it runs: those that know one of these tokens; `None` for all.
    pub tokens: Option<Vec<TokenId>>,
}

/// An agent as the scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its name.
    pub name: String,
    /// Where other agents fetch programs that it has.
    pub address: Address,
    /// How many worker processes it starts for each program.
    pub nworkers: u32,
    /// How many tasks each of them runs at once.
    pub nthreads: u32,
    /// Bytes of memory that each of them may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// The names of the programs that it runs.
    pub programs: Vec<String>,
}

/// Whether an agent runs programs that clients bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CodePolicy {
    /// Any.
    #[default]
    FromClients,
    /// Only those that it has from the beginning (`--no-code`).
    Installed,
}

/// What the scheduler says to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SchedulerToAgent {
    /// Have the workers of this program run from now on.
    Run {
        /// The program.
        program: Executable,
        /// Where to fetch it first; `None` if the agent has it.
        from: Option<ProgramSource>,
        /// Of a client that the agent allows to have it run.
        voucher: Option<Voucher>,
    },
    /// Nobody needs this program any more: its workers are to end.
    Stop {
        /// The program.
        program: ProgramId,
    },
    /// Close the connection and end.
    Close {
        /// Why, for people.
        reason: String,
    },
}

/// Where a program is fetched, by a connection in the role
/// [`Program`](super::Role::Program) that [downloads](ProgramLink::Download).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProgramSource {
    /// The scheduler, which has a client send it.
    Scheduler {
        /// What to ask for there.
        ticket: u64,
    },
    /// An agent that has it.
    Agent {
        /// Where.
        address: Address,
    },
}

/// What an agent says to the scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AgentToScheduler {
    /// It has this program, whole and with the right hash; other agents can fetch it here.
    Fetched {
        /// The program.
        program: ProgramId,
    },
    /// It does not have this program.
    NotFetched {
        /// The program.
        program: ProgramId,
        /// Why, for people.
        reason: String,
    },
    /// A worker process ended before it joined the scheduler. It is started again, later each time.
    Crashed {
        /// The program.
        program: ProgramId,
        /// How it ended and what it printed last, for people.
        reason: String,
    },
    /// The workers with these names are to hand over what only they hold, and to leave.
    Retire {
        /// The program whose workers are meant; those of all unless said.
        program: Option<ProgramId>,
        /// Their names.
        workers: Vec<String>,
    },
    /// It is fetching this program, and more of it has come.
    Fetching {
        /// The program.
        program: ProgramId,
    },
    /// All workers of this program have ended here, and are not started again: they were retired.
    Ended {
        /// The program.
        program: ProgramId,
    },
}

/// What the scheduler says to a client about its program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ProgramNews {
    /// The cluster does not have it: send it, over a connection in the role
    /// [`Program`](super::Role::Program) that [uploads](ProgramLink::Upload).
    Wanted {
        /// What the upload is called there.
        ticket: u64,
    },
    /// An agent could not fetch or start it, and may try again.
    Trouble {
        /// The name of the agent.
        agent: String,
        /// What happened, for people.
        reason: String,
    },
    /// The first agent joined, and the client did not say which program it is: it is to
    /// [say so](super::ClientToScheduler::Identify).
    Identify,
}

/// What a connection in the role [`Program`](super::Role::Program) is for.
///
/// Behind the handshake the side that has the program sends it, piece by piece: one frame each, of
/// four bytes that say how long the piece is, and the piece as a block of LZ4. Then it closes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgramLink {
    /// The side that connects sends its program to the scheduler, which passes it on.
    Upload {
        /// As the scheduler called it.
        ticket: u64,
    },
    /// The side that connects fetches a program.
    Download {
        /// Which.
        program: ProgramId,
        /// As the scheduler called it; nothing to an agent.
        ticket: u64,
    },
}
