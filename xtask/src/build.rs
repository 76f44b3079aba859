//! What cargo builds for the other commands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result};

/// Whether programs are built for speed or to be built fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
    /// The slowest to build and the fastest to run.
    ReleaseLto,
}

impl Profile {
    /// Its name for cargo.
    fn name(self) -> &'static str {
        match self {
            Profile::Debug => "dev",
            Profile::Release => "release",
            Profile::ReleaseLto => "release-lto",
        }
    }
}

/// The root of the checkout that xtask was started in.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
}

/// `cargo ARGS` in the root of the workspace, as the same toolchain that runs xtask.
pub(crate) fn cargo(args: &[&str]) -> Command {
    cargo_in(&root(), args)
}

/// [`cargo`] in the root of another workspace.
pub(crate) fn cargo_in(workspace: &Path, args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).current_dir(workspace).stdin(Stdio::null());
    // The other one builds where it is.
    if workspace != root() {
        command.env("CARGO_TARGET_DIR", workspace.join("target"));
    }
    command
}

/// Where cargo puts what it builds of this workspace.
pub(crate) fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(set.unwrap_or_else(|| "target".into()))
}

/// Runs a command to its end; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().map_err(|source| Error::Spawn { command: describe(command), source })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { command: describe(command), status })
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}

/// `cargo metadata` of the workspace, without its dependencies.
pub(crate) fn metadata() -> Result<Value> {
    let mut command = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Spawn { command: describe(&command), source })?;
    if !output.status.success() {
        return Err(Error::Failed { command: describe(&command), status: output.status });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The executables that one `cargo build` made, by name.
pub(crate) struct Executables(BTreeMap<String, PathBuf>);

impl Executables {
    pub(crate) fn get(&self, name: &str) -> Result<&Path> {
        let path = self.0.get(name).map(PathBuf::as_path);
        path.ok_or_else(|| Error::NoExecutable(name.to_owned()))
    }
}

/// Builds the `dask` command and examples of `dask-client`, in one run of cargo so that both
/// agree on the features of what they share. Cargo's progress goes where xtask's stderr goes.
pub(crate) fn programs(examples: &[&str], profile: Profile) -> Result<Executables> {
    let mut args =
        vec!["build", "--profile", profile.name(), "--package", "dask-cli", "--bin", "dask"];
    if !examples.is_empty() {
        args.extend(["--package", "dask-client"]);
    }
    for example in examples {
        args.extend(["--example", example]);
    }
    args.push("--message-format=json-render-diagnostics");
    executables_of(&mut cargo(&args))
}

/// Builds a test by a `cargo test --no-run`; its executable.
pub(crate) fn test_executable(command: &mut Command, name: &str) -> Result<PathBuf> {
    command.arg("--message-format=json-render-diagnostics");
    Ok(executables_of(command)?.get(name)?.to_owned())
}

/// Builds the programs of `benches` and the `dask` command, which they start.
pub(crate) fn benchmarks(profile: Profile) -> Result<Executables> {
    let packages = ["--package", "dask-cli", "--package", "benches", "--bins"];
    let mut command = cargo(&["build", "--profile", profile.name()]);
    command.args(packages).arg("--message-format=json-render-diagnostics");
    executables_of(&mut command)
}

fn executables_of(command: &mut Command) -> Result<Executables> {
    let name = describe(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| Error::Spawn { command: name.clone(), source })?;
    let mut found = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|source| Error::Output { command: name.clone(), source })?;
            found.extend(executable_in(&line));
        }
    }
    let status = child.wait().map_err(|source| Error::Output { command: name.clone(), source })?;
    if !status.success() {
        return Err(Error::Failed { command: name, status });
    }
    Ok(Executables(found))
}

/// The target's name and its executable, where a line of cargo's JSON output tells of one.
fn executable_in(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    let path = message.get("executable")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_found_in_the_message_that_tells_of_it() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"dask"},"executable":"/t/dask"}"#;
        assert_eq!(executable_in(line), Some(("dask".to_owned(), PathBuf::from("/t/dask"))));
    }

    #[test]
    fn libraries_and_plain_text_are_no_executables() {
        let library = r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":null}"#;
        assert_eq!(executable_in(library), None);
        assert_eq!(executable_in("Compiling x"), None);
    }

    #[test]
    fn a_missing_executable_is_named() {
        let built = Executables(BTreeMap::new());
        let error = built.get("flights").err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("cargo built no executable named \"flights\""));
    }

    #[test]
    fn a_command_is_described_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--workspace"]);
        assert_eq!(describe(&command), "cargo test --workspace");
    }
}
