//! The `dask` command: starts the parts of a cluster that are not a user's own program.

mod error;
mod log;
mod replay;
mod scheduler;
mod shutdown;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Dask, native to Rust.
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
    Replay(replay::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = cli.log.start().and_then(|()| match cli.command {
        Command::Scheduler(args) => scheduler::run(&args),
        Command::Replay(args) => replay::run(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error::on_one_line(&error));
            ExitCode::FAILURE
        }
    }
}
