use dask_proto::id::{ClientId, WorkerId};
use dask_proto::message::{ClientToScheduler, WorkerJoin, WorkerToScheduler};
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
    /// [`next_timeout`](super::SchedulerState::next_timeout) has come.
    Timeout,
    /// The scheduler shall end.
    Shutdown {
        /// Why, for people.
        reason: String,
    },
}

impl Event {
    /// Whether a peer waits for its welcome.
    pub(super) fn is_hello(&self) -> bool {
        matches!(self, Self::ClientJoined { .. } | Self::WorkerJoined { .. })
    }
}
