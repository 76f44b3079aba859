//! Simulations of whole clusters: of the states as they are, and of states that are broken on
//! purpose, to see that the simulation finds it.

pub(crate) mod mutant;
pub(crate) mod mutation;

use std::path::Path;
use std::process::Command;

use crate::build::{cargo_in, root, run as run_command, test_executable};
use crate::error::Result;

/// Simulates whole clusters with faults, one for each seed, and says which seeds failed.
///
/// The same seed always shows the same run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run [default: 2000, or 10000 for each mutation].
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds run at the same time [default: as many as there are cores].
    #[arg(long)]
    jobs: Option<u64>,
    /// Shows everything that happens in the first seed.
    #[arg(long)]
    verbose: bool,
    /// Breaks the states in every way that `tests/sim/mutations.txt` lists, one after the other,
    /// and fails unless every one of them is caught by some seed.
    #[arg(long)]
    mutations: bool,
    /// The mutations to try: those with a name that contains this.
    #[arg(long, requires = "mutations")]
    only: Option<String>,
}

/// `cargo xtask sim`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.mutations {
        return mutant::run(args);
    }
    let mut command = simulation(&build(&root(), "sim")?, args, 2_000);
    if args.verbose {
        command.env("SIM_VERBOSE", "1");
    }
    run_command(&mut command)
}

/// The simulation as a part of `cargo xtask ci`.
pub(crate) fn run_seeds(seeds: u64) -> Result<()> {
    let args = Args {
        seeds: Some(seeds),
        seed: 0,
        jobs: None,
        verbose: false,
        mutations: false,
        only: None,
    };
    run(&args)
}

/// Builds the simulation of the workspace in a folder, with a profile; where it is.
fn build(workspace: &Path, profile: &str) -> Result<std::path::PathBuf> {
    let args = ["test", "--package", "sim", "--profile", profile, "--no-run"];
    test_executable(&mut cargo_in(workspace, &args), "sim")
}

fn simulation(program: &Path, args: &Args, seeds: u64) -> Command {
    let mut command = Command::new(program);
    command.args(["--nocapture", "--exact"]);
    command.arg("run::every_wanted_key_resolves_whatever_happened_before");
    command.env("SIM_SEED", args.seed.to_string());
    command.env("SIM_SEEDS", args.seeds.unwrap_or(seeds).to_string());
    if let Some(jobs) = args.jobs {
        command.env("SIM_JOBS", jobs.to_string());
    }
    command
}
