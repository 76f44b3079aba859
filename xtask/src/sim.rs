use crate::build::{cargo, run as run_command};
use crate::error::Result;

/// The profile of the simulation: fast, with the checks that the states make of themselves.
const PROFILE: [&str; 4] = [
    "profile.sim.inherits=\"release\"",
    "profile.sim.debug-assertions=true",
    "profile.sim.overflow-checks=true",
    "profile.sim.codegen-units=16",
];

/// Simulates whole clusters with faults, one for each seed, and says which seeds failed.
///
/// The same seed always shows the same run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Shows everything that happens in the first seed.
    #[arg(long)]
    verbose: bool,
}

/// `cargo xtask sim`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = cargo(&["test", "--package", "tests", "--test", "sim"]);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    command.args(["--profile", "sim", "--", "--nocapture", "--exact"]);
    command.arg("run::every_wanted_key_resolves_whatever_happened_before");
    command.env("SIM_SEED", args.seed.to_string());
    command.env("SIM_SEEDS", args.seeds.to_string());
    if args.verbose {
        command.env("SIM_VERBOSE", "1");
    }
    run_command(&mut command)
}
