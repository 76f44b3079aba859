//! One question after the other, on one cluster.

use std::time::{Duration, Instant};

use dask_client::{Client, Result};
use rig::figures::{Figures, mib};
use rig::process::{memory, peak_memory, reset_peak_memory};
use rig::question::{Question, Unknown};

use crate::cluster::Cluster;
use crate::{graph, inc, transfer};

/// Tasks that a new cluster runs before anything is measured on it.
const WARM_UP: i64 = 1000;

/// How long the cluster is left alone after a workload, to free its results.
const PAUSE: Duration = Duration::from_millis(100);

/// The cluster, once a question needed one.
#[derive(Default)]
pub(crate) struct Session {
    cluster: Option<Cluster>,
    /// How often something was measured: no two runs have a key in common.
    runs: i64,
}

impl Session {
    pub(crate) async fn measure(&mut self, question: &Question) -> Result<Figures> {
        match question.workload.as_str() {
            "local" => return local().await,
            "start" => return start().await,
            "idle" => return idle().await,
            _ => {}
        }
        self.runs += 1;
        let base = self.runs << 40;
        let cluster = match &mut self.cluster {
            Some(cluster) => cluster,
            none => none.insert(warm().await?),
        };
        let figures = workload(cluster, question, base).await?;
        settle(&cluster.client).await?;
        Ok(figures)
    }
}

async fn workload(cluster: &Cluster, question: &Question, base: i64) -> Result<Figures> {
    let (client, size) = (&cluster.client, question.size);
    let tasks = i64::try_from(size).unwrap_or(i64::MAX);
    match question.workload.as_str() {
        "map" => {
            for process in cluster.processes() {
                reset_peak_memory(process)?;
            }
            let elapsed = graph::map(client, base, tasks).await?;
            Ok(Figures::tasks(size, elapsed).with("peak_mib", mib(all_peaks(cluster)?)))
        }
        "map-growth" => {
            let growth = growth(client, base, tasks).await?;
            Ok(Figures::new().with("growth", growth))
        }
        "tree" => Ok(Figures::tasks(2 * size - 1, graph::tree(client, base, tasks).await?)),
        "chain" => Ok(Figures::tasks(size, graph::chain(client, base, tasks).await?)),
        "many-to-one" => {
            Ok(Figures::tasks(size + 1, graph::many_to_one(client, base, tasks).await?))
        }
        "one-to-many" => {
            Ok(Figures::tasks(size + 1, graph::one_to_many(client, base, tasks).await?))
        }
        "work" => Ok(Figures::tasks(size, graph::work(client, base, tasks).await?)),
        "round-trip" => {
            let each = graph::round_trips(client, base..base + tasks, Duration::ZERO).await?;
            Ok(Figures::round_trips(each))
        }
        "round-trip-idle" => {
            let pause = Duration::from_millis(5);
            let each = graph::round_trips(client, base..base + tasks, pause).await?;
            Ok(Figures::round_trips(each))
        }
        "scatter" => Ok(Figures::bytes(size, transfer::scatter(client, base, size).await?)),
        "gather" => Ok(Figures::bytes(size, transfer::gather(client, base, size).await?)),
        "worker-to-worker" => {
            Ok(Figures::bytes(size, transfer::worker_to_worker(client, base, size).await?))
        }
        "memory" => {
            let bytes = graph::memory(cluster, base, tasks).await?;
            Ok(Figures::new().with("bytes_per_task", bytes))
        }
        other => Err(std::io::Error::other(Unknown(other.to_owned())).into()),
    }
}

/// What a task costs in a map of so many, as a multiple of what it costs in one of a tenth of them:
/// some of the small ones before and some after, so that what disturbs the machine disturbs both.
async fn growth(client: &Client, base: i64, tasks: i64) -> Result<f64> {
    let tenth = tasks / 10;
    let (mut few, mut next) = (Duration::ZERO, base);
    let mut many = Duration::ZERO;
    for size in [tenth, tenth, tasks, tenth, tenth] {
        let elapsed = graph::map(client, next, size).await?;
        *(if size == tasks { &mut many } else { &mut few }) += elapsed;
        next += size;
        settle(client).await?;
    }
    Ok(many.as_secs_f64() / tasks as f64 / (few.as_secs_f64() / (4 * tenth) as f64))
}

/// Waits until the results of a workload are freed.
async fn settle(client: &Client) -> Result<()> {
    // The scheduler answers once it has taken in what was released before.
    client.scheduler_info().await?;
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// A cluster that has run tasks.
async fn warm() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    graph::map(&cluster.client, 0, WARM_UP).await?;
    Ok(cluster)
}

/// The most memory that client, scheduler and workers occupied in this run, summed.
fn all_peaks(cluster: &Cluster) -> Result<u64> {
    let mut sum = 0;
    for process in cluster.processes() {
        sum += peak_memory(process)?;
    }
    Ok(sum)
}

async fn local() -> Result<Figures> {
    let start = Instant::now();
    let client = Client::local().await?;
    client.submit(inc, 1).result().await?;
    let elapsed = start.elapsed();
    client.close().await?;
    Ok(Figures::time(elapsed))
}

async fn start() -> Result<Figures> {
    let start = Instant::now();
    let cluster = Cluster::start().await?;
    let elapsed = start.elapsed();
    cluster.client.close().await?;
    Ok(Figures::time(elapsed))
}

/// The memory of a scheduler and of a worker that have done next to nothing.
async fn idle() -> Result<Figures> {
    let cluster = Cluster::start().await?;
    tokio::time::sleep(PAUSE).await;
    let scheduler = memory(cluster.scheduler.id())?;
    let worker = memory(cluster.workers[0].id())?;
    Ok(Figures::new().with("scheduler_mib", mib(scheduler)).with("worker_mib", mib(worker)))
}
