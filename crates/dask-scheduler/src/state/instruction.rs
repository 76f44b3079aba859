use std::sync::Arc;

use dask_proto::id::{AgentId, ClientId, FutureId, RequestId, RunId, StimulusId, TaskId, WorkerId};
use dask_proto::message::{
    Dependency, Question, SchedulerToAgent, SchedulerToClient, SchedulerToWorker, Welcome,
};
use dask_proto::{Key, TaskError};
use serde::{Deserialize, Serialize};

use crate::state::batches::Batches;

/// How many futures or tasks one message names: far from the limit for the bytes of a message.
const NAMED_AT_ONCE: usize = 1 << 16;

/// A connection of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// A client.
    Client(ClientId),
    /// A worker.
    Worker(WorkerId),
    /// An agent.
    Agent(AgentId),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(id) => id.fmt(f),
            Self::Worker(id) => id.fmt(f),
            Self::Agent(id) => id.fmt(f),
        }
    }
}

/// What a state asks of its shell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Instruction {
    /// Answer the hello of a peer that joined; a rejected one is unknown to the state afterwards.
    Welcome {
        /// The peer.
        peer: Peer,
        /// The answer.
        welcome: Welcome,
    },
    /// Send a batch to a client.
    ToClient {
        /// The client.
        client: ClientId,
        /// The batch.
        messages: Vec<SchedulerToClient>,
    },
    /// Send a batch to a worker.
    ToWorker {
        /// The worker.
        worker: WorkerId,
        /// The batch.
        messages: Vec<SchedulerToWorker>,
    },
    /// Tell a peer to close, for this reason, and close its connection. It is unknown to the state
    /// afterwards.
    Disconnect {
        /// The peer.
        peer: Peer,
        /// Why, for people.
        reason: String,
    },
    /// Log that a task makes no progress.
    Warn {
        /// The task.
        key: Key,
        /// Why, as far as is known: what [`explain`](crate::state::SchedulerState::explain) says.
        lines: Vec<String>,
    },
    /// End once everything is flushed. Every peer was disconnected before.
    Shutdown,
    /// Answer a client's question that only the process can answer, now or later.
    Serve {
        /// The client.
        client: ClientId,
        /// The question's id.
        id: RequestId,
        /// The question.
        question: Question,
    },
    /// Send a batch to an agent.
    ToAgent {
        /// The agent.
        agent: AgentId,
        /// The batch.
        messages: Vec<SchedulerToAgent>,
    },
}

impl Instruction {
    /// The peer that hears of it, if one does.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        match self {
            Self::Welcome { peer, .. } | Self::Disconnect { peer, .. } => Some(*peer),
            Self::ToClient { client, .. } => Some(Peer::Client(*client)),
            Self::ToWorker { worker, .. } => Some(Peer::Worker(*worker)),
            Self::ToAgent { agent, .. } => Some(Peer::Agent(*agent)),
            Self::Warn { .. } | Self::Shutdown | Self::Serve { .. } => None,
        }
    }
}

/// All that one event leads to: at most one batch per peer.
#[derive(Debug, Default)]
pub struct Instructions {
    stimulus: StimulusId,
    welcomes: Vec<(Peer, Welcome)>,
    clients: Batches<ClientId, ClientBatch>,
    workers: Batches<WorkerId, Vec<SchedulerToWorker>>,
    agents: Batches<AgentId, Vec<SchedulerToAgent>>,
    disconnects: Vec<(Peer, String)>,
    warnings: Vec<(Key, Vec<String>)>,
    served: Vec<(ClientId, RequestId, Question)>,
    shutdown: bool,
}

#[derive(Debug, Default)]
struct ClientBatch {
    messages: Vec<SchedulerToClient>,
    /// The error in the last message, to tell cheaply whether the next is the same.
    last_error: Option<Arc<TaskError>>,
}

impl Instructions {
    /// An empty buffer, to be used again and again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The event that caused these, counted by the state.
    #[must_use]
    pub fn stimulus(&self) -> StimulusId {
        self.stimulus
    }

    /// Takes all instructions out, in the order in which they are to be carried out.
    pub fn drain(&mut self) -> impl Iterator<Item = Instruction> + use<> {
        let taken = std::mem::take(self);
        let welcomes = taken.welcomes.into_iter();
        let clients = taken.clients.into_iter();
        let workers = taken.workers.into_iter();
        let agents = taken.agents.into_iter();
        let disconnects = taken.disconnects.into_iter();
        let warnings = taken.warnings.into_iter();
        let served = taken.served.into_iter();
        welcomes
            .map(|(peer, welcome)| Instruction::Welcome { peer, welcome })
            .chain(
                clients.map(|(client, batch)| Instruction::ToClient {
                    client,
                    messages: batch.messages,
                }),
            )
            .chain(workers.map(|(worker, messages)| Instruction::ToWorker { worker, messages }))
            .chain(agents.map(|(agent, messages)| Instruction::ToAgent { agent, messages }))
            .chain(disconnects.map(|(peer, reason)| Instruction::Disconnect { peer, reason }))
            .chain(warnings.map(|(key, lines)| Instruction::Warn { key, lines }))
            .chain(served.map(|(client, id, question)| Instruction::Serve { client, id, question }))
            .chain(taken.shutdown.then_some(Instruction::Shutdown))
    }

    pub(super) fn begin(&mut self, stimulus: StimulusId) {
        self.stimulus = stimulus;
    }

    pub(super) fn welcome(&mut self, peer: Peer, welcome: Welcome) {
        self.welcomes.push((peer, welcome));
    }

    pub(super) fn disconnect(&mut self, peer: Peer, reason: String) {
        self.disconnects.push((peer, reason));
    }

    pub(super) fn warn(&mut self, key: Key, lines: Vec<String>) {
        self.warnings.push((key, lines));
    }

    pub(super) fn serve(&mut self, (client, id): (ClientId, RequestId), question: Question) {
        self.served.push((client, id, question));
    }

    pub(super) fn shutdown(&mut self) {
        self.shutdown = true;
    }

    pub(super) fn tell_worker(&mut self, worker: WorkerId, message: SchedulerToWorker) {
        self.workers.of(worker).push(message);
    }

    pub(super) fn tell_agent(&mut self, agent: AgentId, message: SchedulerToAgent) {
        self.agents.of(agent).push(message);
    }

    /// Tells a worker to free a task: one message for a run of them.
    pub(super) fn free(&mut self, worker: WorkerId, task: TaskId) {
        let messages = self.workers.of(worker);
        match messages.last_mut() {
            Some(SchedulerToWorker::Free { tasks }) if tasks.len() < NAMED_AT_ONCE => {
                tasks.push(task);
            }
            _ => messages.push(SchedulerToWorker::Free { tasks: vec![task] }),
        }
    }

    /// Tells a worker to remove a copy: one message for a run of them.
    pub(super) fn remove(&mut self, worker: WorkerId, task: TaskId) {
        let messages = self.workers.of(worker);
        match messages.last_mut() {
            Some(SchedulerToWorker::Remove { tasks }) if tasks.len() < NAMED_AT_ONCE => {
                tasks.push(task);
            }
            _ => messages.push(SchedulerToWorker::Remove { tasks: vec![task] }),
        }
    }

    /// Tells a worker to fetch a copy: one message for a run of them.
    pub(super) fn acquire(&mut self, worker: WorkerId, copy: Dependency) {
        let messages = self.workers.of(worker);
        match messages.last_mut() {
            Some(SchedulerToWorker::Acquire { dependencies })
                if dependencies.len() < NAMED_AT_ONCE =>
            {
                dependencies.push(copy);
            }
            _ => messages.push(SchedulerToWorker::Acquire { dependencies: vec![copy] }),
        }
    }

    /// Asks a worker to give a task back: one message for a run of them.
    pub(super) fn steal(&mut self, worker: WorkerId, task: (TaskId, RunId)) {
        let messages = self.workers.of(worker);
        match messages.last_mut() {
            Some(SchedulerToWorker::Steal { tasks }) if tasks.len() < NAMED_AT_ONCE => {
                tasks.push(task);
            }
            _ => messages.push(SchedulerToWorker::Steal { tasks: vec![task] }),
        }
    }

    pub(super) fn tell_client(&mut self, client: ClientId, message: SchedulerToClient) {
        self.clients.of(client).messages.push(message);
    }

    /// Tells a client of a failed future: one message for a run of the same error.
    pub(super) fn erred(&mut self, client: ClientId, future: FutureId, error: &Arc<TaskError>) {
        let batch = self.clients.of(client);
        let same = batch.last_error.as_ref().is_some_and(|last| Arc::ptr_eq(last, error));
        match batch.messages.last_mut() {
            Some(SchedulerToClient::Erred { futures, .. })
                if same && futures.len() < NAMED_AT_ONCE =>
            {
                futures.push(future);
            }
            _ => {
                batch.last_error = Some(error.clone());
                batch.messages.push(SchedulerToClient::Erred {
                    futures: vec![future],
                    error: Box::new(TaskError::clone(error)),
                });
            }
        }
    }

    /// Tells a client that a future is pending again: one message for a run of them.
    pub(super) fn pending(&mut self, client: ClientId, future: FutureId, cause: Again) {
        let is_lost = cause == Again::Lost;
        let batch = self.clients.of(client);
        match batch.messages.last_mut() {
            Some(SchedulerToClient::Pending { futures, lost })
                if *lost == is_lost && futures.len() < NAMED_AT_ONCE =>
            {
                futures.push(future);
            }
            _ => batch
                .messages
                .push(SchedulerToClient::Pending { futures: vec![future], lost: is_lost }),
        }
    }

    /// Tells a client of a cancelled future: one message for a run with the same reason.
    pub(super) fn cancelled(&mut self, client: ClientId, future: FutureId, why: &str) {
        let batch = self.clients.of(client);
        match batch.messages.last_mut() {
            Some(SchedulerToClient::Cancelled { futures, reason })
                if reason == why && futures.len() < NAMED_AT_ONCE =>
            {
                futures.push(future);
            }
            _ => batch.messages.push(SchedulerToClient::Cancelled {
                futures: vec![future],
                reason: why.to_owned(),
            }),
        }
    }

    /// Forgets what was to be said to a peer that is gone.
    pub(super) fn discard(&mut self, peer: Peer) {
        match peer {
            Peer::Client(client) => {
                self.served.retain(|(of, ..)| *of != client);
                self.clients.discard(client);
            }
            Peer::Worker(worker) => {
                self.workers.discard(worker);
            }
            Peer::Agent(agent) => self.agents.discard(agent),
        }
    }
}

/// Why a task that was done is pending again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Its result was lost.
    Lost,
    /// A client asked to try again.
    Retried,
}
