//! Worker processes: this program, or another, in its worker role.

use std::time::Instant;

use dask_program::{End, WorkerProcess, WorkerSetup, back_off};
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};

use super::{START_TIMEOUT, until};
use crate::error::Kind;
use crate::{Error, Result};

/// Starts the processes, all at once; returns when every one has joined the scheduler. Dropped,
/// they are killed.
pub(super) async fn start(setups: Vec<WorkerSetup>) -> Result<Vec<(WorkerSetup, WorkerProcess)>> {
    let mut started = Vec::with_capacity(setups.len());
    for setup in setups {
        let process = WorkerProcess::start(&setup).await?;
        started.push((setup, process));
    }
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    for (setup, process) in &mut started {
        let joined = timeout_at(deadline, process.joined()).await;
        let joined = joined.map_err(|_| Error::timeout("starting worker processes", START_TIMEOUT));
        if let Some(status) = joined?? {
            let status = status.to_string();
            return Err(Kind::WorkerStart { name: setup.name.clone(), status }.into());
        }
    }
    Ok(started)
}

/// Replaces a process when it dies, as Dask's nanny does, until it is to stop or was retired.
pub(super) async fn watch(
    setup: WorkerSetup,
    process: WorkerProcess,
    stopped: watch::Receiver<bool>,
) {
    let mut running = Ok(process);
    let mut failures = 0;
    loop {
        let started = Instant::now();
        let how = match running {
            Ok(mut process) => {
                let status = tokio::select! {
                    status = process.ended() => status,
                    () = until(stopped.clone()) => return process.stop().await,
                };
                match process.end(status).await {
                    End::Retired => return,
                    End::Restarting => None,
                    End::Died(death) => Some(death.how),
                }
            }
            Err(error) => Some(format!("it cannot be started again: {error}")),
        };
        if is_over(&stopped) {
            return;
        }
        failures = match how {
            None => 0,
            Some(how) => {
                tracing::warn!(name = setup.name, "{how}");
                if back_off::has_worked(started.elapsed()) { 1 } else { failures + 1 }
            }
        };
        tokio::select! {
            () = sleep(back_off::pause(failures)) => {}
            () = until(stopped.clone()) => return,
        }
        running = WorkerProcess::start(&setup).await;
    }
}

/// Whether the worker is to stop: told so, or nobody is left who could tell it.
fn is_over(stopped: &watch::Receiver<bool>) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}
