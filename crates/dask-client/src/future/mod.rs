//! Futures, and what waits for them.

pub(crate) mod as_completed;
pub(crate) mod completed;
pub(crate) mod fetch;
pub(crate) mod gather;
pub(crate) mod hold;
#[cfg(feature = "progress")]
pub(crate) mod progress;
pub(crate) mod travel;
pub(crate) mod wait;

use std::fmt;
use std::future::IntoFuture;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::{Key, TaskError};
use dask_task::Value;

use crate::future::hold::{Hold, Outcome};
use crate::{Error, Result};

/// A boxed future: what awaiting one of this crate's builders runs.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A result that is or will be on the cluster: Dask's `Future`.
///
/// Clones share one hold on the key; when the last is dropped the key is released, and the cluster
/// may cancel the task and drop its result. Await a future, or a reference to one, for its value.
///
/// ```
/// # use dask_client::{Client, Result, Status, task};
/// # #[task] fn parse(s: &str) -> Result<i64, std::num::ParseIntError> { s.parse() }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let good = client.submit(parse, "5");
/// assert_eq!((&good).await?, 5);
/// assert_eq!(good.status(), Status::Finished);
///
/// let bad = client.submit(parse, "five");
/// let error = bad.result().await.unwrap_err();
/// let task = error.task_error().expect("the task failed");
/// assert_eq!(task.message, "invalid digit found in string");
/// assert_eq!(&task.key, bad.key());
/// # client.close().await
/// # }
/// ```
///
/// A future is [`serde::Serialize`] and [`serde::Deserialize`]: it travels as its key, and is bound
/// to the [default client](crate::default_client) of the process where it is read.
///
/// The key lives as long as anybody holds it. The cluster holds the futures inside of a task's
/// arguments, of scattered data, and of what a [`Queue`](crate::Queue) or a
/// [`Variable`](crate::Variable) keeps, for as long as it knows these. Whoever sends a future by
/// another way has to keep it until it has been read.
pub struct Future<T> {
    pub(crate) hold: Arc<Hold>,
    value: PhantomData<fn() -> T>,
}

/// Where a future is in its life, in Dask's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Not done yet.
    Pending,
    /// The result is in memory on the cluster.
    Finished,
    /// The task failed.
    Error,
    /// The task was cancelled, or the client lost its scheduler.
    Cancelled,
    /// The result was lost with a worker and is computed again.
    Lost,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Finished => "finished",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        })
    }
}

impl<T> Future<T> {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold, value: PhantomData }
    }

    /// The key of the task and of its result.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.hold.key
    }

    /// Where the future is in its life, as far as this client has heard.
    #[must_use]
    pub fn status(&self) -> Status {
        self.hold.status()
    }

    /// Whether the future is finished, failed or cancelled.
    #[must_use]
    pub fn done(&self) -> bool {
        self.hold.outcome().is_some()
    }

    /// Whether the future was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.status() == Status::Cancelled
    }

    /// The name of the result's type, without the path.
    #[must_use]
    pub fn type_name(&self) -> String {
        short_type_name(std::any::type_name::<T>())
    }

    /// Waits until the future is done and says how it failed, if it did.
    ///
    /// # Errors
    /// When the future is cancelled or the scheduler is gone: not when the task failed.
    pub async fn exception(&self) -> Result<Option<TaskError>> {
        match self.hold.done().await {
            Outcome::Finished(_) => Ok(None),
            Outcome::Failed(error) => Ok(Some(TaskError::clone(&error))),
            Outcome::Cancelled(cancelled) => Err(self.hold.cancelled_error(&cancelled)),
        }
    }

    /// Waits until the future is done and gives the stack of its panic, if it has one.
    ///
    /// # Errors
    /// When the future is cancelled or the scheduler is gone.
    pub async fn traceback(&self) -> Result<Option<String>> {
        let error = self.exception().await?;
        Ok(error.and_then(|error| error.backtrace.or(error.location)))
    }

    /// Waits until the future is done, whatever becomes of it.
    pub async fn wait(&self) {
        self.hold.done().await;
    }

    /// Cancels the task, unless another client holds it: Dask's `Future.cancel`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn cancel(&self) -> Result<()> {
        crate::client::control::cancel(
            &self.hold.client,
            std::slice::from_ref(&self.hold),
            crate::client::control::Force::No,
        )
        .await
    }

    /// Runs the task again if it failed.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn retry(&self) -> Result<()> {
        crate::client::control::retry(&self.hold.client, std::slice::from_ref(&self.hold)).await
    }

    /// Gives up this clone of the future; the same as dropping it.
    pub fn release(self) {}

    /// Calls `callback` with this future as soon as it is done, at once if it is: on a thread where
    /// it may block, as in Dask. Until then the callback holds the future.
    pub fn add_done_callback(&self, callback: impl FnOnce(Self) + Send + 'static)
    where
        T: 'static,
    {
        let future = self.clone();
        self.hold.when_done(Box::new(move || {
            let link = future.hold.client.clone();
            link.run_callback(move || callback(future));
        }));
    }
}

impl<T: Value> Future<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// When the task failed ([`Error::task_error`]), was cancelled, or the scheduler is gone.
    pub async fn result(&self) -> Result<T> {
        crate::future::gather::value(&self.hold).await
    }

    /// Waits for the result, but not longer than `timeout`.
    ///
    /// # Errors
    /// As [`Future::result`], and when the time is up ([`Error::is_timeout`]).
    pub async fn try_result(&self, timeout: Duration) -> Result<T> {
        let result = tokio::time::timeout(timeout, self.result()).await;
        result.unwrap_or_else(|_| Err(Error::timeout("the result of a future", timeout)))
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self::new(self.hold.clone())
    }
}

impl<T> PartialEq for Future<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Future<T> {}

impl<T> Hash for Future<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, type_name) = (self.status(), self.type_name());
        write!(f, "<Future: {status}, type: {type_name}, key: {}>", self.key())
    }
}

impl<T: Value> IntoFuture for Future<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl<T: Value> IntoFuture for &Future<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone().into_future()
    }
}

/// `alloc::vec::Vec<alloc::string::String>` as `Vec<String>`.
pub(crate) fn short_type_name(full: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in full.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                short.push_str(&std::mem::take(&mut word));
                short.push(c);
            }
        }
    }
    short + &word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_names_lose_their_paths() {
        assert_eq!(short_type_name("i64"), "i64");
        let full = std::any::type_name::<Vec<(String, Option<f64>)>>();
        assert_eq!(short_type_name(full), "Vec<(String, Option<f64>)>");
    }
}
