//! The `dask` command: starts the parts of a cluster that are not a user's own program.

mod config;
mod error;
mod file;
mod info;
mod log;
mod machine;
mod quantity;
mod replay;
mod scheduler;
mod shutdown;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Dask, native to Rust.
///
/// Options that are not given are looked for where Dask's are: in variables such as
/// DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL, then in the YAML files of $DASK_CONFIG, ~/.config/dask
/// and /etc/dask.
#[derive(Parser)]
#[command(name = "dask", version)]
struct Cli {
    #[command(flatten)]
    log: log::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Scheduler(scheduler::Args),
    Worker(worker::Args),
    Info(info::Args),
    Replay(replay::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = cli.log.start().and_then(|()| match cli.command {
        Command::Scheduler(args) => scheduler::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Replay(args) => replay::run(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", dask_proto::human::describe(&error));
            ExitCode::FAILURE
        }
    }
}
