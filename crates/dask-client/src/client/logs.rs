//! What tasks and workers had to say.

use std::collections::HashMap;
use std::future::IntoFuture;

use dask_proto::Address;
use dask_proto::message::{Answer, LogLevel, LogRecord, Manage, Request};

use super::control::done;
use crate::error::Kind;
use crate::{BoxFuture, Client, Options, Result};

/// A request for the logs of workers, sent when awaited: [`Client::get_worker_logs`].
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until it is awaited"]
pub struct WorkerLogs {
    client: Client,
    workers: Vec<String>,
    n: Option<u32>,
}

impl Client {
    /// The logs of workers and their tasks, by worker, the oldest line first: Dask's
    /// `Client.get_worker_logs`.
    ///
    /// That is what tasks [`print`](crate::print()) and [`warn`](crate::warn), and, from workers
    /// that are processes of their own, what they and their tasks say with `tracing` at level
    /// `INFO` and above. The scheduler remembers the latest 10,000 lines of each worker that is
    /// connected; a line arrives there within a tenth of a second or so.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// #[task]
    /// fn halve(x: i64) -> i64 {
    ///     dask_client::warn(format_args!("{x} may be odd"));
    ///     x / 2
    /// }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// client.submit(halve, 7).await?;
    /// let logs = client.get_worker_logs().n(100).await?;
    /// for line in logs.values().flatten() {
    ///     println!("{:?} {:?} {}", line.level, line.key, line.message);
    /// }
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker that is asked for is not connected, or the scheduler is gone.
    pub fn get_worker_logs(&self) -> WorkerLogs {
        WorkerLogs { client: self.clone(), workers: Vec::new(), n: None }
    }

    /// Has what workers log from now on said in this process too, with `tracing` at its own level,
    /// under the target `dask::worker` and with the fields `worker` and `key`: Dask's
    /// `forward_logging`. That is what [`get_worker_logs`](Client::get_worker_logs) has, but for
    /// what tasks [`print`](crate::print()), down to this level; another call sets another level.
    ///
    /// ```
    /// # use dask_client::{Client, LogLevel, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// client.forward_logging(LogLevel::Warn).await?;
    /// // …
    /// client.unforward_logging().await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// A client of a [running task](crate::get_client) hears nothing.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn forward_logging(&self, level: LogLevel) -> Result<()> {
        self.forward(Some(level)).await
    }

    /// Ends what [`Client::forward_logging`] began: Dask's `unforward_logging`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn unforward_logging(&self) -> Result<()> {
        self.forward(None).await
    }

    async fn forward(&self, level: Option<LogLevel>) -> Result<()> {
        done(self.link().ask(Request::Manage(Manage::ForwardLogging { level })).await?)
    }
}

impl Options {
    /// [`Client::get_worker_logs`] with these options.
    pub fn get_worker_logs(&self) -> WorkerLogs {
        let logs = self.client.get_worker_logs().workers(&self.task.workers);
        WorkerLogs { n: self.n, ..logs }
    }
}

impl WorkerLogs {
    /// Only of these workers: addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.workers = workers.into_iter().map(Into::into).collect();
        self
    }

    /// How many lines of each worker: the latest. All that the scheduler has by default.
    pub fn n(mut self, n: u32) -> Self {
        self.n = Some(n);
        self
    }
}

impl IntoFuture for WorkerLogs {
    type Output = Result<HashMap<Address, Vec<LogRecord>>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { client, workers, n } = self;
            match client.link().ask(Request::WorkerLogs { workers, n }).await? {
                Answer::Logs(logs) => Ok(logs.into_iter().collect()),
                _ => Err(Kind::Answer.into()),
            }
        })
    }
}
