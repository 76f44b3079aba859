//! The rules of this workspace that neither rustc, clippy nor rustfmt holds.

mod layer;
mod manifest;
mod names;
mod rust;
mod source;
mod state;
mod text;
mod verbs;

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::build::{self, describe, root};
use crate::error::{Error, Result};
use crate::sim::mutation;
use source::Source;

/// `cargo xtask tidy`.
pub(crate) fn run() -> Result<()> {
    let violations = check_tree(&root())?;
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Untidy(violations.len()))
}

/// A place that breaks a rule, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    remedy: String,
}

impl Violation {
    fn new(path: &str, line: usize, rule: &'static str, remedy: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, rule, remedy: remedy.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { path, line, rule, remedy } = self;
        write!(f, "{path}:{line}: {rule}: {remedy}")
    }
}

/// All violations of the tree, in the order of their places.
fn check_tree(root: &Path) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for path in files(root)? {
        let full = root.join(&path);
        found.extend(manifest::clippy_toml(&path));
        if !text::is_text(&path) || !full.is_file() {
            continue;
        }
        let content =
            std::fs::read_to_string(&full).map_err(|source| Error::Read { path: full, source })?;
        found.extend(check_file(&path, &content));
    }
    found.extend(layer::check(&build::metadata()?, root));
    found.extend(mutations(root)?);
    let api = names::Api::of(root)?;
    found.extend(names::check(root, &api)?);
    found.extend(verbs::check(root, &api)?);
    found.sort();
    Ok(found)
}

/// Mutations of the simulation that no longer fit what they break.
fn mutations(root: &Path) -> Result<Vec<Violation>> {
    let found = mutation::check(root, &mutation::list(root)?).into_iter();
    let violation = |(line, remedy)| Violation::new(mutation::LIST, line, "mutation-fits", remedy);
    Ok(found.map(violation).collect())
}

fn check_file(path: &str, content: &str) -> Vec<Violation> {
    let mut found = text::check(path, content);
    if path.ends_with(".rs") {
        let source = Source::new(path, content);
        found.extend(rust::check(&source));
        found.extend(state::check(&source));
    }
    if path.ends_with("Cargo.toml") {
        found.extend(manifest::check(path, content));
    }
    found
}

/// What git tracks, and what it would track if it were added, relative to the root.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .stdin(Stdio::null());
    let output =
        command.output().map_err(|source| Error::Spawn { command: describe(&command), source })?;
    if !output.status.success() {
        return Err(Error::Failed { command: describe(&command), status: output.status });
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let violations = check_tree(&root()).unwrap();
        let list: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert!(list.is_empty(), "\n{}\n", list.join("\n"));
    }

    #[test]
    fn a_violation_is_printed_where_an_editor_finds_it() {
        let violation = Violation::new("src/a.rs", 7, "rule", "remedy");
        assert_eq!(violation.to_string(), "src/a.rs:7: rule: remedy");
    }

    #[test]
    fn every_kind_of_file_meets_its_rules() {
        let rules = |path: &str, content: &str| -> Vec<&'static str> {
            let found = check_file(path, content);
            found.into_iter().map(|violation| violation.rule).collect()
        };
        assert_eq!(rules("crates/a/src/utils.rs", "\n"), ["module-name"]);
        let manifest = "[dependencies]\nserde = \"1\"\n";
        assert_eq!(rules("crates/a/Cargo.toml", manifest), ["version-in-root"]);
        assert_eq!(rules("README.md", "a \n"), ["trailing-whitespace"]);
    }
}
