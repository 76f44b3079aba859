use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, vec};

use dask_proto::codec::{self, Carriage, DecodeError, EncodeError};
use dask_proto::limits::{BATCH_BYTES, MAX_QUEUED_MESSAGES};
use dask_proto::wire::Limits;
use dask_proto::{Address, Frames};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};

use crate::{Connection, FrameReceiver, FrameSender, TransportError};

/// Messages in one batch: beyond this a batch amortizes nothing more.
const BATCH_MESSAGES: usize = 4096;

/// Messages in the first batch of a connection, before their size is known.
const FIRST_MESSAGES: usize = 256;

/// Makes typed messages of a connection that was welcomed. One task writes: what queues up while
/// it writes a batch is the next batch, so a message on an idle link leaves at once, and a busy
/// link has few and large batches, without a timer.
///
/// Must be called inside a tokio runtime, on which the writing task runs.
pub fn channel<Out, In>(mut connection: Connection) -> (Outbox<Out>, Inbox<In>)
where
    Out: Serialize + Send + 'static,
    In: DeserializeOwned,
{
    connection.receiver.set_limits(Limits::MESSAGES);
    let (ended, has_ended) = watch::channel(());
    let (cut, is_cut) = watch::channel(Cut::No);
    let queue = Arc::new(Queue {
        waiting: Mutex::new(Waiting { messages: Vec::new(), phase: Phase::Open }),
        wake: Notify::new(),
        cut,
    });
    let writer = Writer {
        queue: Arc::clone(&queue),
        sender: connection.sender,
        peer: connection.peer.clone(),
        carriage: connection.carriage,
        at_once: FIRST_MESSAGES,
        _ended: ended,
    };
    tokio::spawn(writer.run(is_cut.clone()));
    let outbox =
        Outbox { handle: Arc::new(Handle { queue, has_ended }), carriage: connection.carriage };
    let inbox = Inbox {
        receiver: connection.receiver,
        peer: connection.peer,
        is_cut,
        message: std::marker::PhantomData,
    };
    (outbox, inbox)
}

/// The way to a peer, for messages. Clones share one queue; the link closes with the last of them.
pub struct Outbox<Out> {
    handle: Arc<Handle<Out>>,
    carriage: Carriage,
}

/// Messages cannot be sent: the link was closed, is dead, or its queue overflowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closed")]
pub struct OutboxClosed;

impl<Out> Outbox<Out> {
    /// Queues messages, to be written in this order and behind those queued before. Never waits.
    /// The iterator runs while the queue is locked: it must not use this outbox.
    ///
    /// # Errors
    /// When the link is closed or dead, or [`MAX_QUEUED_MESSAGES`] wait already: then the peer has
    /// stopped reading, and the link is cut. What was queued before may or may not arrive.
    pub fn send(&self, messages: impl IntoIterator<Item = Out>) -> Result<(), OutboxClosed> {
        self.handle.queue.push(messages.into_iter())
    }

    /// Whether live objects can be sent.
    #[must_use]
    pub fn carriage(&self) -> Carriage {
        self.carriage
    }

    /// Writes what is queued and then closes this direction of the link. Returns at once; calling
    /// it again does nothing. Dropping the last outbox does the same.
    pub fn close(&self) {
        self.handle.queue.end(Phase::Closing);
    }

    /// Cuts the link now, without writing what is queued: for a peer that has stopped reading. The
    /// inbox reports the link closed.
    pub fn abort(&self) {
        self.handle.queue.end(Phase::Dead);
        // Also when the writer has ended: the inbox may still wait.
        self.handle.queue.cut.send_replace(Cut::Aborted);
    }

    /// Returns once nothing more will be written: all is sent and closed, or the link is dead. The
    /// peer need not have read it.
    pub async fn closed(&self) {
        let mut has_ended = self.handle.has_ended.clone();
        // The writer never sends: it drops its end, also when it is dropped itself.
        let _ = has_ended.changed().await;
    }
}

impl<Out> Clone for Outbox<Out> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), carriage: self.carriage }
    }
}

impl<Out> fmt::Debug for Outbox<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.handle.queue.lock();
        f.debug_struct("Outbox")
            .field("queued", &waiting.messages.len())
            .field("phase", &waiting.phase)
            .finish_non_exhaustive()
    }
}

/// The way back from a peer, for messages.
pub struct Inbox<In> {
    receiver: Box<dyn FrameReceiver>,
    peer: Address,
    is_cut: watch::Receiver<Cut>,
    message: std::marker::PhantomData<fn() -> In>,
}

/// Messages could not be received. The connection is of no further use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The link is dead.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The peer sent something else than messages of the expected kind.
    #[error("the peer sent messages that could not be decoded")]
    Decode(#[from] DecodeError),
    /// This side had a message that it cannot send, and cut the link.
    #[error("a message to the peer could not be encoded")]
    Encode(#[source] Arc<EncodeError>),
}

impl<In: DeserializeOwned> Inbox<In> {
    /// The next batch of messages; `None` once the peer closed its direction. Not cancel safe:
    /// drive it from a task of its own.
    ///
    /// # Errors
    /// When the link is dead or was [aborted](Outbox::abort), the peer sent nonsense, or a message
    /// to it could not be encoded.
    pub async fn receive(&mut self) -> Result<Option<Vec<In>>, ChannelError> {
        let received = tokio::select! {
            biased;
            why = cut(&mut self.is_cut) => return Err(why),
            received = self.receiver.receive() => received,
        };
        let Some(frames) = received? else {
            return Ok(None);
        };
        Ok(Some(codec::decode(frames)?))
    }
}

impl<In> Inbox<In> {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.peer
    }
}

impl<In> fmt::Debug for Inbox<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// What clones of an outbox share; closes the link when the last one is dropped.
struct Handle<Out> {
    queue: Arc<Queue<Out>>,
    has_ended: watch::Receiver<()>,
}

impl<Out> Drop for Handle<Out> {
    fn drop(&mut self) {
        self.queue.end(Phase::Closing);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// What waits is still written.
    Closing,
    Dead,
}

/// Whether this side has cut the link, and why.
enum Cut {
    No,
    Aborted,
    Unencodable(Arc<EncodeError>),
}

struct Waiting<Out> {
    messages: Vec<Out>,
    phase: Phase,
}

struct Queue<Out> {
    waiting: Mutex<Waiting<Out>>,
    /// Tells the writer that there is something to do.
    wake: Notify,
    /// Tells both directions, wherever they wait, that the link is dead.
    cut: watch::Sender<Cut>,
}

impl<Out> Queue<Out> {
    fn lock(&self) -> MutexGuard<'_, Waiting<Out>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut messages: impl Iterator<Item = Out>) -> Result<(), OutboxClosed> {
        let mut waiting = self.lock();
        if waiting.phase != Phase::Open {
            return Err(OutboxClosed);
        }
        let was_empty = waiting.messages.is_empty();
        let room = MAX_QUEUED_MESSAGES - waiting.messages.len();
        waiting.messages.extend(messages.by_ref().take(room));
        let overflow = waiting.messages.len() == MAX_QUEUED_MESSAGES && messages.next().is_some();
        let is_empty = waiting.messages.is_empty();
        drop(waiting);
        if overflow {
            tracing::error!("a peer has stopped reading: its connection is cut");
            self.end(Phase::Dead);
            return Err(OutboxClosed);
        }
        // A queue that was not empty has woken the writer already.
        if was_empty && !is_empty {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Moves on to a later phase.
    fn end(&self, phase: Phase) {
        let mut waiting = self.lock();
        if waiting.phase >= phase {
            return;
        }
        waiting.phase = phase;
        let abandoned = match phase {
            Phase::Dead => std::mem::take(&mut waiting.messages),
            Phase::Open | Phase::Closing => Vec::new(),
        };
        drop(waiting);
        // Messages can own live values, whose `drop` is not ours: outside of the lock.
        drop(abandoned);
        if phase == Phase::Dead {
            self.cut.send_replace(Cut::Aborted);
        }
        self.wake.notify_one();
    }

    /// All that waits; empty when nothing more can come.
    async fn take(&self) -> Vec<Out> {
        loop {
            if let Some(messages) = self.try_take() {
                return messages;
            }
            self.wake.notified().await;
        }
    }

    fn try_take(&self) -> Option<Vec<Out>> {
        let mut waiting = self.lock();
        let messages = std::mem::take(&mut waiting.messages);
        (!messages.is_empty() || waiting.phase != Phase::Open).then_some(messages)
    }
}

/// The task that writes.
struct Writer<Out> {
    queue: Arc<Queue<Out>>,
    sender: Box<dyn FrameSender>,
    peer: Address,
    carriage: Carriage,
    /// How many messages make a batch of some [`BATCH_BYTES`], as far as is known.
    at_once: usize,
    _ended: watch::Sender<()>,
}

/// Why the writer gave up.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("a message could not be encoded")]
    Encode(#[source] EncodeError),
}

impl<Out: Serialize> Writer<Out> {
    async fn run(mut self, mut is_cut: watch::Receiver<Cut>) {
        let written = tokio::select! {
            biased;
            _ = cut(&mut is_cut) => return,
            written = self.write() => written,
        };
        match written {
            Ok(()) => {}
            Err(WriteError::Encode(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(peer = %self.peer, %error, cause, "the connection is cut");
                self.queue.cut.send_replace(Cut::Unencodable(Arc::new(error)));
            }
            Err(WriteError::Transport(error)) => {
                tracing::debug!(peer = %self.peer, %error, "the link is dead");
            }
        }
    }

    async fn write(&mut self) -> Result<(), WriteError> {
        loop {
            let mut messages = self.queue.take().await.into_iter();
            if messages.as_slice().is_empty() {
                return Ok(self.sender.close().await?);
            }
            while !messages.as_slice().is_empty() {
                let frames = self.next_batch(&mut messages)?;
                self.sender.send(frames).await?;
            }
        }
    }

    /// Encodes as many of the messages as make a good batch. One that is too large is halved.
    fn next_batch(&mut self, messages: &mut vec::IntoIter<Out>) -> Result<Frames, WriteError> {
        let mut count = self.at_once.min(messages.as_slice().len());
        loop {
            match codec::encode(&messages.as_slice()[..count], self.carriage) {
                Ok(frames) => {
                    self.learn(count, &frames);
                    messages.by_ref().take(count).for_each(drop);
                    return Ok(frames);
                }
                Err(error) if count == 1 => return Err(WriteError::Encode(error)),
                Err(_) => count /= 2,
            }
        }
    }

    /// Large payloads have frames of their own and do not count: they are not copied.
    fn learn(&mut self, count: usize, frames: &Frames) {
        let bytes: usize = frames.bytes.iter().take(2).map(|frame| frame.len()).sum();
        let ideal = count.saturating_mul(BATCH_BYTES) / bytes.max(1);
        // At most twice as many as were seen to fit, or a lone tiny message would promise too much.
        let most = self.at_once.max(count.saturating_mul(2));
        self.at_once = ideal.clamp(1, most).min(BATCH_MESSAGES);
    }
}

/// However the writer ends, and even if its runtime drops it, nobody queues for it any more.
impl<Out> Drop for Writer<Out> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.phase = Phase::Dead;
        let abandoned = std::mem::take(&mut waiting.messages);
        drop(waiting);
        drop(abandoned);
    }
}

/// Returns why once the link is cut, and never when nobody can cut it any more.
async fn cut(is_cut: &mut watch::Receiver<Cut>) -> ChannelError {
    let why = is_cut.wait_for(|cut| !matches!(cut, Cut::No)).await;
    let why = why.map(|cut| match &*cut {
        Cut::Unencodable(error) => ChannelError::Encode(Arc::clone(error)),
        Cut::No | Cut::Aborted => TransportError::Closed.into(),
    });
    match why {
        Ok(error) => error,
        Err(_) => std::future::pending().await,
    }
}
