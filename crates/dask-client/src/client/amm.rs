//! The active memory manager, which removes copies of results that nobody needs.

use dask_proto::message::{Inspect, Inspected, Manage, ManageMemory, Request};

use super::control::done;
use super::question::inspect;
use crate::error::Kind;
use crate::{Client, Result};

/// The active memory manager of a cluster: Dask's `client.amm`.
#[derive(Debug, Clone)]
pub struct ActiveMemoryManager(Client);

impl Client {
    /// The active memory manager, for all clients of the cluster: Dask's `amm`.
    ///
    /// Workers keep what they fetch. Every two seconds the manager looks at results with several
    /// copies, and removes those that no task needs and that nobody asked for
    /// ([`replicate`](Client::replicate), [`broadcast`](crate::Options::broadcast)). It runs unless
    /// it is stopped.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// client.amm().stop().await?;                   // copies stay from now on
    /// assert!(!client.amm().running().await?);
    /// client.amm().run_once().await?;               // those that are superfluous now are removed
    /// client.amm().start().await?;
    /// # client.close().await
    /// # }
    /// ```
    #[must_use]
    pub fn amm(&self) -> ActiveMemoryManager {
        ActiveMemoryManager(self.clone())
    }
}

impl ActiveMemoryManager {
    /// Has it look at copies every now and then.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn start(&self) -> Result<()> {
        self.manage(ManageMemory::Start).await
    }

    /// Has it look at copies no more.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn stop(&self) -> Result<()> {
        self.manage(ManageMemory::Stop).await
    }

    /// Has it look at all results now, whether it runs or not. Returns when workers have been told
    /// to remove copies.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn run_once(&self) -> Result<()> {
        self.manage(ManageMemory::RunOnce).await
    }

    /// Whether it looks at copies by itself.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn running(&self) -> Result<bool> {
        match inspect(self.0.link(), Inspect::ManagesMemory).await? {
            Inspected::ManagesMemory(is_managed) => Ok(is_managed),
            _ => Err(Kind::Answer.into()),
        }
    }

    async fn manage(&self, what: ManageMemory) -> Result<()> {
        done(self.0.link().ask(Request::Manage(Manage::ManageMemory(what))).await?)
    }
}
