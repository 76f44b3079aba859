//! A scheduler and workers as processes.

use std::process::Command;

use dask_client::{Client, Result};
use rig::process::{Process, beside};

use crate::inc;

/// What `dask scheduler` prints before its address.
const SCHEDULER_READY: &str = "Scheduler at: ";

/// A cluster whose processes end with this, and its client.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    // Dropped before the scheduler, whose end they would remark on.
    pub(crate) workers: Vec<Process>,
    pub(crate) scheduler: Process,
}

impl Cluster {
    /// A cluster that has given one result.
    pub(crate) async fn start() -> Result<Self> {
        let mut command = Command::new(beside("dask")?);
        command.args(["--log", "warn", "scheduler", "--port", "0", "--exit-on-stdin-close"]);
        let (scheduler, line) = Process::start_and_read(&mut command)?;
        let address = line.trim_start_matches(SCHEDULER_READY);
        let workers = ["0", "1"].map(|name| worker(name, address));
        let workers = workers.into_iter().collect::<std::io::Result<_>>()?;
        let client = Client::connect(address).await?;
        client.wait_for_workers(2).await?;
        client.submit(inc, -1).result().await?;
        Ok(Self { client, workers, scheduler })
    }

    /// The ids of its processes, of which this one is the client.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let others = self.workers.iter().chain([&self.scheduler]).map(Process::id);
        others.chain([std::process::id()]).collect()
    }
}

fn worker(name: &str, scheduler: &str) -> std::io::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env("DASK_ROLE", "worker")
        .env("DASK_SCHEDULER_ADDRESS", scheduler)
        .env("DASK_WORKER_NTHREADS", "1")
        .env("DASK_WORKER_NAME", name)
        .env("DASK_EXIT_ON_STDIN_CLOSE", "1");
    Process::start(&mut command)
}
