//! Workers that end and are started again.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Manage, NamedWorker, Question, Refusal, Reply, Request};
use dask_proto::program::ProgramId;

use super::control::done;
use super::question::{ask_each, named};
use crate::error::Kind;
use crate::{BoxFuture, Client, Error, Options, Result};

/// The name of a worker, and its program if an agent runs it.
type Named = (String, Option<ProgramId>);

/// How long workers may take to come back: Dask's default, four times its time to connect.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A restart of the whole cluster, which begins when awaited: [`Client::restart`].
#[derive(Debug)]
#[must_use = "nothing restarts until this is awaited"]
pub struct Restart {
    client: Client,
    timeout: Duration,
    wait_for_workers: bool,
}

/// A restart of some workers, which begins when awaited: [`Client::restart_workers`].
#[derive(Debug)]
#[must_use = "nothing restarts until this is awaited"]
pub struct RestartWorkers {
    client: Client,
    workers: Vec<String>,
    timeout: Duration,
}

impl Client {
    /// Starts afresh: Dask's `Client.restart`. All tasks of all clients are cancelled and all
    /// results dropped, and every worker that something watches (a
    /// [`LocalCluster`](crate::LocalCluster), an agent) ends and is started again: its process is
    /// a new one, whatever tasks did to the old. Returns once these have joined again. A worker
    /// that nothing would start again stays, and has dropped everything.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let cluster = LocalCluster::builder().workers(2).build().await?;
    /// # let client = cluster.client().await?;
    /// let future = client.submit(inc, 1);
    /// client.restart().await?;
    /// assert!(future.result().await.unwrap_err().is_cancelled());
    /// assert_eq!(client.submit(inc, 1).await?, 2);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When not all workers have come back within two minutes, or what
    /// [`Restart::timeout`] says; when the scheduler is gone.
    pub fn restart(&self) -> Restart {
        Restart { client: self.clone(), timeout: TIMEOUT, wait_for_workers: true }
    }

    /// Has some workers end and be started again: Dask's `Client.restart_workers`. The tasks that
    /// they were running run elsewhere, or there once they are back, and results that only they
    /// held are computed again where they are wanted. Returns once they have joined again.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let cluster = LocalCluster::builder().workers(2).build().await?;
    /// # let client = cluster.client().await?;
    /// client.restart_workers(["0"]).await?;                    // names, addresses or hosts
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When nothing would start one of them again, which the error names (the others are started
    /// again nonetheless); when they have not come back within two minutes, or what
    /// [`RestartWorkers::timeout`] says; when one is not there, or the scheduler is gone.
    pub fn restart_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> RestartWorkers {
        let workers = workers.into_iter().map(Into::into).collect();
        RestartWorkers { client: self.clone(), workers, timeout: TIMEOUT }
    }

    /// Waits until workers with these names, and of these programs, are connected.
    pub(crate) async fn await_workers(&self, workers: Vec<Named>, timeout: Duration) -> Result<()> {
        let asked = self.link().ask(Request::Manage(Manage::AwaitWorkers { workers }));
        let answer = tokio::time::timeout(timeout, asked).await;
        done(answer.map_err(|_| Error::timeout("waiting for workers", timeout))??)
    }

    /// Has workers end; those that are started again, and why the others are not. One that left by
    /// itself meanwhile has ended already, and is started again like those that were asked to.
    async fn end_workers(&self, workers: Vec<NamedWorker>) -> Result<(Vec<Named>, Option<Error>)> {
        let addresses = workers.iter().map(|worker| worker.address.clone()).collect();
        let mut ended: BTreeMap<Address, Named> =
            workers.into_iter().map(|w| (w.address, (w.name, w.program))).collect();
        let mut refused = None;
        for (worker, reply) in ask_each(self.link(), addresses, &Question::Restart).await {
            match reply {
                Ok(Reply::Restarting) => {}
                Ok(_) => return Err(Kind::Answer.into()),
                Err(error) if error.is_disconnected() || error.is_closed() => return Err(error),
                Err(error) if matches!(error.refusal(), Some(Refusal::WorkerLeft { .. })) => {}
                Err(error) => {
                    ended.remove(&worker);
                    refused = Some(error);
                }
            }
        }
        Ok((ended.into_values().collect(), refused))
    }
}

impl Options {
    /// [`Client::restart`] with these options.
    pub fn restart(&self) -> Restart {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        self.client.restart().timeout(timeout)
    }

    /// [`Client::restart_workers`] with these options.
    pub fn restart_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> RestartWorkers {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        self.client.restart_workers(workers).timeout(timeout)
    }
}

impl Restart {
    /// How long to wait for workers to come back; two minutes by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether to wait until the workers are back; `true` by default.
    pub fn wait_for_workers(mut self, wait: bool) -> Self {
        self.wait_for_workers = wait;
        self
    }

    async fn run(self) -> Result<()> {
        let Self { client, timeout, wait_for_workers } = self;
        done(client.link().ask(Request::Manage(Manage::Reset)).await?)?;
        let workers = named(client.link(), Vec::new()).await?;
        let (names, _) = client.end_workers(workers).await?;
        if wait_for_workers { client.await_workers(names, timeout).await } else { Ok(()) }
    }
}

impl RestartWorkers {
    /// How long to wait for workers to come back; two minutes by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn run(self) -> Result<()> {
        let Self { client, workers, timeout } = self;
        // Whoever names none means none.
        if workers.is_empty() {
            return Ok(());
        }
        let workers = named(client.link(), workers).await?;
        let (names, refused) = client.end_workers(workers).await?;
        client.await_workers(names, timeout).await?;
        refused.map_or(Ok(()), Err)
    }
}

/// Verbs start when they are awaited.
macro_rules! into_future {
    ($($verb:ident),*) => {$(
        impl IntoFuture for $verb {
            type Output = Result<()>;
            type IntoFuture = BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    )*};
}

into_future!(Restart, RestartWorkers);
