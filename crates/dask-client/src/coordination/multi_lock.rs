use std::time::Duration;

use dask_proto::Key;
use dask_proto::message::{Coordination, Patience};

use super::Handle;
use super::lease::Lease;
use crate::{Client, Result};

/// Several locks on the scheduler that are held at once: Dask's `MultiLock`. They are not those of
/// [`Lock`](crate::Lock). There is no deadlock, whatever others hold and in whatever order.
///
/// ```
/// # use dask_client::{Client, MultiLock, Result};
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let both = MultiLock::new(&client, ["left", "right"]);
/// let held = both.acquire().await?;
/// held.release().await?;
/// let one = MultiLock::new(&client, ["left", "right"]).num_locks(1);   // whichever is free
/// let (_left, _right) = (one.acquire().await?, one.acquire().await?);
/// # client.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct MultiLock {
    handle: Handle,
    names: Vec<String>,
    count: u32,
}

impl MultiLock {
    /// The locks of these names, all of them unless fewer are [enough](MultiLock::num_locks).
    pub fn new<N: Into<String>>(client: &Client, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self { handle: Handle::new(client, ""), names, count: u32::MAX }
    }

    /// How many of the locks are held at once.
    #[must_use]
    pub fn num_locks(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Waits until the locks are free, and holds them.
    ///
    /// # Errors
    /// When a name is too long, there are too many, or the scheduler is gone.
    pub async fn acquire(&self) -> Result<Lease> {
        let request = self.request(self.keys()?, Patience::Forever);
        Lease::new(&self.handle, self.handle.ask(request).await?)
    }

    /// Waits until the locks are free, but not longer than `timeout`; `None` when the time is up.
    /// Locks that are free are acquired even with a timeout of zero.
    ///
    /// # Errors
    /// As [`MultiLock::acquire`].
    pub async fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        let names = self.keys()?;
        let request = |patience| self.request(names, patience);
        let granted = self.handle.ask_within(timeout, request).await?;
        granted.map(|answer| Lease::new(&self.handle, answer)).transpose()
    }

    fn keys(&self) -> Result<Vec<Key>> {
        self.names.iter().map(|name| Ok(Key::new(name.as_str())?)).collect()
    }

    fn request(&self, names: Vec<Key>, patience: Patience) -> Coordination {
        Coordination::MultiLock { names, count: self.count, patience }
    }
}
