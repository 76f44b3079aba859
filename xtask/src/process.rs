//! Processes that run side by side and end together.
//!
//! Each process leads a process group of its own: Ctrl-C in the terminal reaches xtask alone, which
//! then stops them in order. Each holds the reading end of a pipe as its standard input, and is
//! asked to end when that closes: so nothing is left behind even when xtask itself is killed.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use crate::build::describe;
use crate::error::{Error, Result};

/// How often the processes are looked at: the kernel tells a thread of one child at a time only.
const TURN: Duration = Duration::from_millis(20);
/// How long a process may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The processes that were started. Dropping it stops them all.
pub(crate) struct Group {
    processes: Vec<Process>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Width of the column of names.
    width: usize,
    ready_limit: Duration,
    grace: Duration,
}

struct Process {
    name: String,
    ready: &'static str,
    /// The first line on standard output that begins with `ready`, once it came.
    ready_line: Option<String>,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Reports, by being dropped at the other end, that all output has been printed.
    output: Receiver<()>,
}

enum Event {
    Interrupted,
    Ready { process: usize, line: String },
}

impl Group {
    /// A group without processes; `width` is that of the longest name to come.
    pub(crate) fn new(width: usize) -> Group {
        let (sender, events) = mpsc::channel();
        Group {
            processes: Vec::new(),
            events,
            sender,
            width,
            ready_limit: READY_LIMIT,
            grace: GRACE,
        }
    }

    /// From now on Ctrl-C, SIGTERM and SIGHUP end every wait with [`Error::Interrupted`].
    pub(crate) fn listen_for_signals(&self) -> Result<()> {
        let sender = self.sender.clone();
        ctrlc::set_handler(move || {
            // Without a receiver the group is being stopped already.
            let _ = sender.send(Event::Interrupted);
        })?;
        Ok(())
    }

    /// Starts a process, whose every line of output is printed on standard error behind its name.
    /// It has told that it is ready when a line on its standard output begins with `ready`.
    pub(crate) fn spawn(
        &mut self,
        name: String,
        command: &mut Command,
        ready: &'static str,
    ) -> Result<usize> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { command: describe(command), source })?;
        let index = self.processes.len();
        let (printed, output) = mpsc::channel();
        let prefix = self.prefix(&name);
        if let Some(stderr) = child.stderr.take() {
            let reader = Reader::new(prefix.clone(), printed.clone());
            std::thread::spawn(move || reader.read(stderr, |_| {}));
        }
        if let Some(stdout) = child.stdout.take() {
            let reader = Reader::new(prefix, printed);
            let watch = watch(self.sender.clone(), index, ready);
            std::thread::spawn(move || reader.read(stdout, watch));
        }
        let stdin = child.stdin.take();
        self.processes.push(Process { name, ready, ready_line: None, child, stdin, output });
        Ok(index)
    }

    /// Waits for the line that says that a process is ready.
    pub(crate) fn wait_ready(&mut self, process: usize) -> Result<String> {
        let deadline = Instant::now() + self.ready_limit;
        loop {
            if let Some(line) = &self.processes[process].ready_line {
                return Ok(line.clone());
            }
            if Instant::now() >= deadline {
                return Err(Error::NotReady {
                    name: self.processes[process].name.clone(),
                    pattern: self.processes[process].ready,
                    limit: self.ready_limit,
                });
            }
            self.turn()?;
        }
    }

    /// Waits until one of the processes ends or a signal comes: each is an error.
    pub(crate) fn wait(&mut self) -> Result<std::convert::Infallible> {
        loop {
            self.turn()?;
        }
    }

    /// Runs one more command to its end, on xtask's own standard output and error. The end of a
    /// process of the group, or a signal, stops it too.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        let name = describe(command);
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| Error::Spawn { command: name.clone(), source })?;
        let result = self.wait_for(&mut child, &name);
        if result.is_err() {
            signal(&child, libc::SIGTERM, Reach::Process);
            end_by(&mut child, Instant::now() + self.grace, Reach::Process);
        }
        result
    }

    /// Asks all processes to end, and kills those that have not ended in time. The group is empty
    /// then, and others can be started in it.
    pub(crate) fn stop(&mut self) {
        for process in &mut self.processes {
            process.stdin = None;
            if status(&mut process.child).is_none() {
                signal(&process.child, libc::SIGTERM, Reach::Group);
            }
        }
        let deadline = Instant::now() + self.grace;
        for mut process in self.processes.drain(..) {
            end_by(&mut process.child, deadline, Reach::Group);
            // A process that a child of ours left behind may hold the pipe open: do not wait on.
            let _ = process.output.recv_timeout(Duration::from_secs(1));
        }
        // What is left to hear of them must not be taken for news of their successors.
        let interrupted =
            self.events.try_iter().filter(|event| matches!(event, Event::Interrupted)).count();
        if interrupted > 0 {
            let _ = self.sender.send(Event::Interrupted);
        }
    }

    fn wait_for(&mut self, child: &mut Child, name: &str) -> Result<()> {
        loop {
            match status(child) {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(Error::Failed { command: name.to_owned(), status });
                }
                None => self.turn()?,
            }
        }
    }

    /// Waits a moment for an event, then looks whether all processes still run.
    fn turn(&mut self) -> Result<()> {
        match self.events.recv_timeout(TURN) {
            Ok(Event::Interrupted) => return Err(Error::Interrupted),
            Ok(Event::Ready { process, line }) => {
                self.processes[process].ready_line = Some(line);
            }
            // The group holds a sender, so that this is a timeout.
            Err(_) => {}
        }
        for process in &mut self.processes {
            if let Some(status) = status(&mut process.child) {
                return Err(Error::Died { name: process.name.clone(), status });
            }
        }
        Ok(())
    }

    fn prefix(&self, name: &str) -> String {
        let width = self.width;
        if !std::io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
            return format!("{name:<width$} | ");
        }
        // Cyan, green, yellow, blue, magenta: readable on dark and on light.
        let colour = [36, 32, 33, 34, 35][self.processes.len() % 5];
        format!("\x1b[{colour}m{name:<width$} |\x1b[0m ")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Prints what one process writes, line by line.
struct Reader {
    prefix: String,
    /// Only ever dropped.
    _printed: Sender<()>,
}

impl Reader {
    fn new(prefix: String, printed: Sender<()>) -> Reader {
        Reader { prefix, _printed: printed }
    }

    fn read(self, from: impl Read, mut watch: impl FnMut(&str)) {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while matches!(from.read_until(b'\n', &mut bytes), Ok(1..)) {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end();
            // One write a line keeps the lines of several processes apart. A terminal that is
            // gone is no reason to stop reading: the process would block on a full pipe.
            let printed = format!("{}{line}\n", self.prefix);
            let _ = std::io::stderr().write_all(printed.as_bytes());
            watch(line);
            bytes.clear();
        }
    }
}

fn watch(sender: Sender<Event>, process: usize, ready: &'static str) -> impl FnMut(&str) {
    let mut sender = Some(sender);
    move |line| {
        if !line.starts_with(ready) {
            return;
        }
        if let Some(sender) = sender.take() {
            let line = line.to_owned();
            let _ = sender.send(Event::Ready { process, line });
        }
    }
}

/// How the process ended, if it did.
fn status(child: &mut Child) -> Option<ExitStatus> {
    child.try_wait().expect("a child that we started can be waited for")
}

/// Whom a signal reaches.
#[derive(Clone, Copy)]
enum Reach {
    /// The process alone: it shares our group.
    Process,
    /// The process and all that it started: it leads a group.
    Group,
}

/// The child must not have been waited for: its id could name another process by then.
fn signal(child: &Child, signal: libc::c_int, reach: Reach) {
    let Ok(id) = libc::pid_t::try_from(child.id()) else {
        return;
    };
    let id = match reach {
        Reach::Process => id,
        Reach::Group => -id,
    };
    // SAFETY: kill has no memory-safety conditions; the id is of a child not yet waited for.
    unsafe { libc::kill(id, signal) };
}

/// Waits for a child until the deadline and then kills it.
fn end_by(child: &mut Child, deadline: Instant, reach: Reach) {
    while status(child).is_none() {
        if Instant::now() >= deadline {
            signal(child, libc::SIGKILL, reach);
            let _ = child.wait();
            return;
        }
        std::thread::sleep(TURN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "Ready at: ";

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn group() -> Group {
        let mut group = Group::new(8);
        group.grace = Duration::from_millis(200);
        group
    }

    fn exists(id: u32) -> bool {
        let id = libc::pid_t::try_from(id).unwrap();
        // SAFETY: signal 0 only asks whether the process exists.
        unsafe { libc::kill(id, 0) == 0 }
    }

    #[test]
    fn the_ready_line_is_found_among_others() {
        let mut group = group();
        let script = "echo noise; echo 'Ready at: here'; echo 'Ready at: there'; cat";
        let process = group.spawn("a".into(), &mut shell(script), READY).unwrap();
        assert_eq!(group.wait_ready(process).unwrap(), "Ready at: here");
    }

    #[test]
    fn a_process_that_is_never_ready_is_named() {
        let mut group = group();
        group.ready_limit = Duration::from_millis(60);
        let process = group.spawn("mute".into(), &mut shell("cat"), READY).unwrap();
        let error = group.wait_ready(process).unwrap_err();
        assert!(matches!(error, Error::NotReady { ref name, .. } if name == "mute"));
    }

    #[test]
    fn an_unexpected_end_is_reported_with_its_status() {
        let mut group = group();
        group.spawn("a".into(), &mut shell("cat"), READY).unwrap();
        group.spawn("b".into(), &mut shell("exit 3"), READY).unwrap();
        let Err(Error::Died { name, status }) = group.wait() else {
            panic!("the wait must end with the death of b");
        };
        assert_eq!((name.as_str(), status.code()), ("b", Some(3)));
    }

    #[test]
    fn a_signal_ends_every_wait() {
        let mut group = group();
        let process = group.spawn("a".into(), &mut shell("cat"), READY).unwrap();
        group.sender.send(Event::Interrupted).unwrap();
        assert!(matches!(group.wait_ready(process), Err(Error::Interrupted)));
        group.sender.send(Event::Interrupted).unwrap();
        let error = group.run(&mut shell("while :; do sleep 1; done"));
        assert!(matches!(error, Err(Error::Interrupted)));
    }

    #[test]
    fn dropping_the_group_ends_processes_willing_or_not() {
        let mut group = group();
        let stubborn = "trap '' TERM; echo 'Ready at: x'; while :; do sleep 1; done";
        let willing = "echo 'Ready at: x'; cat";
        let mut ids = Vec::new();
        for script in [stubborn, willing] {
            let process = group.spawn("a".into(), &mut shell(script), READY).unwrap();
            group.wait_ready(process).unwrap();
            ids.push(group.processes[process].child.id());
        }
        assert!(ids.iter().copied().all(exists));
        drop(group);
        assert!(!ids.into_iter().any(exists));
    }

    #[test]
    fn a_stopped_group_starts_afresh_but_remembers_a_signal() {
        let mut group = group();
        let script = "echo 'Ready at: old'; cat";
        let process = group.spawn("a".into(), &mut shell(script), READY).unwrap();
        group.wait_ready(process).unwrap();
        group.stop();
        let script = "echo 'Ready at: new'; cat";
        let process = group.spawn("a".into(), &mut shell(script), READY).unwrap();
        assert_eq!(group.wait_ready(process).unwrap(), "Ready at: new");
        group.sender.send(Event::Interrupted).unwrap();
        group.stop();
        assert!(matches!(group.wait(), Err(Error::Interrupted)));
    }

    #[test]
    fn the_status_of_a_foreground_command_is_the_result() {
        let mut group = group();
        group.spawn("a".into(), &mut shell("cat"), READY).unwrap();
        assert!(group.run(&mut shell("exit 0")).is_ok());
        let error = group.run(&mut shell("exit 4")).unwrap_err();
        assert!(matches!(error, Error::Failed { status, .. } if status.code() == Some(4)));
    }

    #[test]
    fn a_foreground_command_ends_with_the_group() {
        let mut group = group();
        group.spawn("a".into(), &mut shell("exit 1"), READY).unwrap();
        let error = group.run(&mut shell("while :; do sleep 1; done"));
        assert!(matches!(error, Err(Error::Died { .. })));
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error =
            group().spawn("a".into(), &mut Command::new("/no/such/program"), READY).unwrap_err();
        assert!(error.to_string().starts_with("cannot start `program`"));
    }
}
