//! Verbs that change or describe the cluster.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use dask_proto::id::FutureId;
use dask_proto::message::{Answer, ClientToScheduler, KeyCount, Request, SchedulerInfo};
use dask_proto::{Address, Key};

use super::explanation::Explanation;
use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::Hold;
use crate::future::wait::{Futures, holds};
use crate::state::{Event, NAMED_AT_ONCE};
use crate::{Client, Result, scheduler_file};

/// Whether a cancellation overrules other clients that hold the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// A key that another client holds goes on.
    No,
    /// It is cancelled for everybody.
    Yes,
}

pub(crate) async fn cancel(link: &Arc<Link>, holds: &[Arc<Hold>], force: Force) -> Result<()> {
    for holds in holds.chunks(NAMED_AT_ONCE) {
        let force = force == Force::Yes;
        let futures = ids(holds);
        done(link.ask(Request::Cancel { futures, force }).await?)?;
    }
    Ok(())
}

pub(crate) async fn retry(link: &Arc<Link>, holds: &[Arc<Hold>]) -> Result<()> {
    for holds in holds.chunks(NAMED_AT_ONCE) {
        let futures = ids(holds);
        done(link.ask(Request::Retry { futures }).await?)?;
    }
    Ok(())
}

pub(super) fn ids(holds: &[Arc<Hold>]) -> Vec<FutureId> {
    holds.iter().map(|hold| hold.id).collect()
}

pub(super) fn done(answer: Answer) -> Result<()> {
    if answer == Answer::Done { Ok(()) } else { Err(Kind::Answer.into()) }
}

/// How many keys one message names: keys may be long.
pub(crate) const KEYS_AT_ONCE: usize = 2048;

/// The keys of futures, as many as fit a message at a time. A message that names no keys asks for
/// all, which nobody means by an empty list.
pub(super) fn keys<F: Futures>(futures: F) -> Vec<Vec<Key>> {
    if !F::NAMED {
        return vec![Vec::new()];
    }
    let keys = |part: &[Arc<Hold>]| part.iter().map(|hold| hold.key.clone()).collect();
    holds(futures).chunks(KEYS_AT_ONCE).map(keys).collect()
}

impl Client {
    /// Stops tasks and those that depend on them: Dask's `Client.cancel`. Their futures are
    /// cancelled. A task that another client holds goes on.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let futures = client.map(inc, 0..3);
    /// client.cancel(&futures).await?;
    /// assert!(futures[0].result().await.unwrap_err().is_cancelled());
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn cancel(&self, futures: impl Futures) -> Result<()> {
        cancel(self.link(), &holds(futures), Force::No).await
    }

    /// [`Client::cancel`], also for tasks that other clients hold.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn cancel_by_force(&self, futures: impl Futures) -> Result<()> {
        cancel(self.link(), &holds(futures), Force::Yes).await
    }

    /// Runs failed tasks again, and the failed tasks that they depend on: Dask's `Client.retry`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn retry(&self, futures: impl Futures) -> Result<()> {
        retry(self.link(), &holds(futures)).await
    }

    /// The workers that hold the results of these futures, by key: Dask's `Client.who_has`. With
    /// `()` in place of futures, of every key on the cluster.
    ///
    /// ```
    /// # use dask_client::{Address, Client, Key, Result, task, wait};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// use std::collections::HashMap;
    ///
    /// let futures = client.map(inc, 0..3);
    /// wait(&futures).await?;
    /// let holders: HashMap<Key, Vec<Address>> = client.who_has(&futures).await?;
    /// assert_eq!(holders[futures[0].key()].len(), 1);
    /// let threads: HashMap<Address, u32> = client.nthreads().await?;
    /// assert_eq!(threads.len(), 1);
    /// assert_eq!(client.scheduler_info().await?.workers.len(), 1);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn who_has(&self, futures: impl Futures) -> Result<HashMap<Key, Vec<Address>>> {
        let mut found = HashMap::new();
        for keys in keys(futures) {
            match self.link().ask(Request::WhoHas { keys }).await? {
                Answer::WhoHas(holders) => found.extend(holders),
                _ => return Err(Kind::Answer.into()),
            }
        }
        Ok(found)
    }

    /// The keys that each worker holds: Dask's `Client.has_what`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn has_what(&self) -> Result<HashMap<Address, Vec<Key>>> {
        self.keys(Request::HasWhat { workers: Vec::new() }).await
    }

    /// The tasks that each worker was given and has not finished: Dask's `Client.processing`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn processing(&self) -> Result<HashMap<Address, Vec<Key>>> {
        self.keys(Request::Processing { workers: Vec::new() }).await
    }

    async fn keys(&self, request: Request) -> Result<HashMap<Address, Vec<Key>>> {
        match self.link().ask(request).await? {
            Answer::Keys(keys) => Ok(keys.into_iter().collect()),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// How many tasks each worker runs at once: Dask's `Client.nthreads`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn nthreads(&self) -> Result<HashMap<Address, u32>> {
        let workers = self.scheduler_info().await?.workers.into_iter();
        Ok(workers.map(|worker| (worker.address, worker.nthreads)).collect())
    }

    /// The scheduler and its workers: Dask's `Client.scheduler_info`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn scheduler_info(&self) -> Result<SchedulerInfo> {
        match self.link().ask(Request::SchedulerInfo).await? {
            Answer::Info(info) => Ok(*info),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// How many tasks each worker has finished since it joined, by worker and key prefix.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn finished_counts(&self) -> Result<BTreeMap<Address, BTreeMap<String, u64>>> {
        let Answer::Counts(counts) = self.link().ask(Request::Counts).await? else {
            return Err(Kind::Answer.into());
        };
        let mut by_worker: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for KeyCount { worker, prefix, finished } in counts {
            by_worker.entry(worker).or_default().insert(prefix, finished);
        }
        Ok(by_worker)
    }

    /// Waits until this many workers are connected: Dask's `Client.wait_for_workers`.
    /// [`Options::timeout`](crate::Options::timeout) limits the wait.
    ///
    /// ```no_run
    /// # async fn f(client: dask_client::Client) -> dask_client::Result<()> {
    /// client.wait_for_workers(2).await?;
    /// client.options().timeout(std::time::Duration::from_secs(5)).wait_for_workers(4).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn wait_for_workers(&self, n: u32) -> Result<()> {
        done(self.link().ask(Request::WaitForWorkers { n }).await?)
    }

    /// What happened to a key on the scheduler, a line for each transition: Dask's `Client.story`.
    ///
    /// # Errors
    /// When the key is too long or the scheduler is gone.
    pub async fn story(&self, key: impl AsRef<str>) -> Result<Vec<String>> {
        let key = Key::try_from(key.as_ref())?;
        match self.link().ask(Request::Story { key }).await? {
            Answer::Story(lines) => Ok(lines),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Why a task is not done, or why it is where it is, whoever submitted it: its state, what it
    /// waits for down to the last cause, what excludes each worker, what was tried.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let future = client.options().resources([("GPU", 1.0)]).submit(inc, 1);
    /// let why = client.explain(&future).await?;
    /// assert!(why.to_string().contains("lacks resource GPU"), "{why}");
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the key is too long or the scheduler is gone.
    pub async fn explain(&self, key: impl AsRef<str>) -> Result<Explanation> {
        let key = Key::try_from(key.as_ref())?;
        match self.link().ask(Request::Explain { key }).await? {
            Answer::Explanation(lines) => Ok(Explanation(lines)),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Writes a file that says where the scheduler is, for programs that connect with
    /// [`scheduler_file`](crate::ClientBuilder::scheduler_file) and for `dask worker
    /// --scheduler-file`: Dask's `Client.write_scheduler_file`. A file that is there is replaced.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// # let path = std::env::temp_dir().join(format!("scheduler-{}.json", std::process::id()));
    /// client.write_scheduler_file(&path).await?;
    /// # std::fs::remove_file(path)?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written, or the scheduler is gone.
    pub async fn write_scheduler_file(&self, path: impl AsRef<Path>) -> Result<()> {
        let id = self.scheduler_info().await?.id;
        Ok(scheduler_file::write(path.as_ref(), &id, self.address())?)
    }

    /// Stops all workers and the scheduler, and closes this client: Dask's `Client.shutdown`.
    ///
    /// # Errors
    /// When the scheduler is gone already.
    pub async fn shutdown(&self) -> Result<()> {
        done(self.link().ask(Request::Shutdown).await?)?;
        self.close().await
    }
}

/// Lets tasks run to their end although their futures are dropped: Dask's `fire_and_forget`.
///
/// ```
/// # use dask_client::{Client, Result, fire_and_forget, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// fire_and_forget(client.submit(inc, 1));
/// # client.close().await
/// # }
/// ```
pub fn fire_and_forget(futures: impl Futures) {
    for hold in holds(futures) {
        let futures = vec![hold.id];
        hold.client.tell(Event::Told(ClientToScheduler::FireAndForget { futures }));
    }
}
