use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::build::{cargo, describe, run as run_command};
use crate::error::{Error, Result};

/// Runs the whole test suite: unit, integration, process and documentation tests.
///
/// Ends with one line that counts them all.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test`, for instance a filter by name or `--package dask-proto`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// `cargo xtask test`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let summary = suite(&args.args)?;
    println!("\n{summary}");
    if summary.passed() {
        return Ok(());
    }
    Err(Error::Tests)
}

/// The results of all test binaries together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    took: Duration,
}

impl Summary {
    /// Whether tests ran and none failed.
    pub(crate) fn passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Adds what a test binary says when it is through; other lines count for nothing.
    fn count(&mut self, line: &str) {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                (Some(number), Some("ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ignored > 0 {
            writeln!(f, "{} ignored", self.ignored)?;
        }
        if !self.took.is_zero() {
            writeln!(f, "tests took {:.1} s", self.took.as_secs_f64())?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Builds the programs that tests start, then runs the tests, and counts them. Fails only if that
/// cannot be done: failed tests are part of the summary.
pub(crate) fn suite(args: &[String]) -> Result<Summary> {
    // `cargo test` builds no binary of another package, and process tests start `dask`. The same
    // selection of packages keeps the same features, so that nothing is compiled twice.
    run_command(&mut cargo(&["build", "--workspace", "--bins", "--examples"]))?;
    let mut command = cargo(&["test", "--no-fail-fast"]);
    if !args.iter().any(|arg| selects_packages(arg)) {
        command.arg("--workspace");
    }
    count_tests(command.args(args))
}

fn selects_packages(arg: &str) -> bool {
    ["-p", "--package", "--workspace"].iter().any(|flag| arg.starts_with(flag))
}

fn count_tests(command: &mut Command) -> Result<Summary> {
    let name = describe(command);
    let start = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Spawn { command: name.clone(), source })?;
    let output = |source| Error::Output { command: name.clone(), source };
    let mut summary = Summary::default();
    if let Some(stdout) = child.stdout.take() {
        tee(BufReader::new(stdout), &mut summary).map_err(output)?;
    }
    let status = child.wait().map_err(output)?;
    summary.took = start.elapsed();
    // A binary that does not compile, or that dies, prints no result.
    if !status.success() && summary.failed == 0 {
        eprintln!("`{name}` failed ({status}) without a failed test: counted as one");
        summary.failed = 1;
    }
    Ok(summary)
}

fn tee(mut from: impl BufRead, summary: &mut Summary) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        stdout.write_all(&line)?;
        summary.count(&String::from_utf8_lossy(&line));
        line.clear();
    }
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(output: &str) -> Summary {
        let mut summary = Summary::default();
        output.lines().for_each(|line| summary.count(line));
        summary
    }

    #[test]
    fn results_of_all_binaries_are_added_up() {
        let summary = counted(
            "running 3 tests\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
             noise\n\
             test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; \
             finished in 0.01s\n",
        );
        let expected = Summary { passed: 7, failed: 2, ignored: 1, took: Duration::ZERO };
        assert_eq!(summary, expected);
        assert!(!summary.passed());
        assert_eq!(summary.to_string(), "1 ignored\n7 passed, 2 failed");
    }

    #[test]
    fn the_count_is_alone_on_the_last_line() {
        let mut summary = counted("test result: ok. 12 passed; 0 failed; 0 ignored");
        summary.took = Duration::from_millis(1500);
        assert_eq!(summary.to_string(), "tests took 1.5 s\n12 passed, 0 failed");
        assert!(summary.passed());
    }

    #[test]
    fn a_suite_without_tests_has_not_passed() {
        assert!(!counted("running 0 tests").passed());
    }

    #[test]
    fn a_command_that_dies_without_a_result_counts_as_a_failure() {
        let mut command = Command::new("false");
        let summary = count_tests(&mut command).unwrap();
        assert_eq!(summary.failed, 1);
    }

    #[test]
    fn packages_named_by_the_user_replace_the_whole_workspace() {
        assert!(selects_packages("--package=dask-proto"));
        assert!(selects_packages("-p"));
        assert!(!selects_packages("worker"));
    }
}
