use std::ffi::OsString;
use std::process::Command;

use crate::build::{self, Profile};
use crate::error::Result;

/// Replays what a scheduler recorded with `--record FILE`: its state goes through the same events
/// and has to do the same. See `dask replay --help` for what it can show on the way.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build with optimizations: for long recordings.
    #[arg(long)]
    release: bool,
    /// The recording, and options of `dask replay`: --until, --explain, --story, --validate.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "FILE"
    )]
    arguments: Vec<OsString>,
}

/// `cargo xtask replay`. The state is in a program of its own: xtask, which is built before every
/// command, does without it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.release { Profile::Release } else { Profile::Debug };
    let built = build::programs(&[], profile)?;
    let mut command = Command::new(built.get("dask")?);
    build::run(command.arg("replay").args(&args.arguments))
}
