//! A program that answers questions about its speed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::standstill;
use crate::build::describe;
use crate::error::{Error, Result};

/// How often a wait looks whether it was interrupted.
const TURN: Duration = Duration::from_millis(50);
/// How long an answer may take. Nothing that is asked takes so long unless it hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// After so long without an answer it is said what the program is at.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a program may take to end with all that it started.
const GRACE: Duration = Duration::from_secs(5);

/// What one measurement gave, by the names of the figures.
pub(super) type Figures = BTreeMap<String, f64>;

/// Whether somebody pressed Ctrl-C.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C, SIGTERM and SIGHUP end every wait for an answer.
    pub(super) fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let flag = interrupt.0.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
        Ok(interrupt)
    }

    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// A running program that is asked by lines on its standard input and answers by lines of JSON.
///
/// It leads a process group of its own, with all that it starts. Dropping it ends them all.
pub(super) struct Subject {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    answers: Receiver<String>,
    interrupt: Interrupt,
}

impl Subject {
    pub(super) fn start(command: &mut Command, interrupt: &Interrupt) -> Result<Subject> {
        let name = describe(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { command: name.clone(), source })?;
        let (sender, answers) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stdout).lines().map_while(|line| line.ok());
                lines.try_for_each(|line| sender.send(line))
            });
        }
        let stdin = child.stdin.take();
        Ok(Subject { name, child, stdin, answers, interrupt: interrupt.clone() })
    }

    /// Stops all its processes until it is asked again.
    ///
    /// A cluster that only waits is not at rest: Dask's processes look every few milliseconds what
    /// their threads do, which would be taken from whoever is measured meanwhile.
    pub(super) fn pause(&self) {
        self.signal(libc::SIGSTOP);
    }

    fn signal(&self, signal: libc::c_int) {
        if let Ok(id) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill has no memory-safety conditions; the leader of the group has not been
            // waited for, so that its id is still its own.
            unsafe { libc::kill(-id, signal) };
        }
    }

    /// Measures one workload once.
    pub(super) fn ask(&mut self, workload: &str, size: u64) -> Result<Figures> {
        self.signal(libc::SIGCONT);
        let question = format!("{workload} {size}");
        if let Some(stdin) = &mut self.stdin {
            // A program that is gone is found out by its missing answer.
            let _ = writeln!(stdin, "{question}");
        }
        let asked = Instant::now();
        let mut is_overdue = false;
        loop {
            self.interrupt.check()?;
            match self.answers.recv_timeout(TURN) {
                Ok(line) => return self.read(&question, &line),
                Err(RecvTimeoutError::Timeout) if asked.elapsed() < LIMIT => {
                    if asked.elapsed() > PATIENCE && !std::mem::replace(&mut is_overdue, true) {
                        self.tell_standstill(&question);
                    }
                }
                Err(_) => {
                    let name = self.name.clone();
                    return Err(Error::NoAnswer { name, question, limit: LIMIT });
                }
            }
        }
    }

    /// Says what the threads of the program are at, for whoever wants to know why it hangs.
    fn tell_standstill(&self, question: &str) {
        let (name, seconds) = (&self.name, PATIENCE.as_secs());
        let threads = standstill::of_group(self.child.id());
        eprintln!("{name} has not answered {question:?} for {seconds} s; its threads:{threads}");
    }

    fn read(&self, question: &str, line: &str) -> Result<Figures> {
        let unusable = || Error::Answer {
            name: self.name.clone(),
            question: question.to_owned(),
            line: line.to_owned(),
        };
        let answer: Value = serde_json::from_str(line).map_err(|_| unusable())?;
        let fields = answer.as_object().ok_or_else(unusable)?;
        fields
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.as_f64().ok_or_else(unusable)?)))
            .collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.signal(libc::SIGCONT);
        self.stdin = None;
        let deadline = Instant::now() + GRACE;
        // An interrupted program is in the middle of something.
        let patient = self.interrupt.check().is_ok();
        while patient && !has_ended(&self.child) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Whether a child has ended, which is left to be waited for.
fn has_ended(child: &Child) -> bool {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the call writes to a local of the type that it expects, and to nothing else.
    unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        let found = libc::waitid(libc::P_PID, child.id(), &raw mut info, flags);
        found != 0 || info.si_pid() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Subject {
        let mut command = Command::new("sh");
        Subject::start(command.args(["-c", script]), &Interrupt::default()).unwrap()
    }

    #[test]
    fn a_question_is_answered_by_figures() {
        let mut subject = shell(r#"read w n; echo "{\"tasks_per_s\": $n}""#);
        let figures = subject.ask("map", 1000).unwrap();
        assert_eq!(figures.get("tasks_per_s"), Some(&1000.0));
    }

    #[test]
    fn a_program_that_waits_for_its_turn_is_stopped() {
        let mut subject = shell(r#"while read w n; do echo "{\"tasks_per_s\": $n}"; done"#);
        subject.pause();
        let stat = format!("/proc/{}/stat", subject.child.id());
        let deadline = Instant::now() + GRACE;
        let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
        while !is_stopped() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(is_stopped());
        assert_eq!(subject.ask("map", 7).unwrap().get("tasks_per_s"), Some(&7.0));
    }

    #[test]
    fn an_error_is_told_with_its_question() {
        let mut subject = shell(r#"read w n; echo '{"error": "no such thing"}'"#);
        let error = subject.ask("fly", 1).unwrap_err().to_string();
        assert!(error.contains("fly 1") && error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_program_that_ends_without_an_answer_is_named() {
        let error = shell("read line").ask("map", 1).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { ref question, .. } if question == "map 1"));
    }

    #[test]
    fn ctrl_c_ends_the_wait_and_the_program() {
        let mut subject = shell("trap '' TERM HUP; while :; do sleep 1; done");
        subject.interrupt.0.store(true, Ordering::Relaxed);
        assert!(matches!(subject.ask("map", 1), Err(Error::Interrupted)));
    }

    #[test]
    fn what_a_program_started_ends_with_it() {
        let mut subject = shell(r#"sleep 1000 & read line; echo "{\"child\": $!}""#);
        let child = subject.ask("map", 1).unwrap()["child"] as libc::pid_t;
        drop(subject);
        // SAFETY: signal 0 only asks whether the process exists.
        let exists = || unsafe { libc::kill(child, 0) == 0 };
        // An orphan that was killed exists until init has waited for it.
        let deadline = Instant::now() + GRACE;
        while exists() && !is_zombie(child) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(!exists() || is_zombie(child));
    }

    fn is_zombie(process: libc::pid_t) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
        status.is_ok_and(|status| status.contains(") Z "))
    }
}
