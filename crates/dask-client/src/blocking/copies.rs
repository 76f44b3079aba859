use dask_proto::Address;

use super::{Client, block_on};
use crate::{Futures, Options, Result};

/// [`ActiveMemoryManager`](crate::ActiveMemoryManager) whose verbs block.
#[derive(Debug, Clone)]
pub struct ActiveMemoryManager(crate::ActiveMemoryManager);

impl ActiveMemoryManager {
    /// [`ActiveMemoryManager::start`](crate::ActiveMemoryManager::start).
    ///
    /// # Errors
    /// As there.
    pub fn start(&self) -> Result<()> {
        block_on(self.0.start())
    }

    /// [`ActiveMemoryManager::stop`](crate::ActiveMemoryManager::stop).
    ///
    /// # Errors
    /// As there.
    pub fn stop(&self) -> Result<()> {
        block_on(self.0.stop())
    }

    /// [`ActiveMemoryManager::run_once`](crate::ActiveMemoryManager::run_once).
    ///
    /// # Errors
    /// As there.
    pub fn run_once(&self) -> Result<()> {
        block_on(self.0.run_once())
    }

    /// [`ActiveMemoryManager::running`](crate::ActiveMemoryManager::running).
    ///
    /// # Errors
    /// As there.
    pub fn running(&self) -> Result<bool> {
        block_on(self.0.running())
    }
}

impl Client {
    /// [`Client::amm`](crate::Client::amm).
    #[must_use]
    pub fn amm(&self) -> ActiveMemoryManager {
        ActiveMemoryManager(self.0.amm())
    }

    /// [`Client::replicate`](crate::Client::replicate).
    ///
    /// ```
    /// # use dask_client::task;
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// let client = dask_client::blocking::Client::local()?;
    /// let future = client.submit(inc, 10);
    /// client.replicate(&future)?;                              // one on every worker
    /// client.options().n(2).replicate(&future)?;
    /// # client.close()?;
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn replicate(&self, futures: impl Futures) -> Result<()> {
        self.0.replicate(futures).block()
    }

    /// [`Client::rebalance`](crate::Client::rebalance).
    ///
    /// # Errors
    /// As there.
    pub fn rebalance(&self, futures: impl Futures) -> Result<()> {
        self.0.rebalance(futures).block()
    }

    /// [`Client::rebalance_all`](crate::Client::rebalance_all).
    ///
    /// # Errors
    /// As there.
    pub fn rebalance_all(&self) -> Result<()> {
        self.0.rebalance_all().block()
    }

    /// [`Client::retire_workers`](crate::Client::retire_workers).
    ///
    /// # Errors
    /// As there.
    pub fn retire_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> Result<Vec<Address>> {
        self.0.retire_workers(workers).block()
    }

    /// [`Client::retire_idle_workers`](crate::Client::retire_idle_workers).
    ///
    /// # Errors
    /// As there.
    pub fn retire_idle_workers(&self) -> Result<Vec<Address>> {
        self.0.retire_idle_workers().block()
    }
}

impl Options<Client> {
    /// [`Client::replicate`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn replicate(&self, futures: impl Futures) -> Result<()> {
        self.asynchronous().replicate(futures).block()
    }

    /// [`Client::rebalance`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn rebalance(&self, futures: impl Futures) -> Result<()> {
        self.asynchronous().rebalance(futures).block()
    }
}
