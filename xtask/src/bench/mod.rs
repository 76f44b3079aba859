//! `cargo xtask bench`: how fast is it, how fast could it be, and how fast are others?

mod compare;
mod instructions;
mod measure;
mod number;
mod peer;
mod report;
mod standstill;
mod subject;
mod workload;

use std::path::PathBuf;

use clap::Subcommand;

use crate::error::Result;

/// Measures the whole system beside its physical limit, and prints one table.
///
/// Scheduler, client and two workers of one thread are processes of their own that talk over TCP on
/// the loopback interface, built as `release-lto`. The limit is a null scheduler, the same four
/// processes that only pass 100 bytes on and back; for large values it is a bare TCP connection;
/// both are measured in turn with ours, so that what disturbs the machine disturbs both.
///
/// Each workload runs several times, and the table shows the least, the median and the largest
/// figure; ahead of each run goes an eighth of it, and all of it where that is done in no time,
/// which warms the caches and does not count, but where processes are new. Close other programs
/// first: how busy the machine is at rest is printed with the table.
///
/// To go deeper: `cargo xtask bench compare` runs the workloads through Dask as well,
/// `cargo xtask bench instructions` counts what the scheduler's state takes for a task, and
/// `cargo bench -p benches` runs the criterion benchmarks of single parts.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plan: Plan,
    /// A tenth of a second of each, unoptimized and once: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
}

#[derive(Subcommand)]
enum Command {
    Compare(compare::Args),
    Instructions(instructions::Args),
}

/// What is run, how often, and where the figures go.
#[derive(clap::Args)]
struct Plan {
    /// Only workloads whose name contains this; may be given several times. `--only ?` lists them.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often each workload runs.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
    /// Writes the table and every single figure to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Instructions(args)) => instructions::run(args),
        None if args.quick => quick(),
        None => measure::run(&args.plan, measure::Scale::Full),
    }
}

/// Every workload once, tiny and unoptimized: it must run, its speed is not looked at.
pub(crate) fn quick() -> Result<()> {
    let plan = Plan { only: Vec::new(), repeat: 1, json: None };
    measure::run(&plan, measure::Scale::Quick)
}
