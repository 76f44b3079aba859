use std::fmt::Write as _;
use std::io::Write as _;

use dask_client::{Client, SchedulerInfo};
use dask_proto::ByteSize;

use crate::config::Config;
use crate::error::Error;
use crate::file::{PATIENCE, read_scheduler};

/// Says what a cluster has: its agents, its workers with their threads and memory, and its tasks by
/// state.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The scheduler's address, such as `10.0.0.1:8786`; `DASK_SCHEDULER_ADDRESS` unless given, or
    /// else this machine's.
    scheduler: Option<String>,
    /// The scheduler's address is in this file, which `dask scheduler --scheduler-file` wrote.
    #[arg(long, value_name = "FILE", conflicts_with = "scheduler")]
    scheduler_file: Option<std::path::PathBuf>,
}

/// `dask info`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let text = runtime.map_err(Error::Runtime)?.block_on(ask(args))?;
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::Output)
}

async fn ask(args: &Args) -> Result<String, Error> {
    let named = match &args.scheduler_file {
        Some(file) => Some(read_scheduler(file, PATIENCE).await?.to_string()),
        None => match &args.scheduler {
            Some(address) => Some(address.clone()),
            None => Config::read()?.get("scheduler-address", |text| {
                Ok::<_, std::convert::Infallible>(text.to_owned())
            })?,
        },
    };
    let builder = Client::builder().set_as_default(false).send_program(false);
    let builder = match &named {
        Some(address) => builder.address(address),
        None => builder,
    };
    let client = builder.connect().await.map_err(Error::Client)?;
    let info = client.scheduler_info().await.map_err(Error::Client)?;
    client.close().await.map_err(Error::Client)?;
    Ok(describe(&info))
}

fn describe(info: &SchedulerInfo) -> String {
    let threads: u64 = info.workers.iter().map(|worker| u64::from(worker.nthreads)).sum();
    let mut text = format!(
        "{} at {}\nworkers: {}, threads: {threads}, agents: {}, clients: {}\n",
        info.id,
        info.address,
        info.workers.len(),
        info.agents.len(),
        // This one apart.
        info.clients.saturating_sub(1),
    );
    let tasks: Vec<String> = info.tasks.iter().map(|(state, n)| format!("{state} {n}")).collect();
    if !tasks.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "tasks: {}", tasks.join(", "));
    }
    for agent in &info.agents {
        let programs = match &agent.programs[..] {
            [] => "and runs none yet: a client brings one".to_owned(),
            programs => format!("and runs {}", programs.join(", ")),
        };
        let _ = writeln!(
            text,
            "agent {} {}: offers each program {} x {} threads, memory of {}, {programs}",
            agent.name,
            agent.address,
            agent.nworkers,
            agent.nthreads,
            limit(agent.memory_limit),
        );
    }
    for worker in &info.workers {
        let _ = writeln!(
            text,
            "{} {} {}: {} threads, memory {} of {}, processing {}",
            worker.name,
            worker.address,
            worker.status,
            worker.nthreads,
            ByteSize(worker.metrics.memory),
            limit(worker.memory_limit),
            worker.processing,
        );
    }
    text
}

fn limit(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "no limit".to_owned(), |bytes| ByteSize(bytes).to_string())
}
