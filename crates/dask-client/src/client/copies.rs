//! Verbs that say where results are to be: replicate, rebalance, retire workers.

use std::future::IntoFuture;
use std::sync::Arc;

use dask_proto::Address;
use dask_proto::message::{Answer, Request};

use super::control::{done, ids};
use crate::error::Kind;
use crate::future::BoxFuture;
use crate::future::hold::Hold;
use crate::future::wait::{Futures, holds};
use crate::state::NAMED_AT_ONCE;
use crate::{Client, Options, Result};

/// A request for copies of results on more workers, sent when awaited: [`Client::replicate`].
#[derive(Debug)]
#[must_use = "nothing is copied until this is awaited"]
pub struct Replicate {
    client: Client,
    holds: Vec<Arc<Hold>>,
    n: Option<u32>,
    workers: Vec<String>,
}

/// A request to spread results evenly over workers, sent when awaited: [`Client::rebalance`].
#[derive(Debug)]
#[must_use = "nothing moves until this is awaited"]
pub struct Rebalance {
    client: Client,
    /// None means all results.
    holds: Option<Vec<Arc<Hold>>>,
    workers: Vec<String>,
}

/// A request that workers leave, sent when awaited: [`Client::retire_workers`].
#[derive(Debug)]
#[must_use = "no worker retires until this is awaited"]
pub struct RetireWorkers {
    client: Client,
    workers: Vec<String>,
    n: Option<u32>,
    /// Whether the scheduler is to choose all that are idle, if it is not said how many.
    idle: bool,
}

impl Client {
    /// Has copies of results on more workers, so that they are near to what needs them and no
    /// worker that dies takes them along: Dask's `Client.replicate`. Returns once the copies are
    /// there; results that are still computed are waited for.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let cluster = LocalCluster::builder().workers(3).build().await?;
    /// # let client = cluster.client().await?;
    /// let futures = client.map(inc, 0..3);
    /// client.replicate(&futures).n(2).await?;                  // at least two copies of each
    /// client.replicate(&futures[0]).workers(["0", "1"]).await?; // one on each of these
    /// client.replicate(&futures[1]).await?;                    // one on every worker
    /// assert_eq!(client.who_has(&futures[1]).await?[futures[1].key()].len(), 3);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// The copies stay for as long as the result does. Dask's active memory manager removes them
    /// again after a while; here it leaves as many as were asked for.
    ///
    /// # Errors
    /// When a result failed or cannot be copied, a worker that is named is not there, no worker
    /// runs that may hold a copy, or the scheduler is gone.
    pub fn replicate(&self, futures: impl Futures) -> Replicate {
        let client = self.clone();
        Replicate { client, holds: holds(futures), n: None, workers: Vec::new() }
    }

    /// Moves results from workers that hold much to workers that hold little, until all hold about
    /// as many bytes: Dask's `Client.rebalance`. Returns once they have moved; results that are
    /// still computed are waited for. What a worker needs for a task that it was given stays
    /// there.
    ///
    /// ```no_run
    /// # async fn f(client: dask_client::Client, futures: Vec<dask_client::Future<i64>>)
    /// # -> dask_client::Result<()> {
    /// client.rebalance(&futures).await?;
    /// client.rebalance_all().workers(["alice", "bob"]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When a result failed or cannot be moved, a worker that is named is not there, no worker
    /// runs, or the scheduler is gone.
    pub fn rebalance<F: Futures>(&self, futures: F) -> Rebalance {
        let holds = F::NAMED.then(|| holds(futures));
        Rebalance { client: self.clone(), holds, workers: Vec::new() }
    }

    /// [`Client::rebalance`] of all results on the cluster, whoever holds them: what it does with
    /// `()` in place of futures.
    ///
    /// # Errors
    /// As there.
    pub fn rebalance_all(&self) -> Rebalance {
        self.rebalance(())
    }

    /// Has workers leave without a loss: Dask's `Client.retire_workers`. They get no more tasks,
    /// finish those that they have, hand over to others the results that only they hold, and end.
    /// Returns their addresses once they are gone.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task, wait};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let cluster = LocalCluster::builder().workers(3).build().await?;
    /// # let client = cluster.client().await?;
    /// let futures = client.map(inc, 0..10);
    /// let retired = client.retire_workers(["0"]).await?;       // names, addresses or hosts
    /// assert_eq!(retired.len(), 1);
    /// assert_eq!(client.retire_idle_workers().n(1).await?.len(), 1);
    /// assert_eq!(client.gather(&futures).await?, (1..=10).collect::<Vec<_>>());
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// A worker whose results no other can take goes on as before, and is not among the addresses.
    /// A retirement goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// When none of the workers could hand over its results, a worker that is named is not there,
    /// or the scheduler is gone.
    pub fn retire_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> RetireWorkers {
        let workers = workers.into_iter().map(Into::into).collect();
        RetireWorkers { client: self.clone(), workers, n: None, idle: false }
    }

    /// [`Client::retire_workers`] that the scheduler chooses: all that have nothing to do, or as
    /// many as [`RetireWorkers::n`] says, those first that have nothing to do and hold least.
    ///
    /// # Errors
    /// As there.
    pub fn retire_idle_workers(&self) -> RetireWorkers {
        RetireWorkers { client: self.clone(), workers: Vec::new(), n: None, idle: true }
    }
}

impl Options {
    /// [`Client::replicate`] with these options.
    pub fn replicate(&self, futures: impl Futures) -> Replicate {
        let replicate = self.client.replicate(futures);
        Replicate { n: self.n, workers: self.task.workers.clone(), ..replicate }
    }

    /// [`Client::rebalance`] with these options.
    pub fn rebalance(&self, futures: impl Futures) -> Rebalance {
        self.client.rebalance(futures).workers(&self.task.workers)
    }
}

impl Replicate {
    /// How many copies of each result there shall be, as far as there are workers; by default one
    /// on every worker.
    pub fn n(mut self, n: u32) -> Self {
        self.n = Some(n);
        self
    }

    /// The only workers that may get copies, and whose copies count: addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.workers = workers.into_iter().map(Into::into).collect();
        self
    }

    async fn run(self) -> Result<()> {
        for holds in self.holds.chunks(NAMED_AT_ONCE) {
            let (futures, workers) = (ids(holds), self.workers.clone());
            done(
                self.client.link().ask(Request::Replicate { futures, n: self.n, workers }).await?,
            )?;
        }
        Ok(())
    }
}

impl Rebalance {
    /// The only workers among which results move: addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.workers = workers.into_iter().map(Into::into).collect();
        self
    }

    async fn run(self) -> Result<()> {
        let Some(holds) = self.holds else {
            let (futures, workers) = (Vec::new(), self.workers);
            return done(self.client.link().ask(Request::Rebalance { futures, workers }).await?);
        };
        for holds in holds.chunks(NAMED_AT_ONCE) {
            let (futures, workers) = (ids(holds), self.workers.clone());
            done(self.client.link().ask(Request::Rebalance { futures, workers }).await?)?;
        }
        Ok(())
    }
}

impl RetireWorkers {
    /// How many workers the scheduler chooses; it has no meaning when workers are named.
    pub fn n(mut self, n: u32) -> Self {
        self.n = Some(n);
        self
    }

    async fn run(self) -> Result<Vec<Address>> {
        // Whoever names workers and has none to name means none.
        if self.workers.is_empty() && self.n.is_none() && !self.idle {
            return Ok(Vec::new());
        }
        let request = Request::RetireWorkers { workers: self.workers, n: self.n };
        match self.client.link().ask(request).await? {
            Answer::Workers(retired) => Ok(retired),
            _ => Err(Kind::Answer.into()),
        }
    }
}

/// Verbs start when they are awaited.
macro_rules! into_future {
    ($($verb:ident: $output:ty;)*) => {$(
        impl IntoFuture for $verb {
            type Output = Result<$output>;
            type IntoFuture = BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    )*};
}

into_future! {
    Replicate: ();
    Rebalance: ();
    RetireWorkers: Vec<Address>;
}
