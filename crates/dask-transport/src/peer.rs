use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dask_proto::codec::Carriage;
use dask_proto::id::{RequestId, TaskId};
use dask_proto::message::{
    Hello, PeerReply, PeerRequest, Program, Role, StoredValue, ValueAt, Welcome,
};
use dask_proto::{Address, Key, ValueError};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::AbortHandle;

use crate::{ConnectError, Inbox, Outbox, Transports, channel, connect_once};

/// Connections to workers, made on first use and kept; requests on one are multiplexed by id.
///
/// Clones share the connections. A connection ends when it breaks, when its worker is
/// [forgotten](Self::forget), or with the last clone.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

/// A worker could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// There is no connection to it.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The connection broke, or was closed, before the answer came.
    #[error("the connection to worker {address} was lost before it answered")]
    Lost {
        /// The worker.
        address: Address,
    },
    /// It answered something else than what was asked.
    #[error("worker {address} gave an answer that does not fit the question")]
    Protocol {
        /// The worker.
        address: Address,
    },
    /// It had too much to send each time it was asked.
    #[error("worker {address} was too busy to send its results")]
    Busy {
        /// The worker.
        address: Address,
    },
    /// A value could not be serialized, so nothing was sent.
    #[error("the value of {key} could not be sent")]
    Value {
        /// Its name.
        key: Key,
        /// Why not.
        source: ValueError,
    },
}

/// Values in one question, far below what a batch may hold.
const PUT_VALUES: usize = 1024;

/// Names in one question, far below what a batch may hold.
const GET_TASKS: usize = 1 << 16;

/// How often a busy worker is asked again, twice as long after each time.
const BUSY_RETRIES: u32 = 10;

/// How long after the first time.
const BUSY_DELAY: Duration = Duration::from_millis(10);

impl Peers {
    /// Connections over these transports, each given up after `timeout` if it cannot be made.
    #[must_use]
    pub fn new(transports: Transports, program: Program, timeout: Duration) -> Self {
        let links = Mutex::default();
        Self { shared: Arc::new(Shared { transports, program, timeout, links }) }
    }

    /// Fetches these results from the worker at this address, in this order.
    ///
    /// # Errors
    /// When there is no connection, it breaks, or the worker stays busy.
    pub async fn get(
        &self,
        address: &Address,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<(TaskId, ValueAt)>, PeerError> {
        if tasks.len() <= GET_TASKS {
            return self.get_some(address, tasks).await;
        }
        let mut values = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(GET_TASKS) {
            values.extend(self.get_some(address, tasks.to_vec()).await?);
        }
        Ok(values)
    }

    /// [`get`](Self::get), of a worker that is asked once: whoever asks knows when to ask again,
    /// or whom else.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`PeerError::Busy`] as soon as the worker is.
    pub async fn try_get(
        &self,
        address: &Address,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<(TaskId, ValueAt)>, PeerError> {
        let mut values = Vec::new();
        for tasks in tasks.chunks(GET_TASKS) {
            let some = self.ask_for(address, tasks.to_vec()).await?;
            let Some(some) = some else {
                let address = address.clone();
                return Err(PeerError::Busy { address });
            };
            values.extend(some);
        }
        Ok(values)
    }

    /// Hands these values to the worker at this address and waits until it holds them.
    ///
    /// # Errors
    /// When there is no connection, it breaks, or a value cannot be serialized.
    pub async fn put(&self, address: &Address, values: Vec<StoredValue>) -> Result<(), PeerError> {
        let mut values = values.into_iter().peekable();
        while values.peek().is_some() {
            let some: Vec<_> = values.by_ref().take(PUT_VALUES).collect();
            let link = self.link(address).await?;
            let some = sendable(some, link.outbox.carriage())?;
            let ask = |id| PeerRequest::Put { id, values: some };
            if !matches!(link.ask(Vec::new(), ask).await?, Answer::Stored) {
                return Err(self.defective(address));
            }
        }
        Ok(())
    }

    /// Closes the connection to a worker that is gone; questions it has not answered are lost.
    pub fn forget(&self, address: &Address) {
        let slot = self.shared.links().remove(address);
        if let Some(Ok(link)) = slot.as_ref().and_then(|slot| slot.get()) {
            link.outbox.close();
            link.lose(|| link.lost());
        }
    }

    async fn get_some(
        &self,
        address: &Address,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<(TaskId, ValueAt)>, PeerError> {
        let mut delay = BUSY_DELAY;
        for _ in 0..BUSY_RETRIES {
            if let Some(values) = self.ask_for(address, tasks.clone()).await? {
                return Ok(values);
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        let address = address.clone();
        Err(PeerError::Busy { address })
    }

    /// Asks once; `None` if the worker is busy.
    async fn ask_for(
        &self,
        address: &Address,
        tasks: Vec<TaskId>,
    ) -> Result<Option<Vec<(TaskId, ValueAt)>>, PeerError> {
        let link = self.link(address).await?;
        let asked = tasks.clone();
        let ask = |id| PeerRequest::Get { id, tasks: asked };
        match link.ask(tasks, ask).await? {
            Answer::Values(values) => Ok(Some(values)),
            Answer::Busy => Ok(None),
            Answer::Stored => Err(self.defective(address)),
        }
    }

    fn defective(&self, address: &Address) -> PeerError {
        self.forget(address);
        let address = address.clone();
        PeerError::Protocol { address }
    }

    /// The connection to a worker. All who want the same one wait for the same attempt and share
    /// its outcome; whoever comes after a failure tries anew.
    async fn link(&self, address: &Address) -> Result<Arc<Link>, PeerError> {
        let slot = {
            let mut links = self.shared.links();
            let slot = links.entry(address.clone()).or_default();
            if slot.get().is_some_and(is_over) {
                *slot = Slot::default();
            }
            slot.clone()
        };
        let link = slot.get_or_init(|| self.shared.connect(address)).await;
        link.clone()
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let links = self.shared.links();
        f.debug_struct("Peers")
            .field("addresses", &links.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

type Slot = Arc<OnceCell<Result<Arc<Link>, PeerError>>>;

struct Shared {
    transports: Transports,
    program: Program,
    timeout: Duration,
    links: Mutex<HashMap<Address, Slot>>,
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<Address, Slot>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, address: &Address) -> Result<Arc<Link>, PeerError> {
        let hello = Hello { role: Role::Peer, program: self.program.clone() };
        let connected = connect_once(&self.transports, address, &hello, self.timeout).await;
        let (connection, welcome) =
            connected.map_err(|error| PeerError::Connect(Arc::new(error)))?;
        if !matches!(welcome, Welcome::Peer) {
            let address = address.clone();
            return Err(PeerError::Protocol { address });
        }
        let (outbox, inbox) = channel(connection);
        let waiting = Arc::new(Mutex::default());
        let receiving = receive(inbox, address.clone(), Arc::clone(&waiting));
        let sending = outbox.clone();
        let receiving = tokio::spawn(async move {
            receiving.await;
            // Nothing is asked on it any more: its descriptor and its writer go with it.
            sending.abort();
        });
        Ok(Arc::new(Link {
            address: address.clone(),
            outbox,
            waiting,
            receiving: receiving.abort_handle(),
        }))
    }
}

fn is_over(link: &Result<Arc<Link>, PeerError>) -> bool {
    link.as_ref().map_or(true, |link| link.waiting().is_lost)
}

/// In one process values pass by reference; towards another they are serialized here, where a
/// failure has a name, and not in the connection, which could only break.
fn sendable(values: Vec<StoredValue>, carriage: Carriage) -> Result<Vec<StoredValue>, PeerError> {
    if carriage == Carriage::Objects {
        return Ok(values);
    }
    let encoded = values.into_iter().map(|stored| match stored.value.encoded() {
        Ok(value) => Ok(StoredValue { value, ..stored }),
        Err(source) => Err(PeerError::Value { key: stored.key, source }),
    });
    encoded.collect()
}

/// One connection.
struct Link {
    address: Address,
    outbox: Outbox<PeerRequest>,
    waiting: Arc<Mutex<Waiting>>,
    receiving: AbortHandle,
}

/// Questions without their answers.
#[derive(Default)]
struct Waiting {
    next: u64,
    questions: HashMap<RequestId, Question>,
    is_lost: bool,
}

struct Question {
    tasks: Vec<TaskId>,
    values: Vec<(TaskId, ValueAt)>,
    answer: oneshot::Sender<Result<Answer, PeerError>>,
}

enum Answer {
    Values(Vec<(TaskId, ValueAt)>),
    Stored,
    Busy,
}

impl Link {
    async fn ask(
        &self,
        tasks: Vec<TaskId>,
        request: impl FnOnce(RequestId) -> PeerRequest,
    ) -> Result<Answer, PeerError> {
        let (answer, answered) = oneshot::channel();
        let request = {
            let mut waiting = self.waiting();
            if waiting.is_lost {
                return Err(self.lost());
            }
            let id = RequestId(waiting.next);
            waiting.next += 1;
            let values = Vec::new();
            waiting.questions.insert(id, Question { tasks, values, answer });
            request(id)
        };
        if self.outbox.send([request]).is_err() {
            self.lose(|| self.lost());
        }
        answered.await.unwrap_or_else(|_| Err(self.lost()))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> PeerError {
        let address = self.address.clone();
        PeerError::Lost { address }
    }

    fn lose(&self, error: impl Fn() -> PeerError) {
        self.waiting().lose(error);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.receiving.abort();
    }
}

impl Waiting {
    fn lose(&mut self, error: impl Fn() -> PeerError) {
        self.is_lost = true;
        for (_, question) in self.questions.drain() {
            // Whoever asked may have stopped waiting.
            let _ = question.answer.send(Err(error()));
        }
    }

    /// Takes one reply; `None` when it does not fit its question.
    fn take(&mut self, reply: PeerReply) -> Option<()> {
        let (id, answer) = match reply {
            PeerReply::Values { id, values, last } => {
                let question = self.questions.get_mut(&id)?;
                let next = question.tasks.get(question.values.len()..)?;
                let fits = values.len() <= next.len()
                    && values.iter().zip(next).all(|((task, _), next)| task == next);
                if !fits || (last && values.len() < next.len()) {
                    return None;
                }
                question.values.extend(values);
                if !last {
                    return Some(());
                }
                (id, Answer::Values(std::mem::take(&mut question.values)))
            }
            PeerReply::Stored { id } => (id, Answer::Stored),
            PeerReply::Busy { id } => (id, Answer::Busy),
            _ => return None,
        };
        let question = self.questions.remove(&id)?;
        let _ = question.answer.send(Ok(answer));
        Some(())
    }
}

/// Hands replies to their questions until the connection ends or the worker makes no sense.
async fn receive(mut inbox: Inbox<PeerReply>, address: Address, waiting: Arc<Mutex<Waiting>>) {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let received = inbox.receive().await;
        let Ok(Some(replies)) = received else {
            if let Err(error) = received {
                tracing::debug!(%address, %error, "the connection to a worker broke");
            }
            lock().lose(|| PeerError::Lost { address: address.clone() });
            return;
        };
        let mut waiting = lock();
        for reply in replies {
            if waiting.take(reply).is_none() {
                waiting.lose(|| PeerError::Protocol { address: address.clone() });
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
