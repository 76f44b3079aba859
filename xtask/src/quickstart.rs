use std::process::Command;

use crate::build::{self, Profile};
use crate::cluster::{self, Layout};
use crate::error::{Error, Result};
use crate::step::{Outcome, Steps};

/// Shows the whole system at work: builds it, starts a cluster, and runs the examples on it.
///
/// A scheduler and two workers are started on a free port, and two programs that they have never
/// seen run on them: first the example `session`, then `flights`. All that was started is stopped
/// at the end.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build without optimizations: sooner built, slower run.
    #[arg(long)]
    debug: bool,
}

/// `cargo xtask quickstart`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.debug { Profile::Debug } else { Profile::Release };
    run_with(profile)
}

/// The whole of it, with programs of this profile.
pub(crate) fn run_with(profile: Profile) -> Result<()> {
    let root = build::root();
    // Examples and workers find the flights from the root of the workspace.
    std::env::set_current_dir(&root).map_err(|source| Error::Read { path: root, source })?;
    let mut steps = Steps::default();
    let shown = show(&mut steps, profile);
    println!("\n{steps}");
    shown
}

fn show(steps: &mut Steps, profile: Profile) -> Result<()> {
    let built = steps.take("build", || {
        let built = build::programs(&["session", "flights"], profile)?;
        Ok((Outcome::Passed, built))
    })?;
    let layout = Layout {
        dask: built.get("dask")?,
        workers: 2,
        threads: 2,
        memory_limit: None,
        port: 0,
        record: None,
    };
    let mut group = layout.group();
    group.listen_for_signals()?;
    let address = steps.take("start a cluster", || {
        let address = cluster::start(&mut group, &layout)?;
        println!("Scheduler and two workers are ready at {address}");
        Ok((Outcome::Passed, address))
    })?;
    let done = ["session", "flights"].into_iter().try_for_each(|example| {
        steps.check(example, || {
            let mut command = Command::new(built.get(example)?);
            group.run(command.arg(&address))?;
            Ok(Outcome::Passed)
        })
    });
    steps.check("stop it", || {
        group.stop();
        Ok(Outcome::Passed)
    })?;
    done
}
