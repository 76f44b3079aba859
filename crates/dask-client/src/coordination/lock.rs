use std::time::Duration;

use super::lease::Lease;
use super::semaphore::Semaphore;
use crate::{Client, Result};

/// A lock on the scheduler: Dask's `Lock`. Handles of the same name are the same lock; whoever
/// waits first gets it first.
///
/// ```
/// # use dask_client::{Client, Lock, Result, blocking, task};
/// #[task]
/// fn careful(x: i64) -> Result<i64> {
///     let lock = blocking::Lock::new(&blocking::get_client()?, "the printer");
///     let _held = lock.acquire()?;                     // released when it is dropped
///     Ok(x + 1)
/// }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let lock = Lock::new(&client, "the printer");
/// let held = lock.acquire().await?;
/// let waiting = client.submit(careful, 1);
/// held.release().await?;
/// assert_eq!(waiting.await?, 2);
/// # client.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Lock(Semaphore);

impl Lock {
    /// The lock of this name. It is a [`Semaphore`] with one lease.
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(Semaphore::new(client, name))
    }

    /// Waits until the lock is free, and holds it.
    ///
    /// # Errors
    /// When the name is too long or that of a semaphore with more leases, or the scheduler is gone.
    pub async fn acquire(&self) -> Result<Lease> {
        self.0.acquire().await
    }

    /// Waits until the lock is free, but not longer than `timeout`; `None` when the time is up. A
    /// lock that is free is acquired even with a timeout of zero.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        self.0.try_acquire(timeout).await
    }

    /// Whether anybody holds it.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn locked(&self) -> Result<bool> {
        Ok(self.0.get_value().await? > 0)
    }
}
