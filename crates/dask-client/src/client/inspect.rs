//! Verbs that look at what the cluster holds, runs and says.

use std::collections::HashMap;

use dask_proto::message::{Inspect, Inspected, LogRecord, Question, Reply, RunningTask, Whom};
use dask_proto::{Address, Key};

use super::control::KEYS_AT_ONCE;
use super::question::{addresses, ask, ask_all, inspect};
use crate::error::Kind;
use crate::future::wait::{Futures, holds};
use crate::{Client, Result};

impl Client {
    /// The sizes of results on the cluster in bytes, by key: Dask's `Client.nbytes` with
    /// `summary=False`. Without futures, an empty list, of every key on the cluster. Results that
    /// are not in memory are left out.
    ///
    /// ```
    /// # use dask_client::{Client, Result, wait, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let futures = client.map(inc, 0..3);
    /// wait(&futures).await?;
    /// assert_eq!(client.nbytes(&futures).await?[futures[0].key()], 8);
    /// assert_eq!(client.nbytes_by_prefix(&futures).await?["inc"], 24);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn nbytes(&self, futures: impl Futures) -> Result<HashMap<Key, u64>> {
        let mut sizes = HashMap::new();
        for keys in parts(futures) {
            match inspect(self.link(), Inspect::NBytes { keys }).await? {
                Inspected::NBytes(part) => sizes.extend(part),
                _ => return Err(Kind::Answer.into()),
            }
        }
        Ok(sizes)
    }

    /// [`Client::nbytes`], added up by what the keys start with, mostly the name of a function:
    /// Dask's `Client.nbytes` with `summary=True`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn nbytes_by_prefix(&self, futures: impl Futures) -> Result<HashMap<String, u64>> {
        let mut sizes = HashMap::new();
        for keys in parts(futures) {
            match inspect(self.link(), Inspect::NBytesByPrefix { keys }).await? {
                Inspected::NBytesByPrefix(part) => {
                    for (prefix, nbytes) in part {
                        *sizes.entry(prefix).or_default() += nbytes;
                    }
                }
                _ => return Err(Kind::Answer.into()),
            }
        }
        Ok(sizes)
    }

    /// The tasks that run at this moment, by worker, those first that have run for longest: Dask's
    /// `Client.call_stack`. Without futures, an empty list, all of them.
    ///
    /// A task is shown with its function and for how long it has been running. The frames inside
    /// of it are not: what another thread's native stack holds can be read safely only from
    /// outside of the process, by a debugger, whom [`WorkerInfo::pid`](crate::WorkerInfo) tells
    /// where.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let none: Vec<dask_client::Future<i64>> = Vec::new();
    /// for (worker, tasks) in client.call_stack(&none).await? {
    ///     for task in tasks {
    ///         println!("{worker}: {} for {} ns", task.function, task.elapsed_ns);
    ///     }
    /// }
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker leaves before it replies, or the scheduler is gone.
    pub async fn call_stack(
        &self,
        futures: impl Futures,
    ) -> Result<HashMap<Address, Vec<RunningTask>>> {
        let keys: Vec<Key> = holds(futures).iter().map(|hold| hold.key.clone()).collect();
        // More keys than fit a message are looked for here.
        let asked = if keys.len() > KEYS_AT_ONCE { Vec::new() } else { keys.clone() };
        let workers = addresses(self.link(), Vec::new()).await?;
        let question = Question::Running { keys: asked };
        let replies = ask_all(self.link(), workers, &question, running).await?.into_iter();
        let is_asked = |task: &RunningTask| keys.is_empty() || keys.contains(&task.key);
        let running = replies.map(|(worker, mut tasks)| {
            tasks.retain(is_asked);
            (worker, tasks)
        });
        Ok(running.filter(|(_, tasks)| !tasks.is_empty()).collect())
    }

    /// What the scheduler had to say, oldest first: Dask's `Client.get_scheduler_logs`. That is
    /// who joined and left, and why, and which tasks make no progress.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// for line in client.get_scheduler_logs(None).await? {
    ///     println!("{:?} {}", line.level, line.message);
    /// }
    /// let latest = client.get_scheduler_logs(Some(1)).await?;
    /// assert_eq!(latest.len(), 1);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn get_scheduler_logs(&self, n: Option<u32>) -> Result<Vec<LogRecord>> {
        match ask(self.link(), Whom::Scheduler, Question::Logs { n }).await? {
            Reply::Logs(records) => Ok(records),
            _ => Err(Kind::Answer.into()),
        }
    }
}

/// The keys of futures, as many as fit a message at a time. Nothing to ask for asks for
/// everything, so that is one question too.
fn parts(futures: impl Futures) -> Vec<Vec<Key>> {
    let holds = holds(futures);
    let keys = |part: &[_]| part.iter().map(key).collect();
    let parts: Vec<Vec<Key>> = holds.chunks(KEYS_AT_ONCE).map(keys).collect();
    if parts.is_empty() { vec![Vec::new()] } else { parts }
}

fn key(hold: &std::sync::Arc<crate::future::hold::Hold>) -> Key {
    hold.key.clone()
}

fn running(reply: Reply) -> Option<Vec<RunningTask>> {
    if let Reply::Running(tasks) = reply { Some(tasks) } else { None }
}
