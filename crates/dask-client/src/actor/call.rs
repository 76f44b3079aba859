use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::Key;
use dask_task::{ActorReply, Value};

use crate::error::Kind;
use crate::{BoxFuture, Error, Future, Result};

/// What a call of an actor's method will give: Dask's `ActorFuture`. Await it, or a reference to
/// it, for the value.
pub struct ActorFuture<T>(Future<ActorReply<T>>);

impl<T: Value> ActorFuture<T> {
    pub(crate) fn new(future: Future<ActorReply<T>>) -> Self {
        Self(future)
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// When the method failed or panicked, or the worker that held the actor is gone
    /// ([`Error::task_error`]), or the scheduler is.
    pub async fn result(&self) -> Result<T> {
        match self.0.result().await? {
            ActorReply::Returned(value) => Ok(value),
            ActorReply::Failed(error) => Err(Kind::Task(Arc::from(error)).into()),
        }
    }

    /// Waits for the result, but not longer than `timeout`.
    ///
    /// # Errors
    /// As [`ActorFuture::result`], and when the time is up ([`Error::is_timeout`]).
    pub async fn try_result(&self, timeout: Duration) -> Result<T> {
        let result = tokio::time::timeout(timeout, self.result()).await;
        result.unwrap_or_else(|_| Err(Error::timeout("the result of an actor's method", timeout)))
    }
}

impl<T> ActorFuture<T> {
    /// The key of the call.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.0.key()
    }

    /// Whether the call is over.
    #[must_use]
    pub fn done(&self) -> bool {
        self.0.done()
    }
}

impl<T> Clone for ActorFuture<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for ActorFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ActorFuture: {}, key: {}>", self.0.status(), self.key())
    }
}

impl<T: Value> IntoFuture for ActorFuture<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl<T: Value> IntoFuture for &ActorFuture<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        self.clone().into_future()
    }
}
