//! Where tasks spend their time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Question, Reply, Sample};

use super::question::{addresses, ask_all};
use crate::{BoxFuture, Client, Result};

/// A profile, taken when awaited: [`Client::profile`].
#[derive(Debug, Clone)]
#[must_use = "nothing is measured until this is awaited"]
pub struct TakeProfile {
    client: Client,
    workers: Vec<String>,
    duration: Duration,
    interval: Duration,
}

/// Where the threads that run tasks were, and how often. It displays as folded stacks, one a line,
/// which are what flame graphs are made from: `inferno-flamegraph`, speedscope.app and the like
/// read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// By worker, then what its threads were in, outermost first: the path of the task's function,
    /// those that it called, and whether the thread was computing or waiting.
    pub samples: BTreeMap<Address, BTreeMap<Vec<String>, u64>>,
}

impl Client {
    /// Samples what the threads of all workers do: Dask's `Client.profile`. Every ten milliseconds
    /// for one second, unless [`TakeProfile::interval`] and [`TakeProfile::duration`] say
    /// otherwise.
    ///
    /// Each sample is the whole stack of a task that a thread runs: the path of the task's
    /// function, the functions that it called, inlined ones as well, and last whether the system
    /// has the thread compute or wait (for a lock, a socket, a disk).
    ///
    /// For a sample each thread that runs a task is interrupted for some microseconds, by a signal,
    /// SIGURG, in whose handler it copies the top of its stack (256 KiB at most); the names are
    /// found afterwards, from the program's symbols and line tables. While no profile is taken it
    /// costs nothing, and no handler is installed before the first. System calls go on after it,
    /// but for those that no handler lets go on, such as `poll` and `nanosleep`, which return
    /// `EINTR`; std and tokio begin these again. Where frames cannot be had there is a word in
    /// brackets in their place that says why: a program that was stripped of its symbols, or uses
    /// SIGURG itself; a thread that blocks it, or did not answer in time; systems other than Linux
    /// on x86_64 and aarch64.
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
    /// let future = client.submit(spin, 300);
    /// let profile = client.profile().duration(Duration::from_millis(100)).await?;
    /// print!("{profile}");     // inproc://7;session::spin;std::time::Instant::now;…;computing 10
    /// # future.await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker leaves meanwhile, or one that is named is not there; when the scheduler is
    /// gone.
    pub fn profile(&self) -> TakeProfile {
        TakeProfile {
            client: self.clone(),
            workers: Vec::new(),
            duration: Duration::from_secs(1),
            interval: Duration::from_millis(10),
        }
    }
}

impl TakeProfile {
    /// Only of these workers: addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.workers = workers.into_iter().map(Into::into).collect();
        self
    }

    /// For how long to look, ten minutes at most.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// How often to look, each millisecond at most (Dask's `worker.profile.interval`).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    async fn take(self) -> Result<Profile> {
        let Self { client, workers, duration, interval } = self;
        let workers = addresses(client.link(), workers).await?;
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (duration_ns, interval_ns) = (nanos(duration), nanos(interval));
        let question = Question::Sample { duration_ns, interval_ns };
        let replies = ask_all(client.link(), workers, &question, samples).await?;
        Ok(Profile { samples: replies.into_iter().collect() })
    }
}

impl IntoFuture for TakeProfile {
    type Output = Result<Profile>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.take())
    }
}

fn samples(reply: Reply) -> Option<BTreeMap<Vec<String>, u64>> {
    let Reply::Samples(samples) = reply else {
        return None;
    };
    Some(samples.into_iter().map(|Sample { stack, count }| (stack, count)).collect())
}

impl Profile {
    /// The samples of all workers together: Dask's `merge_workers=True`.
    #[must_use]
    pub fn merged(&self) -> BTreeMap<Vec<String>, u64> {
        let mut merged = BTreeMap::new();
        for (stack, count) in self.samples.values().flatten() {
            *merged.entry(stack.clone()).or_default() += count;
        }
        merged
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (worker, samples) in &self.samples {
            for (stack, count) in samples {
                // Names of types have semicolons, which part the frames of a line.
                let stack: Vec<String> = stack.iter().map(|name| name.replace(';', ",")).collect();
                writeln!(f, "{worker};{} {count}", stack.join(";"))?;
            }
        }
        Ok(())
    }
}
