//! Runs the simulation with states that are broken on purpose.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use super::mutation::{self, Mutation};
use super::{Args, build, simulation};
use crate::build::{describe, root, target_dir};
use crate::error::{Error, Result};
use crate::tidy::files;

/// Seeds within which a mutation has to be caught.
const SEEDS: u64 = 10_000;

/// A seed that a broken state never ends is waited for so long, in seconds.
const LONGEST_S: u64 = 40;

/// What the simulation needs of the workspace, besides files in the root.
const FOLDERS: [&str; 4] = ["crates/", "tests/", "xtask/", "benches/"];

/// `cargo xtask sim --mutations`.
pub(super) fn run(args: &Args) -> Result<()> {
    let mutations = mutation::list(&root())?;
    let is_meant = |mutation: &&Mutation| {
        args.only.as_ref().is_none_or(|part| mutation.name.contains(part.as_str()))
    };
    let workspace = copy_workspace()?;
    let mut table = Vec::new();
    for mutation in mutations.iter().filter(is_meant) {
        eprintln!("=== {}: {}", mutation.name, mutation.why);
        let started = Instant::now();
        let caught = try_one(&workspace, mutation, args)?;
        let row = Row { mutation, caught, seconds: started.elapsed().as_secs() };
        eprintln!("=== {row}");
        table.push(row);
    }
    println!();
    table.iter().for_each(|row| println!("{row}"));
    let at_large = table.iter().filter(|row| row.caught.is_none()).count();
    println!("{} of {} mutations were caught", table.len() - at_large, table.len());
    if at_large == 0 { Ok(()) } else { Err(Error::MutantsAtLarge(at_large)) }
}

/// What came of a mutation.
struct Row<'a> {
    mutation: &'a Mutation,
    caught: Option<Caught>,
    seconds: u64,
}

/// The seed that caught a mutation, and what it said.
#[derive(Debug, PartialEq, Eq)]
struct Caught {
    seed: String,
    check: String,
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, seconds) = (&self.mutation.name, self.seconds);
        match &self.caught {
            Some(Caught { seed, check }) => {
                let check: String = check.chars().take(110).collect();
                write!(f, "{name:<44} seed {seed:>5}  {seconds:>4} s  {check}")
            }
            None => write!(f, "{name:<44} NOT CAUGHT  {seconds:>4} s"),
        }
    }
}

/// Copies the sources to where they can be broken. Files that are as they were keep their time,
/// so that cargo builds as little as it can.
fn copy_workspace() -> Result<PathBuf> {
    let from = root();
    let to = target_dir().join("mutants");
    let is_needed = |path: &String| {
        let is_inside = !path.contains('/') || FOLDERS.iter().any(|f| path.starts_with(f));
        is_inside && from.join(path).is_file()
    };
    let needed: BTreeSet<String> = files(&from)?.into_iter().filter(is_needed).collect();
    for folder in FOLDERS {
        remove_others(&to, Path::new(folder), &needed)?;
    }
    for path in needed {
        let content = read(&from.join(&path))?;
        write_if_new(&to.join(&path), &content)?;
    }
    Ok(to)
}

/// Removes what an earlier copy had and this one has not: a module that moved is not there twice.
fn remove_others(root: &Path, folder: &Path, needed: &BTreeSet<String>) -> Result<()> {
    let full = root.join(folder);
    let Ok(entries) = std::fs::read_dir(&full) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = folder.join(entry.file_name());
        let full = root.join(&path);
        if full.is_dir() {
            remove_others(root, &path, needed)?;
        } else if !needed.contains(&*path.to_string_lossy()) {
            let removed = std::fs::remove_file(&full);
            removed.map_err(|source| Error::Write { path: full, source })?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn write_if_new(path: &Path, content: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|known| known == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Breaks the copy, looks whether a seed notices, and mends it.
fn try_one(workspace: &Path, mutation: &Mutation, args: &Args) -> Result<Option<Caught>> {
    let path = workspace.join(&mutation.file);
    let original = read(&path)?;
    let text = String::from_utf8_lossy(&original);
    let broken = mutation.apply(&text).map_err(|_| Error::Mutation { line: mutation.line })?;
    write_if_new(&path, broken.as_bytes())?;
    let caught = build(workspace, "sim-quick").and_then(|program| catch(&program, args));
    write_if_new(&path, &original)?;
    caught
}

/// The first failure that the simulation tells of.
fn catch(program: &Path, args: &Args) -> Result<Option<Caught>> {
    let mut command = simulation(program, args, SEEDS);
    command.env("SIM_FAILURES", "1").env("SIM_LONGEST_S", LONGEST_S.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let name = describe(&command);
    let mut child =
        command.spawn().map_err(|source| Error::Spawn { command: name.clone(), source })?;
    let mut caught = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|source| Error::Output { command: name.clone(), source })?;
            caught = caught.or_else(|| failure_in(&line));
        }
    }
    let status = child.wait().map_err(|source| Error::Output { command: name, source })?;
    // One that took the process with it, by its memory or its stack, was noticed too.
    Ok(caught.or_else(|| {
        let check = format!("the simulation died: {status}");
        (!status.success()).then(|| Caught { seed: "?".to_owned(), check })
    }))
}

fn failure_in(line: &str) -> Option<Caught> {
    let (seed, check) = line.strip_prefix("seed ")?.split_once(" failed: ")?;
    Some(Caught { seed: seed.to_owned(), check: check.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_read_from_the_line_that_tells_of_it() {
        let caught = Caught { seed: "17".to_owned(), check: "it is stuck".to_owned() };
        assert_eq!(failure_in("seed 17 failed: it is stuck"), Some(caught));
        assert_eq!(failure_in("[###] 17 of 20 seeds"), None);
    }
}
