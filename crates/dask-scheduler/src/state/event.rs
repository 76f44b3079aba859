use dask_proto::id::{AgentId, ClientId, WorkerId};
use dask_proto::message::{
    AgentJoin, AgentToScheduler, ClientToScheduler, Code, WorkerJoin, WorkerToScheduler,
};
use serde::{Deserialize, Serialize};

/// Everything that can happen to a scheduler. The shell gives every connection an id, and never
/// the same one twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// A client said hello.
    ClientJoined {
        /// Its id.
        client: ClientId,
        /// Its name, for people.
        name: String,
        /// Whether its program travels to agents.
        code: Code,
    },
    /// A batch from a client.
    ClientSaid {
        /// The client.
        client: ClientId,
        /// What it said, in order.
        messages: Vec<ClientToScheduler>,
    },
    /// The connection to a client ended.
    ClientLost {
        /// The client.
        client: ClientId,
    },
    /// A worker said hello.
    WorkerJoined {
        /// Its id.
        worker: WorkerId,
        /// What it offers.
        join: Box<WorkerJoin>,
    },
    /// A batch from a worker.
    WorkerSaid {
        /// The worker.
        worker: WorkerId,
        /// What it said, in order.
        messages: Vec<WorkerToScheduler>,
    },
    /// The connection to a worker ended.
    WorkerLost {
        /// The worker.
        worker: WorkerId,
        /// Why, for people.
        reason: String,
    },
    /// [`next_timeout`](crate::state::SchedulerState::next_timeout) has come.
    Timeout,
    /// The scheduler shall end.
    Shutdown {
        /// Why, for people.
        reason: String,
    },
    /// An agent said hello.
    AgentJoined {
        /// Its id.
        agent: AgentId,
        /// What it offers.
        join: Box<AgentJoin>,
    },
    /// A batch from an agent.
    AgentSaid {
        /// The agent.
        agent: AgentId,
        /// What it said, in order.
        messages: Vec<AgentToScheduler>,
    },
    /// The connection to an agent ended.
    AgentLost {
        /// The agent.
        agent: AgentId,
        /// Why, for people.
        reason: String,
    },
}

impl Event {
    /// Whether a peer waits for its welcome.
    pub(super) fn is_hello(&self) -> bool {
        matches!(
            self,
            Self::ClientJoined { .. } | Self::WorkerJoined { .. } | Self::AgentJoined { .. }
        )
    }
}
