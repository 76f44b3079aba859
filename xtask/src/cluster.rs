use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::{self, Profile};
use crate::error::{Error, Result};
use crate::process::Group;

/// What `dask scheduler` prints once it listens.
const SCHEDULER_READY: &str = "Scheduler at: ";
/// What `dask worker` prints once the scheduler knows it.
const WORKER_READY: &str = "Agent at: ";

/// Starts a scheduler and workers as processes of this machine, until Ctrl-C.
///
/// Every line of their logs is printed behind the name of its process. Any program whose main
/// function is marked `#[dask_client::main]` can connect: the workers fetch it and run its tasks.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many worker processes to start.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// How many tasks each worker runs at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// The memory that each worker may use, such as 512MiB; results that do not fit go to disk.
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<String>,
    /// The scheduler's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8786)]
    port: u16,
    /// Record everything that happens to the scheduler to this file, for `cargo xtask replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Build with optimizations.
    #[arg(long)]
    release: bool,
}

/// `cargo xtask cluster`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    let built = build::programs(&[], profile)?;
    let layout = Layout {
        dask: built.get("dask")?,
        workers: args.workers,
        threads: args.threads,
        memory_limit: args.memory_limit.as_deref(),
        port: args.port,
        record: args.record.as_deref(),
    };
    let mut group = layout.group();
    group.listen_for_signals()?;
    let ended = start(&mut group, &layout).and_then(|address| {
        announce(args, &address);
        group.wait()
    });
    match ended {
        // Ctrl-C is how this command is meant to end.
        Ok(_) | Err(Error::Interrupted) => {
            println!("Stopping.");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What a local cluster consists of.
pub(crate) struct Layout<'a> {
    /// The `dask` command.
    pub(crate) dask: &'a Path,
    pub(crate) workers: u16,
    /// Per worker.
    pub(crate) threads: u16,
    /// Per worker; none unless given.
    pub(crate) memory_limit: Option<&'a str>,
    /// Of the scheduler; 0 takes a free one.
    pub(crate) port: u16,
    /// What happens to the scheduler is recorded here.
    pub(crate) record: Option<&'a Path>,
}

impl Layout<'_> {
    /// A group for the processes of this cluster, none of which is started yet.
    pub(crate) fn group(&self) -> Group {
        let last = worker_name(self.workers.saturating_sub(1));
        Group::new(last.len().max("scheduler".len()))
    }

    fn scheduler(&self) -> Command {
        let mut command = Command::new(self.dask);
        command
            .args(["scheduler", "--host", "127.0.0.1", "--port"])
            .arg(self.port.to_string())
            .arg("--exit-on-stdin-close");
        if let Some(file) = self.record {
            command.arg("--record").arg(file);
        }
        command
    }

    fn worker(&self, name: &str, scheduler: &str) -> Command {
        let mut command = Command::new(self.dask);
        command
            .args(["worker", scheduler, "--name", name, "--nthreads"])
            .arg(self.threads.to_string())
            .args(["--memory-limit", self.memory_limit.unwrap_or("0")])
            .arg("--exit-on-stdin-close");
        command
    }
}

/// Starts the scheduler, then the workers, and waits until the scheduler knows them all. Returns
/// the scheduler's address.
pub(crate) fn start(group: &mut Group, layout: &Layout<'_>) -> Result<String> {
    let name = "scheduler".to_owned();
    let scheduler = group.spawn(name, &mut layout.scheduler(), SCHEDULER_READY)?;
    let address = address_in(&group.wait_ready(scheduler)?)?;
    let mut workers = Vec::new();
    for number in 0..layout.workers {
        let name = worker_name(number);
        let mut command = layout.worker(&name, &address);
        workers.push(group.spawn(name, &mut command, WORKER_READY)?);
    }
    for worker in workers {
        group.wait_ready(worker)?;
    }
    Ok(address)
}

fn announce(args: &Args, address: &str) {
    let Args { workers, threads, .. } = args;
    println!("\nCluster of {workers} workers with {threads} threads each at {address}");
    let address = address.trim_start_matches("tcp://");
    println!("In another terminal: cargo run --example session -- {address}");
    println!("Ctrl-C stops it.\n");
}

fn worker_name(number: u16) -> String {
    format!("worker-{number}")
}

fn address_in(line: &str) -> Result<String> {
    let address = line.strip_prefix(SCHEDULER_READY).map(str::trim);
    match address {
        Some(address) if address.contains("://") => Ok(address.to_owned()),
        _ => Err(Error::NoAddress {
            name: "scheduler".to_owned(),
            line: line.to_owned(),
            pattern: SCHEDULER_READY,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_follows_the_words_of_dask() {
        let address = address_in("Scheduler at: tcp://127.0.0.1:8786").unwrap();
        assert_eq!(address, "tcp://127.0.0.1:8786");
        assert!(address_in("Scheduler at: ").is_err());
        assert!(address_in("Listening on tcp://127.0.0.1:8786").is_err());
    }

    #[test]
    fn workers_are_agents_of_the_scheduler() {
        let layout = Layout {
            dask: Path::new("/t/dask"),
            workers: 1,
            threads: 3,
            memory_limit: None,
            port: 0,
            record: None,
        };
        let command = layout.worker("worker-0", "tcp://127.0.0.1:1");
        let words: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        assert_eq!(words[..2], ["worker", "tcp://127.0.0.1:1"]);
        assert!(words.windows(2).any(|pair| pair == ["--nthreads", "3"]), "{words:?}");
        assert!(words.windows(2).any(|pair| pair == ["--name", "worker-0"]), "{words:?}");
    }
}
