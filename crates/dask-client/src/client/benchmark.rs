//! How fast the machines of the cluster are.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Answer, Benchmark, Question, Reply, Request, Whom};

use super::question::{addresses, ask, ask_all};
use crate::error::Kind;
use crate::future::wait::holds;
use crate::{BoxFuture, Client, Error, Result};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The sizes that Dask tries.
const DISK: [u64; 5] = [KIB, 100 * KIB, MIB, 10 * MIB, 100 * MIB];
const MEMORY: [u64; 5] = [2 * KIB, 10 * KIB, 100 * KIB, MIB, 10 * MIB];
const NETWORK: [u64; 6] = [KIB, 10 * KIB, 100 * KIB, MIB, 10 * MIB, 50 * MIB];

/// Bytes per second by the size of the pieces, on average over all workers:
/// [`Client::benchmark_hardware`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct HardwareBenchmark {
    /// Written to files in the workers' local directories, and read back.
    pub disk: BTreeMap<u64, f64>,
    /// Copied from memory to memory.
    pub memory: BTreeMap<u64, f64>,
    /// Fetched by one worker from the next; empty with fewer than two.
    pub network: BTreeMap<u64, f64>,
}

/// A benchmark of the hardware, which runs when awaited: [`Client::benchmark_hardware`].
#[derive(Debug, Clone)]
#[must_use = "nothing is measured until this is awaited"]
pub struct BenchmarkHardware {
    client: Client,
    each: Duration,
    largest: u64,
}

impl Client {
    /// Measures the disks, the memory and the network of the workers: Dask's
    /// `Client.benchmark_hardware`. It tries pieces of 1 KiB to 100 MiB, each size for half a
    /// second on all workers at once. The cluster should have nothing else to do.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// # use std::time::Duration;
    /// let benchmark = client.benchmark_hardware();
    /// # let benchmark = benchmark.each(Duration::from_millis(2)).largest(100 << 10);
    /// let found = benchmark.await?;
    /// for (size, per_second) in &found.memory {
    ///     println!("{size} bytes at a time: {:.1} GB/s", per_second / 1e9);
    /// }
    /// # assert!(found.disk.len() == 2 && found.network.is_empty());
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no worker, one leaves meanwhile or cannot write to its disk, or the scheduler
    /// is gone.
    pub fn benchmark_hardware(&self) -> BenchmarkHardware {
        let (client, each) = (self.clone(), Duration::from_millis(500));
        BenchmarkHardware { client, each, largest: u64::MAX }
    }
}

impl BenchmarkHardware {
    /// How long each size is tried, ten seconds at most.
    pub fn each(mut self, each: Duration) -> Self {
        self.each = each;
        self
    }

    /// The size of the largest pieces.
    pub fn largest(mut self, nbytes: u64) -> Self {
        self.largest = nbytes;
        self
    }

    async fn run(self) -> Result<HardwareBenchmark> {
        let workers = addresses(self.client.link(), Vec::new()).await?;
        let mut found = HardwareBenchmark::default();
        for nbytes in self.sizes(&DISK) {
            let speed = self.everywhere(&workers, Benchmark::Disk { nbytes }).await?;
            found.disk.insert(nbytes, speed);
        }
        for nbytes in self.sizes(&MEMORY) {
            let speed = self.everywhere(&workers, Benchmark::Memory { nbytes }).await?;
            found.memory.insert(nbytes, speed);
        }
        if workers.len() > 1 {
            for nbytes in self.sizes(&NETWORK) {
                found.network.insert(nbytes, self.network(&workers, nbytes).await?);
            }
        }
        Ok(found)
    }

    fn sizes(&self, sizes: &[u64]) -> Vec<u64> {
        sizes.iter().copied().filter(|size| *size <= self.largest).collect()
    }

    fn question(&self, benchmark: Benchmark) -> Question {
        let duration_ns = u64::try_from(self.each.as_nanos()).unwrap_or(u64::MAX);
        Question::Benchmark { benchmark, duration_ns }
    }

    async fn everywhere(&self, workers: &[Address], benchmark: Benchmark) -> Result<f64> {
        let question = self.question(benchmark);
        let link = self.client.link();
        let speeds = ask_all(link, workers.to_vec(), &question, speed).await?;
        Ok(mean(speeds.into_iter().map(|(_, speed)| speed)))
    }

    /// Each worker fetches from the one before it, all at once.
    async fn network(&self, workers: &[Address], nbytes: u64) -> Result<f64> {
        let size = usize::try_from(nbytes).unwrap_or(usize::MAX);
        let mut data = Vec::new();
        let mut open = tokio::task::JoinSet::new();
        let next = workers.iter().cycle().skip(1);
        for (peer, worker) in workers.iter().zip(next) {
            let options = self.client.options().workers([peer.as_str()]).hash(false);
            let future = options.scatter(vec![7_u8; size]).await?;
            let hold = holds(&future).pop().ok_or(Kind::Answer)?;
            let located =
                self.client.link().ask(Request::Locate { futures: vec![hold.id] }).await?;
            let Answer::Located { items, .. } = located else {
                return Err(Kind::Answer.into());
            };
            let task = items.first().ok_or(Kind::Answer)?.task;
            let question = self.question(Benchmark::Fetch { peer: peer.clone(), task });
            let (client, whom) = (self.client.clone(), Whom::Worker(worker.clone()));
            open.spawn(async move { ask(client.link(), whom, question).await });
            data.push(future);
        }
        let mut speeds = Vec::new();
        while let Some(reply) = open.join_next().await {
            let reply = reply.map_err(std::io::Error::other)??;
            speeds.push(speed(reply).ok_or_else(|| Error::from(Kind::Answer))?);
        }
        Ok(mean(speeds.into_iter()))
    }
}

impl IntoFuture for BenchmarkHardware {
    type Output = Result<HardwareBenchmark>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Bytes per second.
fn speed(reply: Reply) -> Option<f64> {
    let Reply::Moved { nbytes, took_ns } = reply else {
        return None;
    };
    Some(nbytes as f64 / (took_ns.max(1) as f64 / 1e9))
}

fn mean(speeds: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = speeds.len().max(1);
    speeds.sum::<f64>() / count as f64
}
