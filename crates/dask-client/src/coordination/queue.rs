use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use dask_proto::message::{Coordination, Patience, QueueAction};
use dask_task::Value;

use super::Handle;
use crate::future::travel::pack;
use crate::{Client, Error, Result};

/// A queue on the scheduler, for small values and for futures: Dask's `Queue`. Handles of the same
/// name are the same queue.
///
/// Futures in it, alone or inside of other values, keep their results on the cluster. What a client
/// has taken is its own only when it has arrived: if the client vanishes before, it is the first in
/// the queue again.
///
/// ```
/// # use dask_client::{Client, Future, Queue, Result, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let queue: Queue<Future<i64>> = Queue::new(&client, "results").maxsize(100);
/// queue.put(&client.submit(inc, 1)).await?;
/// let future = queue.get().await?;
/// assert_eq!(future.await?, 2);
/// # client.close().await
/// # }
/// ```
pub struct Queue<T> {
    handle: Handle,
    maxsize: u32,
    value: PhantomData<fn() -> T>,
}

impl<T: Value> Queue<T> {
    /// The queue of this name. It takes any number of values unless [`Queue::maxsize`] bounds it.
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self { handle: Handle::new(client, name), maxsize: 0, value: PhantomData }
    }

    /// How many values the queue takes before whoever puts more has to wait. What the first user of
    /// the queue says holds until it is [closed](Queue::close).
    #[must_use]
    pub fn maxsize(mut self, maxsize: u32) -> Self {
        self.maxsize = maxsize;
        self
    }

    /// Appends a value; waits while the queue is full.
    ///
    /// # Errors
    /// When the name is too long, the value cannot be serialized or is too large, a future in it is
    /// not on the cluster, the queue is closed meanwhile, or the scheduler is gone.
    pub async fn put(&self, value: &T) -> Result<()> {
        let (value, patience) = (pack(value)?, Patience::Forever);
        self.handle.done(self.request(QueueAction::Put { value, patience })?).await
    }

    /// Appends a value; waits while the queue is full, but not longer than `timeout`.
    ///
    /// # Errors
    /// As [`Queue::put`], and when the time is up ([`Error::is_timeout`]).
    pub async fn try_put(&self, value: &T, timeout: Duration) -> Result<()> {
        let value = pack(value)?;
        self.within(timeout, |patience| QueueAction::Put { value, patience }).await.map(drop)
    }

    /// Takes the first value; waits while there is none.
    ///
    /// # Errors
    /// When the name is too long, the value is of another type and stays in the queue, the queue is
    /// closed meanwhile, or the scheduler is gone.
    pub async fn get(&self) -> Result<T> {
        let (count, patience) = (1, Patience::Forever);
        let request = self.request(QueueAction::Get { count, patience })?;
        self.handle.receive_one(self.handle.ask(request).await?)
    }

    /// Takes the first value; waits while there is none, but not longer than `timeout`.
    ///
    /// # Errors
    /// As [`Queue::get`], and when the time is up ([`Error::is_timeout`]).
    pub async fn try_get(&self, timeout: Duration) -> Result<T> {
        let count = 1;
        let get = |patience| QueueAction::Get { count, patience };
        self.handle.receive_one(self.within(timeout, get).await?)
    }

    /// Takes this many values from the front, 1024 at most; waits until there are as many.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn get_batch(&self, count: u32) -> Result<Vec<T>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let patience = Patience::Forever;
        let request = self.request(QueueAction::Get { count, patience })?;
        self.handle.receive(self.handle.ask(request).await?)
    }

    /// Takes whatever is there, which may be nothing, 1024 values at most: Dask's
    /// `get(batch=True)`.
    ///
    /// # Errors
    /// As [`Queue::get`].
    pub async fn drain(&self) -> Result<Vec<T>> {
        self.handle.receive(self.handle.ask(self.request(QueueAction::Drain)?).await?)
    }

    /// How many values are in the queue.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn qsize(&self) -> Result<u64> {
        self.handle.count(self.request(QueueAction::Size)?).await
    }

    /// Forgets the queue with its values. Whoever waits gets an error.
    ///
    /// # Errors
    /// As [`Queue::qsize`].
    pub async fn close(&self) -> Result<()> {
        self.handle.done(self.request(QueueAction::Close)?).await
    }

    async fn within(
        &self,
        timeout: Duration,
        action: impl FnOnce(Patience) -> QueueAction,
    ) -> Result<(dask_proto::id::RequestId, dask_proto::message::Answer)> {
        let (name, maxsize) = (self.handle.key()?, self.maxsize);
        let request = |patience| Coordination::Queue { name, maxsize, action: action(patience) };
        let answer = self.handle.ask_within(timeout, request).await?;
        answer.ok_or_else(|| Error::timeout("waiting for a queue", timeout))
    }

    fn request(&self, action: QueueAction) -> Result<Coordination> {
        Ok(Coordination::Queue { name: self.handle.key()?, maxsize: self.maxsize, action })
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), maxsize: self.maxsize, value: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Queue: {:?}>", self.handle)
    }
}
