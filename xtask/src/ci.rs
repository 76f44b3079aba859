use std::process::Stdio;

use serde_json::Value;

use crate::build::{Profile, cargo, metadata, run as run_command};
use crate::error::{Error, Result};
use crate::quickstart;
use crate::sim;
use crate::step::{Outcome, Steps};
use crate::test::{self, Summary};
use crate::tidy;

/// How many clusters are simulated each time.
const SEEDS: u64 = 2_000;

/// `cargo xtask ci`: every check, then every test. Stops at the first failure.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    let mut summary = None;
    let done = checks(&mut steps).and_then(|()| tests(&mut steps, &mut summary));
    println!("\n{steps}");
    // The count of tests closes the output: it is what a reader looks for.
    if let Some(summary) = summary {
        println!("\n{summary}");
    }
    done
}

fn checks(steps: &mut Steps) -> Result<()> {
    steps.check("fmt", || passed(&["fmt", "--all", "--", "--check"]))?;
    steps.check("clippy", || {
        passed(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    })?;
    steps.check("features", features)?;
    steps.check("tidy", || tidy::run().map(|()| Outcome::Passed))?;
    steps.check("doc", || {
        let mut command = cargo(&["doc", "--workspace", "--no-deps", "--quiet"]);
        run_command(command.env("RUSTDOCFLAGS", "-D warnings"))?;
        Ok(Outcome::Passed)
    })?;
    steps.check("benches", benches)?;
    steps.check("sim", || sim::run_seeds(SEEDS).map(|()| Outcome::Passed))?;
    // What the README promises first, as the tests' build has it.
    steps.check("quickstart", || quickstart::run_with(Profile::Debug).map(|()| Outcome::Passed))?;
    steps.check("deny", deny)
}

fn tests(steps: &mut Steps, summary: &mut Option<Summary>) -> Result<()> {
    steps.check("test", || {
        let counted = *summary.insert(test::suite(&[])?);
        if counted.passed() {
            return Ok(Outcome::Passed);
        }
        Err(Error::Tests)
    })
}

fn passed(args: &[&str]) -> Result<Outcome> {
    run_command(&mut cargo(args))?;
    Ok(Outcome::Passed)
}

/// The client with each of its features alone: in the workspace all of them are on.
fn features() -> Result<Outcome> {
    let fewer = ["clippy", "--quiet", "--package", "dask-client", "--no-default-features"];
    for feature in ["", "worker", "local", "progress", "visualize"] {
        passed(&[&fewer[..], &["--features", feature, "--", "-D", "warnings"]].concat())?;
    }
    Ok(Outcome::Passed)
}

/// Each benchmark once, unoptimized: it must run, its speed is not looked at.
fn benches() -> Result<Outcome> {
    if !has_benches(&metadata()?) {
        return Ok(Outcome::Skipped("there are no benchmarks"));
    }
    passed(&["test", "--package", "benches", "--benches"])?;
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::Skipped("what processes take is read from /proc"));
    }
    // A process of its own: it waits for Ctrl-C in its own way.
    passed(&["run", "--quiet", "--package", "xtask", "--", "bench", "--quick"])
}

fn has_benches(metadata: &Value) -> bool {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| package["name"] == "benches")
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .flat_map(|target| target["kind"].as_array().into_iter().flatten())
        .any(|kind| kind == "bench")
}

/// cargo-deny is no part of a toolchain: without it, this check is left to where it is installed.
fn deny() -> Result<Outcome> {
    let version =
        cargo(&["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        return Ok(Outcome::Skipped("cargo-deny is not installed"));
    }
    passed(&["deny", "check"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workspace(kind: &str) -> Value {
        json!({"packages": [
            {"name": "other", "targets": [{"kind": ["bench"]}]},
            {"name": "benches", "targets": [{"kind": ["lib"]}, {"kind": [kind]}]},
        ]})
    }

    #[test]
    fn benchmarks_are_found_in_the_package_of_benchmarks_alone() {
        assert!(has_benches(&workspace("bench")));
        assert!(!has_benches(&workspace("bin")));
    }
}
