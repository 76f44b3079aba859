//! Worker processes: this program, or another, in its worker role.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dask_proto::{Address, Resources, role};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

use super::{START_TIMEOUT, until};
use crate::error::Kind;
use crate::{Error, Result};

/// How long a process may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long its output is waited for once a process has ended. What it printed is in the pipe, but
/// a process that it started may hold the pipe open for ever.
const PRINT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a process that died waits for its successor: doubled from the first to the second each
/// time, as a program that dies at start would take the machine with it. One that ran for longer
/// than the second did not die at start.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How to start one worker process.
#[derive(Debug, Clone)]
pub(super) struct WorkerProcess {
    pub(super) program: PathBuf,
    pub(super) scheduler: Address,
    pub(super) name: String,
    pub(super) threads: u32,
    pub(super) resources: BTreeMap<String, f64>,
    pub(super) memory_limit: Option<u64>,
    pub(super) local_directory: Option<PathBuf>,
}

type Output = BufReader<ChildStdout>;

/// A process that has joined.
pub(super) struct Started {
    worker: WorkerProcess,
    child: Child,
    output: Output,
}

/// Starts the processes, all at once; returns when every one has joined the scheduler. Dropped,
/// they are killed.
pub(super) async fn start(workers: Vec<WorkerProcess>) -> Result<Vec<Started>> {
    let spawned = workers.into_iter().map(|worker| {
        let (child, output) = worker.spawn()?;
        Ok(Started { worker, child, output })
    });
    let mut spawned: Vec<_> = spawned.collect::<Result<_>>()?;
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    for Started { worker, child, output } in &mut spawned {
        let joined = tokio::time::timeout_at(deadline, joined(output)).await;
        if !joined.map_err(|_| Error::timeout("starting worker processes", START_TIMEOUT))? {
            let status = child.wait().await?.to_string();
            return Err(Kind::WorkerStart { name: worker.name.clone(), status }.into());
        }
    }
    Ok(spawned)
}

impl Started {
    pub(super) fn name(&self) -> &str {
        &self.worker.name
    }

    /// Replaces it when it dies, as Dask's nanny does, until it is to stop or was retired.
    pub(super) async fn watch(self, stopped: watch::Receiver<bool>) {
        self.worker.watch(self.child, self.output, stopped).await;
    }
}

impl WorkerProcess {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Without a limit here there is none, whatever this process was told.
        command.env(role::MEMORY_LIMIT, self.memory_limit.unwrap_or(0).to_string());
        match &self.local_directory {
            Some(directory) => command.env(role::LOCAL_DIRECTORY, directory),
            None => command.env_remove(role::LOCAL_DIRECTORY),
        };
        command
            .env(role::ROLE, "worker")
            .env(role::SCHEDULER_ADDRESS, self.scheduler.as_str())
            .env(role::NTHREADS, self.threads.to_string())
            .env(role::NAME, &self.name)
            .env(role::RESOURCES, Resources(self.resources.clone()).to_string())
            .env_remove(role::LISTEN)
            .env_remove(role::PROGRAM)
            .env_remove(role::CONTACT_HOST)
            // No agent asks it.
            .env_remove(role::TOKEN)
            .env(role::EXIT_ON_STDIN_CLOSE, "1")
            .env(role::RESTARTS, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn spawn(&self) -> Result<(Child, Output)> {
        let mut child = self.command().spawn()?;
        let output = child.stdout.take().expect("standard output is piped");
        Ok((child, BufReader::new(output)))
    }

    async fn watch(self, child: Child, output: Output, stopped: watch::Receiver<bool>) {
        let mut waited = None;
        let mut running = Some((child, output));
        loop {
            let started = Instant::now();
            if let Some((child, output)) = running {
                let status = serve(child, output, until(stopped.clone())).await;
                let code = status.as_ref().ok().and_then(ExitStatus::code);
                if is_over(&stopped) || code == Some(role::exit::RETIRED) {
                    return;
                }
                if code == Some(role::exit::RESTARTING) {
                    running = self.spawn_again();
                    continue;
                }
                let (name, status) = (&self.name, status.map(|status| status.to_string()));
                tracing::warn!(name, ?status, "a worker process died and is started again");
            }
            let wait = back_off(waited, started.elapsed());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = until(stopped.clone()) => return,
            }
            waited = Some(wait);
            running = self.spawn_again();
        }
    }

    fn spawn_again(&self) -> Option<(Child, Output)> {
        self.spawn().map_err(|error| tracing::error!(%error, "it cannot be started again")).ok()
    }
}

/// Whether the worker is to stop: told so, or nobody is left who could tell it.
fn is_over(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}

/// How long to wait for the successor of a process that ran for so long, and that waited itself.
fn back_off(waited: Option<Duration>, ran: Duration) -> Duration {
    match waited {
        Some(waited) if ran <= BACK_OFF.1 => (waited * 2).min(BACK_OFF.1),
        _ => BACK_OFF.0,
    }
}

/// Passes on what the process prints until it ends, or until it is to stop.
async fn serve(
    mut child: Child,
    output: Output,
    stopped: impl Future<Output = ()>,
) -> std::io::Result<ExitStatus> {
    let printing = tokio::spawn(print(output));
    // To wait for a child closes its standard input, unless somebody else holds it.
    let stdin = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        () = stopped => {
            drop(stdin);
            stop(&mut child).await
        }
    };
    // Left to itself after that, it passes on what the holders of the pipe still print.
    let _ = tokio::time::timeout(PRINT_TIMEOUT, printing).await;
    status
}

/// The end of its standard input has told the process to end; one that does not is killed.
async fn stop(child: &mut Child) -> std::io::Result<ExitStatus> {
    match tokio::time::timeout(STOP_TIMEOUT, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// Waits for the line that a worker prints when it has joined; `false` when it ended before.
async fn joined(output: &mut Output) -> bool {
    while let Some(line) = next_line(output).await {
        if line.starts_with(role::WORKER_READY) {
            return true;
        }
        println!("{line}");
    }
    false
}

async fn print(mut output: Output) {
    while let Some(line) = next_line(&mut output).await {
        if !line.starts_with(role::WORKER_READY) {
            println!("{line}");
        }
    }
}

/// The next line, of which what is not UTF-8 is replaced; `None` at the end.
async fn next_line(output: &mut Output) -> Option<String> {
    let mut line = Vec::new();
    let read = output.read_until(b'\n', &mut line).await;
    if line.is_empty() || read.is_err() {
        return None;
    }
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_do_not_have_what_is_for_this_process_alone() {
        let worker = WorkerProcess {
            program: PathBuf::from("app"),
            scheduler: "tcp://127.0.0.1:1".parse().expect("an address"),
            name: "alice".to_owned(),
            threads: 1,
            resources: BTreeMap::new(),
            memory_limit: None,
            local_directory: None,
        };
        let command = worker.command();
        let removed: Vec<_> =
            command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in [role::TOKEN, role::CONTACT_HOST, role::LISTEN, role::PROGRAM] {
            assert!(removed.iter().any(|(removed, _)| *removed == name), "{name}");
        }
    }

    #[test]
    fn processes_that_die_at_start_wait_ever_longer_and_those_that_ran_do_not() {
        let waits = |ran: &[u64]| {
            let mut waited = None;
            let wait = |ran: &u64| {
                waited = Some(back_off(waited, Duration::from_secs(*ran)));
                waited.expect("set").as_millis()
            };
            ran.iter().map(wait).collect::<Vec<_>>()
        };
        assert_eq!(waits(&[0; 4]), [100, 200, 400, 800]);
        assert_eq!(waits(&[0; 9])[7..], [10_000, 10_000]);
        assert_eq!(waits(&[0, 0, 11, 0]), [100, 200, 100, 200]);
    }
}
