use std::time::Duration;

use dask_proto::message::{Coordination, SemaphoreAction};

use super::Handle;
use super::lease::Lease;
use crate::{Client, Result};

/// A number of leases on the scheduler: Dask's `Semaphore`. Handles of the same name are the same
/// semaphore, and must agree on the number as long as it is in use.
///
/// ```
/// # use dask_client::{Client, Result, Semaphore};
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// use std::time::Duration;
///
/// let connections = Semaphore::new(&client, "connections").max_leases(2);
/// let (one, _two) = (connections.acquire().await?, connections.acquire().await?);
/// assert!(connections.try_acquire(Duration::ZERO).await?.is_none());
/// one.release().await?;
/// assert_eq!(connections.get_value().await?, 1);
/// # client.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Semaphore {
    handle: Handle,
    max_leases: u32,
}

impl Semaphore {
    /// The semaphore of this name, with one lease; [`Semaphore::max_leases`] sets another number.
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self { handle: Handle::new(client, name), max_leases: 1 }
    }

    /// How many leases there are, at least one.
    #[must_use]
    pub fn max_leases(mut self, max_leases: u32) -> Self {
        self.max_leases = max_leases.max(1);
        self
    }

    /// Waits until a lease is free, and holds it.
    ///
    /// # Errors
    /// When the name is too long, others use it with another number of leases, it is closed
    /// meanwhile, or the scheduler is gone.
    pub async fn acquire(&self) -> Result<Lease> {
        let patience = dask_proto::message::Patience::Forever;
        let request = self.request(SemaphoreAction::Acquire(patience))?;
        Lease::new(&self.handle, self.handle.ask(request).await?)
    }

    /// Waits until a lease is free, but not longer than `timeout`; `None` when the time is up. One
    /// that is free is acquired even with a timeout of zero.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        let (name, max_leases) = (self.handle.key()?, self.max_leases);
        let request = |patience| Coordination::Semaphore {
            name,
            max_leases,
            action: SemaphoreAction::Acquire(patience),
        };
        let granted = self.handle.ask_within(timeout, request).await?;
        granted.map(|answer| Lease::new(&self.handle, answer)).transpose()
    }

    /// How many leases are held.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn get_value(&self) -> Result<u64> {
        self.handle.count(self.request(SemaphoreAction::Value)?).await
    }

    /// Ends all leases. Whoever waits for one gets an error.
    ///
    /// # Errors
    /// As [`Semaphore::get_value`].
    pub async fn close(&self) -> Result<()> {
        self.handle.done(self.request(SemaphoreAction::Close)?).await
    }

    fn request(&self, action: SemaphoreAction) -> Result<Coordination> {
        let (name, max_leases) = (self.handle.key()?, self.max_leases);
        Ok(Coordination::Semaphore { name, max_leases, action })
    }
}
