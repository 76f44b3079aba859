use std::process::Command;

use crate::build::{self, Executables, Profile};
use crate::cluster::{self, Layout};
use crate::error::{Error, Result};
use crate::process::Group;
use crate::step::{Outcome, Steps};

/// Shows the whole system at work: builds it, starts a cluster, and runs the examples on it.
///
/// A scheduler and two worker processes are started on a free port, and an example runs against
/// them over TCP: first `session`, then `flights`. All that was started is stopped at the end.
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
    let mut group = Group::new("scheduler".len());
    group.listen_for_signals()?;
    for [start, example, stop] in [
        ["start a cluster for session", "session", "stop it"],
        ["start a cluster for flights", "flights", "stop it"],
    ] {
        let address = steps.take(start, || start_for(example, &mut group, &built))?;
        let done = steps.check(example, || {
            let mut command = Command::new(built.get(example)?);
            group.run(command.arg(address))?;
            Ok(Outcome::Passed)
        });
        steps.check(stop, || {
            group.stop();
            Ok(Outcome::Passed)
        })?;
        done?;
    }
    Ok(())
}

/// A task runs where its program is: each example has workers that run the example itself.
fn start_for(example: &str, group: &mut Group, built: &Executables) -> Result<(Outcome, String)> {
    let layout = Layout {
        dask: built.get("dask")?,
        app: built.get(example)?,
        workers: 2,
        threads: 2,
        memory_limit: None,
        port: 0,
        record: None,
    };
    let address = cluster::start(group, &layout)?;
    println!("Scheduler and two workers are ready at {address}");
    Ok((Outcome::Passed, address))
}
