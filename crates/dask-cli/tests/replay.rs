//! `dask scheduler --record` and `dask replay` as processes.

// Clippy knows tests by their attribute; here all code is test code.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A file that is gone after its test.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        let name = format!("{}-cli-{name}.recording", std::process::id());
        File(std::env::temp_dir().join(name))
    }

    /// What a scheduler recorded that was told to end.
    fn recorded(name: &str) -> File {
        let file = File::new(name);
        let mut child = dask()
            .args(["scheduler", "--port", "0", "--exit-on-stdin-close", "--record"])
            .arg(&file.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(child.stdin.take());
        stdout.read_to_string(&mut String::new()).unwrap();
        assert!(child.wait().unwrap().success());
        file
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.0, bytes).unwrap();
    }

    fn replay(&self, options: &[&str]) -> Output {
        dask().arg("replay").arg(&self.0).args(options).output().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn dask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dask"));
    command.env_remove("DASK_LOG").env_remove("RUST_LOG");
    command
}

fn output_of(output: &Output) -> &str {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    std::str::from_utf8(&output.stdout).unwrap()
}

fn error_of(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1));
    let text = std::str::from_utf8(&output.stderr).unwrap();
    let line = text.lines().find(|line| line.starts_with("error: "));
    line.expect(text)
}

#[test]
fn what_was_recorded_leads_to_the_same_instructions() {
    let file = File::recorded("same");
    let output = file.replay(&["--validate", "--story", "inc-1", "--explain", "inc-1"]);
    let text = output_of(&output);
    assert!(text.contains("events: 1,") && text.ends_with("same instructions\n"), "{text}");
    assert!(text.contains("The story of inc-1:"), "{text}");
    assert!(text.contains("no task inc-1 is known"), "{text}");
    let output = file.replay(&["--until", "0"]);
    assert!(output_of(&output).contains("events: 0,"));
}

#[test]
fn a_missing_end_is_said() {
    let file = File::recorded("cut");
    let bytes = file.bytes();
    file.write(&bytes[..bytes.len() - 1]);
    let output = file.replay(&[]);
    let text = output_of(&output);
    assert!(text.contains("its end is missing"), "{text}");
}

#[test]
fn a_damaged_file_is_an_error_that_says_where() {
    let file = File::recorded("damaged");
    let mut bytes = file.bytes();
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    file.write(&bytes);
    let output = file.replay(&[]);
    let error = error_of(&output);
    assert!(error.contains("the recording is damaged: the entry at byte "), "{error}");
}

#[test]
fn files_of_another_kind_or_version_are_errors_that_say_so() {
    let file = File::recorded("version");
    let mut bytes = file.bytes();
    bytes[16] += 1;
    file.write(&bytes);
    let output = file.replay(&[]);
    assert!(error_of(&output).contains("the recording has format 2"), "{output:?}");
    file.write(b"[package]\nname = \"something else\"\n");
    let output = file.replay(&[]);
    assert!(error_of(&output).contains("this is no recording"), "{output:?}");
    let output = File::new("missing").replay(&[]);
    assert!(error_of(&output).contains("cli-missing.recording"), "{output:?}");
}

#[test]
fn a_file_that_cannot_be_written_keeps_the_scheduler_from_starting() {
    let missing = File::new("nowhere").0.join("file");
    let started =
        dask().args(["scheduler", "--port", "0", "--record"]).arg(&missing).output().unwrap();
    assert!(started.stdout.is_empty());
    let error = error_of(&started);
    assert!(error.contains("the scheduler cannot record to"), "{error}");
}
