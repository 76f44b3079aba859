//! Answers peers: clients and workers that fetch results or put values here.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use dask_proto::Payload;
use dask_proto::codec::{self, Carriage, DecodeError, EncodeError};
use dask_proto::id::{RequestId, TaskId};
use dask_proto::message::{PeerReply, PeerRequest, Rejection, Role, StoredValue, ValueAt, Welcome};
use dask_transport::{
    ConnectError, Connection, Listener, TransportError, receive_hello, send_welcome,
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use crate::encoder::Encoder;
use crate::store::{Found, Store};

/// How long a peer may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Values in one part of an answer, far below what a batch may hold.
const PART_VALUES: usize = 4096;

/// Encoded bytes after which a part of an answer is sent, before more is encoded.
const PART_BYTES: u64 = 32 << 20;

/// Parts that a worker with little memory would hold if it held nothing else.
const LIMIT_PARTS: u64 = 64;

/// Answers that are encoded at the same time.
const ENCODERS: usize = 4;

/// Where a worker serves, and how many at the same time.
pub(crate) struct Service {
    pub(crate) listener: Box<dyn Listener>,
    /// Questions for results that are answered at the same time; who asks beyond that is told that
    /// the worker is busy.
    pub(crate) transfers: usize,
}

/// Values that a client put here, for the worker's loop.
#[derive(Debug)]
pub(crate) struct Put {
    /// The values and their sizes.
    pub(crate) values: Vec<(TaskId, u64, Payload)>,
    /// To be told once they are held.
    pub(crate) held: oneshot::Sender<()>,
}

/// What connections need of the worker.
#[derive(Clone)]
pub(crate) struct Server<News> {
    pub(crate) store: Arc<Store>,
    pub(crate) news: mpsc::Sender<News>,
    encoders: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    /// Bytes after which a part of an answer is sent.
    part_bytes: u64,
}

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the worker ended")]
    Ended,
}

impl From<JoinError> for Broken {
    fn from(_: JoinError) -> Self {
        Self::Ended
    }
}

impl<News: From<Put> + Send + 'static> Server<News> {
    pub(crate) fn new(
        store: Arc<Store>,
        news: mpsc::Sender<News>,
        memory_limit: Option<u64>,
        transfers: usize,
    ) -> Self {
        let encoders = Arc::new(Semaphore::new(ENCODERS));
        let transfers = transfers.clamp(1, Semaphore::MAX_PERMITS);
        let transfers = Arc::new(Semaphore::new(transfers));
        let share = memory_limit.map_or(u64::MAX, |limit| limit / LIMIT_PARTS);
        let part_bytes = share.min(PART_BYTES);
        Self { store, news, encoders, transfers, part_bytes }
    }

    /// Accepts connections until it is dropped, and its connections with it.
    pub(crate) async fn run(self, mut listener: Box<dyn Listener>) {
        // The listener's `accept` need not be cancel safe: it has a task of its own.
        let (accepted, mut connections) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok(connection) => {
                        if accepted.send(connection).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        loop {
            tokio::select! {
                Some(connection) = connections.recv() => {
                    let server = Self {
                        store: Arc::clone(&self.store),
                        news: self.news.clone(),
                        encoders: Arc::clone(&self.encoders),
                        transfers: Arc::clone(&self.transfers),
                        part_bytes: self.part_bytes,
                    };
                    tasks.spawn(server.converse(connection));
                }
                Some(_) = tasks.join_next() => {}
                else => return,
            }
        }
    }

    async fn converse(self, connection: Connection) {
        let peer = connection.peer.clone();
        if let Err(error) = self.answer_all(connection).await {
            tracing::debug!(%peer, %error, "the connection to a peer ended");
        }
    }

    /// One question after the other: the next is read when the last is answered, so a peer that
    /// does not read cannot make answers pile up.
    async fn answer_all(&self, mut connection: Connection) -> Result<(), Broken> {
        let hello = receive_hello(&mut connection, HELLO_TIMEOUT).await?;
        let wanted = match hello.role {
            Role::Peer => None,
            Role::Client { .. } => Some("a client of a scheduler"),
            Role::Worker(_) => Some("a worker of a scheduler"),
            _ => Some("a peer of this role"),
        };
        if let Some(wanted) = wanted {
            let rejection =
                Rejection::Role { is: "a worker".to_owned(), wanted: wanted.to_owned() };
            return Ok(send_welcome(&mut connection, &Welcome::Rejected(rejection)).await?);
        }
        send_welcome(&mut connection, &Welcome::Peer).await?;
        while let Some(frames) = connection.receiver.receive().await? {
            for request in codec::decode(frames)? {
                match request {
                    PeerRequest::Get { id, tasks } => {
                        self.get(&mut connection, id, tasks).await?;
                    }
                    PeerRequest::Put { id, values } => {
                        self.put(values).await?;
                        reply(&mut connection, PeerReply::Stored { id }).await?;
                    }
                    _ => return Ok(()),
                }
            }
        }
        Ok(())
    }

    async fn get(
        &self,
        connection: &mut Connection,
        id: RequestId,
        tasks: Vec<TaskId>,
    ) -> Result<(), Broken> {
        let Ok(_transfer) = self.transfers.try_acquire() else {
            return reply(connection, PeerReply::Busy { id }).await;
        };
        let mut tasks = VecDeque::from(tasks);
        loop {
            let values = match connection.carriage {
                Carriage::Objects => match self.live_part(&mut tasks) {
                    Some(values) => values,
                    None => self.slow_part(&mut tasks, Carriage::Objects).await?,
                },
                Carriage::Bytes => self.slow_part(&mut tasks, Carriage::Bytes).await?,
            };
            let last = tasks.is_empty();
            reply(connection, PeerReply::Values { id, values, last }).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Values as they are; `None` when one of them is on disk.
    fn live_part(&self, tasks: &mut VecDeque<TaskId>) -> Option<Vec<(TaskId, ValueAt)>> {
        let length = tasks.len().min(PART_VALUES);
        let part = tasks.iter().take(length).map(|&task| match self.store.get(task) {
            Some(Found::Here(value)) => Some((task, ValueAt::Found(value))),
            Some(Found::OnDisk(_)) => None,
            None => Some((task, ValueAt::Missing)),
        });
        let part = part.collect::<Option<_>>()?;
        tasks.drain(..length);
        Some(part)
    }

    /// Encoding a value runs its own code and takes as long as the value is large, and so does
    /// reading it from disk: it happens away from the threads that drive connections. What is read
    /// is sent, and not kept.
    async fn slow_part(
        &self,
        tasks: &mut VecDeque<TaskId>,
        carriage: Carriage,
    ) -> Result<Vec<(TaskId, ValueAt)>, Broken> {
        let permit = Arc::clone(&self.encoders).acquire_owned().await;
        let permit = permit.map_err(|_| Broken::Ended)?;
        let store = Arc::clone(&self.store);
        let mut rest = std::mem::take(tasks);
        let part_bytes = self.part_bytes;
        let encoding = tokio::task::spawn_blocking(move || {
            let mut encoder = Encoder::default();
            let mut part = Vec::with_capacity(rest.len().min(PART_VALUES));
            let mut bytes = 0;
            while part.len() < PART_VALUES && bytes < part_bytes {
                let Some(task) = rest.pop_front() else {
                    break;
                };
                let value = match store.get(task) {
                    Some(Found::Here(value)) => Some(value),
                    Some(Found::OnDisk(result)) => store.read(&result),
                    None => None,
                };
                let value = match (value, carriage) {
                    (None, _) => ValueAt::Missing,
                    (Some(value), Carriage::Objects) => ValueAt::Found(value),
                    (Some(value), Carriage::Bytes) => encoded(&mut encoder, value),
                };
                // What goes by reference takes nothing.
                if let ValueAt::Found(value) = &value
                    && value.is_encoded()
                {
                    bytes += value.nbytes();
                }
                part.push((task, value));
            }
            drop(permit);
            (part, rest)
        });
        let (part, rest) = encoding.await?;
        *tasks = rest;
        Ok(part)
    }

    async fn put(&self, values: Vec<StoredValue>) -> Result<(), Broken> {
        let measuring = tokio::task::spawn_blocking(move || {
            let values = values.into_iter().map(|stored| {
                let size = catch_unwind(AssertUnwindSafe(|| stored.value.nbytes()));
                (stored.task, size.unwrap_or(0), stored.value)
            });
            values.collect()
        });
        let values = measuring.await?;
        let (held, is_held) = oneshot::channel();
        let put = Put { values, held };
        self.news.send(put.into()).await.map_err(|_| Broken::Ended)?;
        is_held.await.map_err(|_| Broken::Ended)
    }
}

async fn reply(connection: &mut Connection, reply: PeerReply) -> Result<(), Broken> {
    let frames = codec::encode(&[reply], connection.carriage)?;
    Ok(connection.sender.send(frames).await?)
}

fn encoded(encoder: &mut Encoder, value: Payload) -> ValueAt {
    let encoded = catch_unwind(AssertUnwindSafe(move || encoder.encode(&value)));
    match encoded {
        Ok(Ok(encoded)) => ValueAt::Found(encoded),
        Ok(Err(error)) => ValueAt::Failed(error.to_string()),
        Err(_) => ValueAt::Failed("its serialization panicked".to_owned()),
    }
}
