//! A program in its worker role: a process that is started, watched and stopped.

mod output;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dask_proto::program::ProgramId;
use dask_proto::{Address, Resources, role};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use output::{Output, Stage};

/// How long a worker may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long its output is waited for once a process has ended. What it printed is in the pipe, but
/// a process that it started may hold the pipe open for ever.
const PRINT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often, and after which pause, a program is started again that somebody has open for writing:
/// a process that was forked while it was written, until that has become another program.
const BUSY: (u32, Duration) = (50, Duration::from_millis(10));

/// How to start a worker process.
#[derive(Debug, Clone)]
pub struct WorkerSetup {
    /// The executable.
    pub path: PathBuf,
    /// The scheduler that it joins.
    pub scheduler: Address,
    /// Its name.
    pub name: String,
    /// How many tasks it runs at once.
    pub nthreads: u32,
    /// Its abstract resources.
    pub resources: BTreeMap<String, f64>,
    /// Bytes of memory that it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Where results go that do not fit in memory; `None` lets it choose.
    pub local_directory: Option<PathBuf>,
    /// Where it listens; `None` lets it choose.
    pub listen: Option<String>,
    /// The host at which others reach it, where that is another than it listens on.
    pub contact_host: Option<String>,
    /// Which program it is, so that it need not find out; `None` if nobody knows.
    pub program: Option<ProgramId>,
    /// Variables that it has in place of those of this process.
    pub environ: BTreeMap<String, String>,
    /// Where what it prints goes.
    pub prints: Prints,
}

/// Where what a worker process prints goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prints {
    /// To the output and the standard error of this process, as it is.
    Plain,
    /// To the standard error of this process, each line behind the name of the worker.
    Named,
}

/// A worker process. It is killed when this is dropped.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    /// Its end tells the worker to end.
    stdin: Option<ChildStdin>,
    output: Output,
    printing: Vec<JoinHandle<()>>,
}

/// How a worker process came to its end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was retired: nobody expects another in its place.
    Retired,
    /// Another is to take its place at once.
    Restarting,
    /// It died.
    Died(Death),
}

/// How a worker process died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// For people: with what it printed last, if it never got to work.
    pub how: String,
    /// Whether it had joined its scheduler.
    pub had_joined: bool,
}

impl WorkerProcess {
    /// Starts it.
    ///
    /// # Errors
    /// When the system does not start it.
    pub async fn start(setup: &WorkerSetup) -> io::Result<Self> {
        let mut command = command(setup);
        let mut attempts = 0;
        let mut child = loop {
            match command.spawn() {
                Err(error) if is_busy(&error) && attempts < BUSY.0 => {
                    attempts += 1;
                    tokio::time::sleep(BUSY.1).await;
                }
                spawned => break spawned?,
            }
        };
        let output = Output::new(&setup.name, setup.prints);
        let mut printing = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            printing.push(tokio::spawn(output.clone().pass_on(stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            printing.push(tokio::spawn(output.clone().pass_on(stderr)));
        }
        // To wait for a child closes its standard input, unless somebody else holds it.
        Ok(Self { stdin: child.stdin.take(), child, output, printing })
    }

    /// Its id, unless it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has joined its scheduler; how it ended, if it ended before. Cancel safe.
    ///
    /// # Errors
    /// When the system does not say how it ended.
    pub async fn joined(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = tokio::select! {
            () = self.output.joined() => return Ok(None),
            ended = self.child.wait() => ended?,
        };
        self.printed().await;
        Ok((self.output.stage() == Stage::Starting).then_some(ended))
    }

    /// Waits until it has ended. Cancel safe.
    ///
    /// # Errors
    /// When the system does not say how it ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What the way in which it ended means, once what it printed was passed on.
    pub async fn end(mut self, status: io::Result<ExitStatus>) -> End {
        self.printed().await;
        let had_joined = self.output.stage() == Stage::Joined;
        let died = |how| End::Died(Death { how, had_joined });
        let status = match status {
            Ok(status) => status,
            Err(error) => return died(format!("a worker was lost: {error}")),
        };
        match status.code() {
            Some(role::exit::RETIRED) if had_joined => End::Retired,
            Some(role::exit::RESTARTING) if had_joined => End::Restarting,
            // A task may have ended the process with any other code, zero included.
            _ => died(describe(status, &self.output)),
        }
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill().await;
    }

    /// Tells it to end, and kills it if it does not.
    pub async fn stop(mut self) {
        self.stdin = None;
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.kill().await;
        }
        self.printed().await;
    }

    /// Waits until all that it printed was passed on, but not for what it left behind: that is
    /// passed on all the same, for as long as somebody holds the pipe.
    async fn printed(&mut self) {
        let printing = std::mem::take(&mut self.printing);
        let printed = async {
            for task in printing {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(PRINT_TIMEOUT, printed).await;
    }
}

fn command(setup: &WorkerSetup) -> Command {
    let mut command = Command::new(&setup.path);
    command
        .envs(&setup.environ)
        .env(role::ROLE, "worker")
        .env(role::SCHEDULER_ADDRESS, setup.scheduler.as_str())
        .env(role::NTHREADS, setup.nthreads.to_string())
        .env(role::NAME, &setup.name)
        .env(role::RESOURCES, Resources(setup.resources.clone()).to_string())
        // Without a limit here there is none, whatever this process was told.
        .env(role::MEMORY_LIMIT, setup.memory_limit.unwrap_or(0).to_string())
        .env(role::EXIT_ON_STDIN_CLOSE, "1")
        .env(role::RESTARTS, "1")
        // What it may run is for others to know.
        .env_remove(role::TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if setup.prints == Prints::Named {
        command.stderr(Stdio::piped());
    }
    // What this process was told of them is for itself alone.
    for (variable, value) in [
        (role::LISTEN, setup.listen.clone()),
        (role::CONTACT_HOST, setup.contact_host.clone()),
        (role::PROGRAM, setup.program.map(|program| program.to_string())),
    ] {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    match &setup.local_directory {
        Some(directory) => command.env(role::LOCAL_DIRECTORY, directory),
        None => command.env_remove(role::LOCAL_DIRECTORY),
    };
    command
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ExecutableFileBusy
}

/// How a process died, with what it said last if it never got to work.
fn describe(status: ExitStatus, output: &Output) -> String {
    if output.stage() == Stage::Joined {
        return format!("a worker died: {status}");
    }
    match output.last().as_str() {
        "" => format!("it ended before it joined the scheduler, {status}, and printed nothing"),
        last => {
            format!("it ended before it joined the scheduler, {status}. It printed last:\n{last}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> WorkerSetup {
        WorkerSetup {
            path: PathBuf::from("app"),
            scheduler: "tcp://127.0.0.1:1".parse().expect("an address"),
            name: "alice".to_owned(),
            nthreads: 1,
            resources: BTreeMap::new(),
            memory_limit: None,
            local_directory: None,
            listen: None,
            contact_host: None,
            program: None,
            environ: BTreeMap::new(),
            prints: Prints::Plain,
        }
    }

    #[test]
    fn workers_do_not_have_what_is_for_this_process_alone() {
        let command = command(&setup());
        let removed: Vec<_> =
            command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        let for_this = [role::CONTACT_HOST, role::LISTEN, role::PROGRAM, role::LOCAL_DIRECTORY];
        for name in for_this.into_iter().chain([role::TOKEN]) {
            assert!(removed.iter().any(|(removed, _)| *removed == name), "{name}");
        }
    }

    #[cfg(unix)]
    mod shell {
        use std::os::unix::fs::PermissionsExt;

        use super::*;

        /// A process that runs this script in place of a worker.
        async fn start(script: &str) -> (WorkerProcess, tempfile::TempDir) {
            let place = tempfile::tempdir().expect("a directory");
            let path = place.path().join("worker");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .expect("a mode");
            let setup = WorkerSetup { path, prints: Prints::Named, ..setup() };
            (WorkerProcess::start(&setup).await.expect("it starts"), place)
        }

        async fn end(script: &str) -> End {
            let (mut process, _place) = start(script).await;
            let status = process.ended().await;
            process.end(status).await
        }

        #[tokio::test]
        async fn the_code_of_a_worker_counts_once_it_has_joined() {
            let joined = "echo Worker at: tcp://10.0.0.1:1";
            assert_eq!(end(&format!("{joined}; exit 5")).await, End::Retired);
            assert_eq!(end(&format!("{joined}; exit 3")).await, End::Restarting);
            for (script, had_joined) in [("exit 5", false), (joined, true)] {
                let End::Died(death) = end(script).await else { panic!("{script}") };
                assert_eq!(death.had_joined, had_joined, "{script}: {}", death.how);
            }
        }

        #[tokio::test]
        async fn one_that_never_joined_is_told_with_what_it_printed_last() {
            let End::Died(death) = end("echo out; echo err >&2; exit 9").await else { panic!() };
            for word in ["before it joined", "9", "out", "err"] {
                assert!(death.how.contains(word), "{word} is not in {}", death.how);
            }
        }

        #[tokio::test]
        async fn whoever_waits_for_it_to_join_hears_that_it_ended() {
            let (mut process, _place) = start("echo Worker at: here; read line").await;
            assert_eq!(process.joined().await.expect("a status"), None);
            process.stop().await;
            let (mut process, _place) = start("exit 7").await;
            let status = process.joined().await.expect("a status").expect("it ended");
            assert_eq!(status.code(), Some(7));
        }
    }
}
