use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dask_proto::program::ProgramId;
use dask_proto::{Resources, role};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use crate::agent::Host;
use crate::output::Output;

/// How long a worker may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long its output is waited for once a process has ended: what it started may hold the pipe
/// open for ever.
const PRINT_TIMEOUT: Duration = Duration::from_millis(500);

/// How often, and after which pause, a program is started again that somebody has open for writing:
/// a process that was forked while it was written, until that has become another program.
const BUSY: (u32, Duration) = (50, Duration::from_millis(10));

/// A worker process.
pub(crate) struct Process {
    child: Child,
    /// Its end tells the worker to end.
    stdin: Option<ChildStdin>,
    pub(crate) output: Output,
    printing: [JoinHandle<()>; 2],
}

/// What a worker is told.
pub(crate) struct Setup<'a> {
    pub(crate) program: ProgramId,
    pub(crate) path: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) port: u16,
}

impl Process {
    pub(crate) async fn start(host: &Host, setup: &Setup<'_>) -> io::Result<Self> {
        let mut command = command(host, setup);
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
        let output = Output::new(setup.name);
        let stdout = child.stdout.take().ok_or_else(no_pipe)?;
        let stderr = child.stderr.take().ok_or_else(no_pipe)?;
        let printing = [
            tokio::spawn(output.clone().pass_on(stdout)),
            tokio::spawn(output.clone().pass_on(stderr)),
        ];
        Ok(Self { stdin: child.stdin.take(), child, output, printing })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it has ended. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Waits until all that it printed was passed on, but not for what it left behind.
    pub(crate) async fn printed(&mut self) {
        let printing = async {
            for task in &mut self.printing {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(PRINT_TIMEOUT, printing).await;
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill().await;
    }

    /// Tells it to end, and kills it if it does not.
    pub(crate) async fn stop(mut self) {
        self.stdin = None;
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.kill().await;
        }
        self.printed().await;
    }
}

fn command(host: &Host, setup: &Setup<'_>) -> Command {
    let config = &host.config;
    let mut command = Command::new(setup.path);
    command
        .envs(&config.environ)
        .env(role::ROLE, "worker")
        .env(role::SCHEDULER_ADDRESS, config.scheduler.as_str())
        .env(role::NTHREADS, config.nthreads.to_string())
        .env(role::NAME, setup.name)
        .env(role::RESOURCES, Resources(config.resources.clone()).to_string())
        .env(role::MEMORY_LIMIT, config.memory_limit.unwrap_or(0).to_string())
        .env(role::PROGRAM, setup.program.to_string())
        .env(role::LISTEN, format!("tcp://{}:{}", host.interface, setup.port))
        .env(role::EXIT_ON_STDIN_CLOSE, "1")
        .env(role::RESTARTS, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // What it may run is the agent's to know.
        .env_remove(role::TOKEN);
    match &config.contact_host {
        Some(host) => command.env(role::CONTACT_HOST, host),
        None => command.env_remove(role::CONTACT_HOST),
    };
    match &config.local_directory {
        Some(directory) => command.env(role::LOCAL_DIRECTORY, directory),
        None => command.env_remove(role::LOCAL_DIRECTORY),
    };
    command
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ExecutableFileBusy
}

fn no_pipe() -> io::Error {
    io::Error::other("the process has no output to read")
}
