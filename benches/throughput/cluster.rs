//! A scheduler and workers as processes: this program in other roles.

use std::process::Stdio;

use dask_client::{Address, Result};
use dask_scheduler::{Config, Scheduler};
use dask_transport::Transports;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Processes that end with this.
pub(crate) struct Cluster {
    pub(crate) address: String,
    _processes: Vec<Child>,
}

impl Cluster {
    pub(crate) async fn start(workers: u32) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut scheduler = Command::new(&program)
            .arg("scheduler")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = scheduler.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(output).lines();
        let address = lines.next_line().await?.unwrap_or_default();
        let mut processes = vec![scheduler];
        for index in 0..workers {
            let worker = Command::new(&program)
                .env("DASK_ROLE", "worker")
                .env("DASK_SCHEDULER_ADDRESS", &address)
                .env("DASK_WORKER_NTHREADS", "1")
                .env("DASK_WORKER_NAME", index.to_string())
                .env("DASK_EXIT_ON_STDIN_CLOSE", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .kill_on_drop(true)
                .spawn()?;
            processes.push(worker);
        }
        Ok(Self { address, _processes: processes })
    }
}

/// The role of the scheduler: prints its address and runs until standard input ends.
pub(crate) async fn scheduler() -> Result<()> {
    let address: Address = "tcp://127.0.0.1:0".parse()?;
    let bound = Scheduler::bind(Config::default(), &address, &Transports::default()).await;
    let scheduler = bound.map_err(std::io::Error::other)?;
    println!("{}", scheduler.address());
    let parent_gone = async {
        let mut rest = Vec::new();
        // An error ends it as well.
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    scheduler.run(parent_gone).await.map_err(std::io::Error::other)?;
    Ok(())
}
