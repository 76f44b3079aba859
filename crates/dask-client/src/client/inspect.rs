//! Verbs that look at what the cluster holds, runs and says.

use std::collections::{HashMap, HashSet};

use dask_proto::message::{CallStack, Inspect, Inspected, LogRecord, Question, Reply, Whom};
use dask_proto::{Address, Key};

use super::control::{KEYS_AT_ONCE, keys};
use super::question::{addresses, ask, ask_all, inspect};
use crate::error::Kind;
use crate::future::wait::Futures;
use crate::{Client, Result};

impl Client {
    /// The sizes of results on the cluster in bytes, by key: Dask's `Client.nbytes` with
    /// `summary=False`. With `()` in place of futures, of every key on the cluster. Results that
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
        for keys in keys(futures) {
            match inspect(self.link(), Inspect::NBytes { keys }).await? {
                Inspected::NBytes(part) => sizes.extend(part),
                _ => return Err(Kind::Answer.into()),
            }
        }
        Ok(sizes)
    }

    /// [`Client::nbytes`] added up by the prefix of the keys, mostly the name of a function: Dask's
    /// `Client.nbytes` with `summary=True`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn nbytes_by_prefix(&self, futures: impl Futures) -> Result<HashMap<String, u64>> {
        let mut sizes = HashMap::new();
        for keys in keys(futures) {
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

    /// The stacks of the tasks that are running at this moment, by worker, the one that has run for
    /// longest first: Dask's `Client.call_stack`. With `()` in place of futures, of all tasks.
    ///
    /// Each has its whole stack, outermost first: the task's function, and the functions that it
    /// called, with the lines that they are in, as far as the program says so (release builds do
    /// with `debug = "line-tables-only"`). For what it takes to read a stack, and where it cannot
    /// be read, see [`Client::profile`]; what is written in brackets is no function then, but why.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # use std::time::{Duration, Instant};
    /// #[task]
    /// fn spin(millis: u64) -> u64 {
    ///     let end = Instant::now() + Duration::from_millis(millis);
    ///     let mut rounds = 0;
    ///     while Instant::now() < end {
    ///         rounds += 1;
    ///     }
    ///     rounds
    /// }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let future = client.submit(spin, 200);
    /// for (worker, stacks) in client.call_stack(&future).await? {
    ///     for stack in stacks {
    ///         // spin-5e1c…: computing for 1.2ms
    ///         //   session::spin at src/main.rs:6
    ///         //   std::time::Instant::now at /rustc/…/std/src/time.rs:287
    ///         print!("on {worker}, {stack}");
    ///     }
    /// }
    /// # future.await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker leaves before it replies, or the scheduler is gone.
    pub async fn call_stack<F: Futures>(
        &self,
        futures: F,
    ) -> Result<HashMap<Address, Vec<CallStack>>> {
        let keys: HashSet<Key> = keys(futures).into_iter().flatten().collect();
        if F::NAMED && keys.is_empty() {
            return Ok(HashMap::new());
        }
        // More keys than fit a message are looked for here.
        let fit = keys.len() <= KEYS_AT_ONCE;
        let asked = if fit { keys.iter().cloned().collect() } else { Vec::new() };
        let workers = addresses(self.link(), Vec::new()).await?;
        let question = Question::CallStack { keys: asked };
        let replies = ask_all(self.link(), workers, &question, stacks).await?.into_iter();
        let is_asked = |stack: &CallStack| keys.is_empty() || keys.contains(&stack.key);
        let running = replies.map(|(worker, mut stacks)| {
            stacks.retain(is_asked);
            (worker, stacks)
        });
        Ok(running.filter(|(_, stacks)| !stacks.is_empty()).collect())
    }

    /// The log of the scheduler, the oldest line first: Dask's `Client.get_scheduler_logs`. It says
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

fn stacks(reply: Reply) -> Option<Vec<CallStack>> {
    if let Reply::CallStack(stacks) = reply { Some(stacks) } else { None }
}
