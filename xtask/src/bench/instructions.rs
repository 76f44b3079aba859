//! Instructions of the scheduler's state for each task, which no other load of the machine changes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::build::{self, Executables, Profile};
use crate::error::{Error, Result};

/// Counts the instructions that the scheduler's state takes for a task, under valgrind.
///
/// Times on a busy machine say little, but the number of instructions is the same every time: it
/// shows a regression of a few per cent. What is expected is recorded in benches/instructions.txt.
/// Needs valgrind (`apt-get install valgrind`).
#[derive(clap::Args)]
pub(super) struct Args {
    /// Records what is counted as what is expected from now on.
    #[arg(long)]
    update: bool,
}

/// The shapes, and how many tasks of each are counted: enough that the start does not matter.
const SHAPES: [(&str, u64); 5] = [
    ("state-map", 20_000),
    ("state-tree", 20_001),
    ("state-merge", 20_001),
    ("state-spread", 20_001),
    ("state-chain", 20_000),
];

/// Counts that differ by less are the same: compilers and allocators vary a little.
const TOLERANCE: f64 = 0.03;

const HEADER: &str = "\
# Instructions of the scheduler's state for each task, from its submission until it is forgotten,
# as `cargo xtask bench instructions --update` counted them (valgrind, release build, x86-64).
";

/// `cargo xtask bench instructions`.
pub(super) fn run(args: &Args) -> Result<()> {
    let programs = build::benchmarks(Profile::Release)?;
    let path = file();
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let mut counted = HEADER.to_owned();
    let mut moved = Vec::new();
    for (shape, tasks) in SHAPES {
        let count = count(&programs, shape, tasks)?;
        let _ = writeln!(counted, "{shape} {count:.0}");
        let expected = expected(&recorded, shape);
        let change = expected.map(|expected| count / expected - 1.0);
        let change = change.unwrap_or(f64::INFINITY);
        println!("{shape:<14} {count:>8.0} a task  {:>+7.1} %", change * 100.0);
        if change.abs() > TOLERANCE {
            moved.push(shape);
        }
    }
    if args.update {
        return std::fs::write(&path, counted).map_err(|source| Error::Write { path, source });
    }
    if moved.is_empty() { Ok(()) } else { Err(Error::Instructions { moved: moved.join(", ") }) }
}

fn file() -> PathBuf {
    build::root().join("benches").join("instructions.txt")
}

fn expected(recorded: &str, shape: &str) -> Option<f64> {
    let mut lines = recorded.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == shape)?.1.trim().parse().ok()
}

/// The instructions for one task of a shape.
fn count(programs: &Executables, shape: &str, tasks: u64) -> Result<f64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--toggle-collect=*SchedulerState::handle*"])
        .arg("--callgrind-out-file=/dev/null")
        .arg(programs.get("zero")?)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|_| Error::NoValgrind)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has ended says why on its standard error.
        let _ = writeln!(stdin, "{shape} {tasks}");
    }
    let output = child.wait_with_output().map_err(|_| Error::NoValgrind)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let collected = collected.and_then(|(_, count)| count.trim().parse::<f64>().ok());
    let collected = collected
        .filter(|count| *count > 0.0)
        .ok_or(Error::NoFigure { figure: "instructions: was valgrind able to run the program?" })?;
    Ok(collected / tasks as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_recorded_count() {
        let recorded = std::fs::read_to_string(file()).unwrap_or_default();
        for (shape, _) in SHAPES {
            assert!(expected(&recorded, shape).is_some(), "{shape} is not recorded");
        }
    }

    #[test]
    fn a_recorded_count_is_read_back() {
        let recorded = "# a comment\nstate-map 7000\nstate-tree 9000\n";
        assert_eq!(expected(recorded, "state-tree"), Some(9000.0));
        assert_eq!(expected(recorded, "state"), None);
    }
}
