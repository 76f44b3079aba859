//! Worker processes: this program, or another, in its worker role.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dask_proto::Address;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{START_TIMEOUT, until};
use crate::error::Kind;
use crate::{Error, Result, role};

/// How long a process may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a process that died waits for its successor: doubled from the first to the second each
/// time, as a program that dies at start would take the machine with it.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How to start one worker process.
#[derive(Debug, Clone)]
pub(super) struct WorkerProcess {
    pub(super) program: PathBuf,
    pub(super) scheduler: Address,
    pub(super) name: String,
    pub(super) threads: u32,
}

type Output = tokio::io::Lines<BufReader<ChildStdout>>;

/// Starts the processes, all at once; returns when every one has joined the scheduler. Each is
/// watched by a task that replaces it when it dies, as Dask's nanny does.
pub(super) async fn start(
    workers: Vec<WorkerProcess>,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>> {
    let spawned = workers
        .into_iter()
        .map(|worker| Ok((worker.spawn()?, worker)));
    let spawned: Vec<_> = spawned.collect::<Result<_>>()?;
    let mut tasks = Vec::new();
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    for ((mut child, mut output), worker) in spawned {
        let joined = tokio::time::timeout_at(deadline, joined(&mut output)).await;
        if !joined.map_err(|_| Error::timeout("starting worker processes", START_TIMEOUT))? {
            let status = child.wait().await?.to_string();
            return Err(Kind::WorkerStart {
                name: worker.name,
                status,
            }
            .into());
        }
        tasks.push(tokio::spawn(worker.watch(child, output, stopped.clone())));
    }
    Ok(tasks)
}

impl WorkerProcess {
    fn spawn(&self) -> Result<(Child, Output)> {
        let mut child = Command::new(&self.program)
            .env(role::ROLE, "worker")
            .env(role::variable::SCHEDULER_ADDRESS, self.scheduler.as_str())
            .env(role::variable::NTHREADS, self.threads.to_string())
            .env(role::variable::NAME, &self.name)
            .env_remove(role::variable::LISTEN)
            .env(role::variable::EXIT_ON_STDIN_CLOSE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().expect("standard output is piped");
        Ok((child, BufReader::new(output).lines()))
    }

    async fn watch(self, child: Child, output: Output, stopped: watch::Receiver<bool>) {
        let mut back_off = BACK_OFF.0;
        let mut running = Some((child, output));
        loop {
            if let Some((child, output)) = running {
                let status = serve(child, output, until(stopped.clone())).await;
                if *stopped.borrow() {
                    return;
                }
                let (name, status) = (&self.name, status.map(|status| status.to_string()));
                tracing::warn!(name, ?status, "a worker process died and is started again");
            }
            tokio::select! {
                () = tokio::time::sleep(back_off) => {}
                () = until(stopped.clone()) => return,
            }
            back_off = (back_off * 2).min(BACK_OFF.1);
            running = self
                .spawn()
                .map_err(|error| tracing::error!(%error, "it cannot"))
                .ok();
        }
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
    // It ends with the process, which closes the pipe.
    let _ = printing.await;
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
    while let Ok(Some(line)) = output.next_line().await {
        if line.starts_with("Worker at: ") {
            return true;
        }
        println!("{line}");
    }
    false
}

async fn print(mut output: Output) {
    while let Ok(Some(line)) = output.next_line().await {
        if !line.starts_with("Worker at: ") {
            println!("{line}");
        }
    }
}
