use crate::build::{cargo, run as run_command};
use crate::error::Result;

/// Measures: the criterion benchmarks, then whole-system throughput.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to the criterion benchmarks, for instance a filter by name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// `cargo xtask bench`.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Without `--benches`, the arguments would also reach libtest, which knows others.
    let mut command = cargo(&["bench", "--package", "benches", "--benches", "--"]);
    run_command(command.args(&args.args))?;
    run_command(&mut cargo(&["run", "--release", "--package", "benches", "--bin", "throughput"]))
}
