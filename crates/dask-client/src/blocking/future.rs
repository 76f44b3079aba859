use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use dask_proto::{Key, TaskError};
use dask_task::Value;

use super::block_on;
use crate::Result;
use crate::future::Status;

/// [`Future`](crate::Future) whose verbs block.
pub struct Future<T>(pub(crate) crate::Future<T>);

impl<T> Future<T> {
    /// The same future for async code.
    #[must_use]
    pub fn asynchronous(&self) -> &crate::Future<T> {
        &self.0
    }

    /// [`Future::key`](crate::Future::key).
    #[must_use]
    pub fn key(&self) -> &Key {
        self.0.key()
    }

    /// [`Future::status`](crate::Future::status).
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status()
    }

    /// [`Future::done`](crate::Future::done).
    #[must_use]
    pub fn done(&self) -> bool {
        self.0.done()
    }

    /// [`Future::cancelled`](crate::Future::cancelled).
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// [`Future::type_name`](crate::Future::type_name).
    #[must_use]
    pub fn type_name(&self) -> String {
        self.0.type_name()
    }

    /// [`Future::exception`](crate::Future::exception).
    ///
    /// # Errors
    /// As there.
    pub fn exception(&self) -> Result<Option<TaskError>> {
        block_on(self.0.exception())
    }

    /// [`Future::traceback`](crate::Future::traceback).
    ///
    /// # Errors
    /// As there.
    pub fn traceback(&self) -> Result<Option<String>> {
        block_on(self.0.traceback())
    }

    /// [`Future::cancel`](crate::Future::cancel).
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self) -> Result<()> {
        block_on(self.0.cancel())
    }

    /// [`Future::retry`](crate::Future::retry).
    ///
    /// # Errors
    /// As there.
    pub fn retry(&self) -> Result<()> {
        block_on(self.0.retry())
    }

    /// [`Future::release`](crate::Future::release).
    pub fn release(self) {}

    /// [`Future::add_done_callback`](crate::Future::add_done_callback).
    pub fn add_done_callback(&self, callback: impl FnOnce(Self) + Send + 'static)
    where
        T: 'static,
    {
        self.0.add_done_callback(|future| callback(Self(future)));
    }
}

impl<T: Value> Future<T> {
    /// [`Future::result`](crate::Future::result).
    ///
    /// # Errors
    /// As there.
    pub fn result(&self) -> Result<T> {
        block_on(self.0.result())
    }

    /// [`Future::try_result`](crate::Future::try_result).
    ///
    /// # Errors
    /// As there.
    pub fn try_result(&self, timeout: Duration) -> Result<T> {
        block_on(self.0.try_result(timeout))
    }
}

impl<T> PartialEq for Future<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Future<T> {}

impl<T> Hash for Future<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
