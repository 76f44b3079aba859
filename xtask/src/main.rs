//! Automation of this workspace: `cargo xtask --help` lists the commands.

mod bench;
mod build;
mod ci;
mod cluster;
mod error;
mod process;
mod quickstart;
mod replay;
mod sim;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, checks, tests and shows this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Cluster(cluster::Args),
    Test(test::Args),
    /// Runs every check, then every test: what a landing has to pass.
    Ci,
    /// Checks the rules of the workspace that no other tool knows: layers, purity, sizes, names.
    Tidy,
    Bench(bench::Args),
    Sim(sim::Args),
    Replay(replay::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Replay(args) => replay::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
