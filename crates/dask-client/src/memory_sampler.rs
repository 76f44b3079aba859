//! The memory of a cluster over time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dask_proto::message::{SchedulerInfo, WorkerInfo};
use tokio::task::JoinHandle;

use crate::{BoxFuture, Client, Result};

/// Samples the memory that a cluster takes while something runs on it: Dask's
/// `distributed.diagnostics.MemorySampler`.
///
/// ```
/// # use dask_client::{Client, MemorySampler, Result, task};
/// # #[task] fn fill(n: usize) -> Vec<u8> { vec![1; n] }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let sampler = MemorySampler::new();
/// let sampling = sampler.sample("one block", &client).await?;
/// let block = client.submit(fill, 1 << 20);
/// block.result().await?;
/// sampling.stop().await;
/// assert!(sampler.samples()["one block"].len() >= 2);
/// print!("{}", sampler.to_csv());
/// # client.close().await
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemorySampler {
    series: Arc<Mutex<BTreeMap<String, Vec<MemorySample>>>>,
}

/// The memory of all workers together, at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySample {
    /// When, since sampling began.
    pub at: Duration,
    /// Bytes.
    pub nbytes: u64,
}

/// Which memory is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryMeasure {
    /// That of the workers' processes, as they reported it last.
    #[default]
    Process,
    /// That of results, in memory and on disk.
    Managed,
    /// That of results in memory.
    ManagedInMemory,
    /// That of results on disk.
    Spilled,
}

/// Sampling that begins once it is awaited: [`MemorySampler::sample`].
#[derive(Debug)]
#[must_use = "nothing is sampled until this is awaited"]
pub struct StartSampling {
    sampler: MemorySampler,
    label: String,
    client: Client,
    measure: MemoryMeasure,
    interval: Duration,
}

/// Sampling that goes on until this is [stopped](Sampling::stop) or dropped.
#[derive(Debug)]
pub struct Sampling {
    sampler: MemorySampler,
    label: String,
    client: Client,
    measure: MemoryMeasure,
    began: Instant,
    task: JoinHandle<()>,
}

impl MemorySampler {
    /// A sampler without samples.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples under a label from now on, twice a second unless [`StartSampling::interval`] says
    /// otherwise.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub fn sample(&self, label: impl Into<String>, client: &Client) -> StartSampling {
        StartSampling {
            sampler: self.clone(),
            label: label.into(),
            client: client.clone(),
            measure: MemoryMeasure::default(),
            interval: Duration::from_millis(500),
        }
    }

    /// The samples, by label.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<String, Vec<MemorySample>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The samples as a table with the columns `label`, `seconds` and `bytes`: Dask's `to_pandas`.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut csv = "label,seconds,bytes\n".to_owned();
        for (label, samples) in self.samples() {
            let label = label.replace('"', "\"\"");
            for MemorySample { at, nbytes } in samples {
                // Writing to a string does not fail.
                let _ = writeln!(csv, "\"{label}\",{:.3},{nbytes}", at.as_secs_f64());
            }
        }
        csv
    }

    fn add(&self, label: &str, sample: MemorySample) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(label.to_owned()).or_default().push(sample);
    }
}

impl StartSampling {
    /// Which memory to sample; by default that of the processes.
    pub fn measure(mut self, measure: MemoryMeasure) -> Self {
        self.measure = measure;
        self
    }

    /// How often to look. Workers report their memory each second or so, and their results at once.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(1));
        self
    }
}

impl IntoFuture for StartSampling {
    type Output = Result<Sampling>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { sampler, label, client, measure, interval } = self;
            let began = Instant::now();
            take(&sampler, &label, &client, (measure, began)).await?;
            let task = {
                let (sampler, label, client) = (sampler.clone(), label.clone(), client.clone());
                tokio::spawn(async move {
                    let mut ticks = tokio::time::interval(interval);
                    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                    ticks.tick().await;
                    loop {
                        ticks.tick().await;
                        // Without a scheduler there is nothing more to sample.
                        if take(&sampler, &label, &client, (measure, began)).await.is_err() {
                            return;
                        }
                    }
                })
            };
            Ok(Sampling { sampler, label, client, measure, began, task })
        })
    }
}

impl Sampling {
    /// Takes a last sample, and ends.
    pub async fn stop(self) {
        self.task.abort();
        let what = (self.measure, self.began);
        if let Err(error) = take(&self.sampler, &self.label, &self.client, what).await {
            tracing::debug!(%error, "the last sample of memory is missing");
        }
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    sampler: &MemorySampler,
    label: &str,
    client: &Client,
    (measure, began): (MemoryMeasure, Instant),
) -> Result<()> {
    let info = client.scheduler_info().await?;
    sampler.add(label, MemorySample { at: began.elapsed(), nbytes: measured(&info, measure) });
    Ok(())
}

fn measured(info: &SchedulerInfo, measure: MemoryMeasure) -> u64 {
    let of = |worker: &WorkerInfo| match measure {
        MemoryMeasure::Process => worker.metrics.memory,
        MemoryMeasure::Managed => worker.nbytes,
        MemoryMeasure::ManagedInMemory => worker.nbytes.saturating_sub(worker.metrics.spilled),
        MemoryMeasure::Spilled => worker.metrics.spilled,
    };
    // Workers that share a process each report all of it.
    let mut seen = std::collections::BTreeSet::new();
    let counted = info.workers.iter().filter(|worker| {
        let is_shared = measure == MemoryMeasure::Process;
        !is_shared || seen.insert((worker.address.host().to_owned(), worker.pid))
    });
    counted.map(of).fold(0, u64::saturating_add)
}
