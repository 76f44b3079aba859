use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dask_program::{Death, End, Prints, WorkerProcess, WorkerSetup, back_off};
use dask_proto::human;
use dask_proto::message::AgentToScheduler;
use dask_proto::program::ProgramId;
use dask_transport::Outbox;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Nanny;
use crate::host::Host;
use crate::memory::resident;

/// How often the memory of a worker is looked at (Dask's `worker.memory.monitor-interval`).
const MONITOR_INTERVAL: Duration = Duration::from_millis(100);

/// How often workers whose life is over are asked to hand over what they hold, until they have.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The life of a worker that is never replaced: thirty years.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// The place of one worker of a program: a process, and after its death the next.
pub(crate) struct Slot {
    pub(crate) host: Arc<Host>,
    pub(crate) program: ProgramId,
    /// Of the worker.
    pub(crate) name: String,
    pub(crate) outbox: Outbox<AgentToScheduler>,
}

/// How the life of a process in a slot ended.
enum Life {
    /// It was told to end.
    Stopped,
    /// By itself.
    Ended(End),
}

impl Slot {
    /// Keeps a worker running until it is stopped.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut failures = 0;
        while !*stopped.borrow() {
            let started = Instant::now();
            match self.worker(&mut stopped).await {
                Life::Stopped => return,
                Life::Ended(End::Retired) => {
                    tracing::info!(name = self.name, "a worker has left");
                    return;
                }
                Life::Ended(End::Restarting) => failures = 0,
                Life::Ended(End::Died(death)) => {
                    if back_off::has_worked(started.elapsed()) {
                        failures = 0;
                    }
                    failures += 1;
                    self.report(death);
                    if self.host.config.nanny == Nanny::Off {
                        return;
                    }
                }
            }
            tokio::select! {
                () = sleep(back_off::pause(failures)) => {}
                () = until(&mut stopped) => return,
            }
        }
    }

    fn report(&self, Death { how, had_joined }: Death) {
        tracing::warn!(name = self.name, program = self.program.short(), "{how}");
        if !had_joined {
            let crashed = AgentToScheduler::Crashed { program: self.program, reason: how };
            // Without a scheduler nobody waits for it.
            let _ = self.outbox.send([crashed]);
        }
    }

    /// The life of one process.
    async fn worker(&self, stopped: &mut watch::Receiver<bool>) -> Life {
        let died = |how: String| Life::Ended(End::Died(Death { how, had_joined: false }));
        // The file may be another by now, or gone.
        let (looking, program) = (self.host.clone(), self.program);
        let found = tokio::task::spawn_blocking(move || looking.config.cache.find(program)).await;
        let path = match found {
            Ok(Ok(path)) => path,
            Ok(Err(error)) => return died(human::describe(&error)),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(port) = self.host.ports.take() else {
            return died("no port is free for another worker: see --worker-port".to_owned());
        };
        let setup = self.setup(path, port.number);
        let mut process = match WorkerProcess::start(&setup).await {
            Ok(process) => process,
            Err(error) => {
                let path = setup.path.display();
                return died(format!(
                    "{path} cannot be started: {error}. Check that programs may be run from there"
                ));
            }
        };
        let pid = process.pid();
        let lifetime = self.host.config.lifetime.filter(|lifetime| lifetime.restart);
        let lifetime = lifetime.map_or(NEVER, |lifetime| self.host.staggered(&lifetime));
        let mut expired = std::pin::pin!(sleep(lifetime));
        let mut is_expired = false;
        let (status, killed) = loop {
            tokio::select! {
                ended = process.ended() => break (ended, None),
                excess = self.exhausted(pid) => {
                    process.kill().await;
                    break (process.ended().await, Some(excess));
                }
                () = until(stopped) => {
                    process.stop().await;
                    return Life::Stopped;
                }
                () = &mut expired => {
                    is_expired = true;
                    // It may not have joined yet, or what it holds may have nowhere to go.
                    expired.set(sleep(ASK_AGAIN));
                    let workers = vec![self.name.clone()];
                    let program = Some(self.program);
                    let _ = self.outbox.send([AgentToScheduler::Retire { program, workers }]);
                }
            }
        };
        Life::Ended(match (process.end(status).await, killed) {
            (End::Retired, _) if is_expired => End::Restarting,
            (End::Died(death), Some(excess)) => {
                End::Died(Death { how: excess.describe(), ..death })
            }
            (end, _) => end,
        })
    }

    fn setup(&self, path: PathBuf, port: u16) -> WorkerSetup {
        let config = &self.host.config;
        WorkerSetup {
            path,
            scheduler: config.scheduler.clone(),
            name: self.name.clone(),
            nthreads: config.nthreads,
            resources: config.resources.clone(),
            memory_limit: config.memory_limit,
            local_directory: config.local_directory.clone(),
            listen: Some(format!("tcp://{}:{port}", self.host.interface)),
            contact_host: config.contact_host.clone(),
            program: Some(self.program),
            environ: config.environ.clone(),
            // Standard output is the agent's own.
            prints: Prints::Named,
        }
    }

    /// Resolves when a process takes too much memory, or all do and it takes most.
    async fn exhausted(&self, pid: Option<u32>) -> Excess {
        let (Some(most), Some(pid)) = (self.host.config.most_memory(), pid) else {
            return std::future::pending().await;
        };
        let account = self.host.ledger.open(pid);
        let mut ticks = interval(MONITOR_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(used) = resident(pid) else { continue };
            if used > most {
                return Excess { used, of_all: None };
            }
            if let Some(total) = account.note(used) {
                return Excess { used, of_all: Some(total) };
            }
        }
    }
}

/// Resolves when something is to stop.
pub(crate) async fn until(stopped: &mut watch::Receiver<bool>) {
    // Without a sender it is to stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Too much memory, in bytes.
struct Excess {
    /// That of the worker.
    used: u64,
    /// That of all workers of the host, if that is what is too much.
    of_all: Option<u64>,
}

impl Excess {
    fn describe(&self) -> String {
        let Self { used, of_all } = self;
        match of_all {
            None => format!(
                "a worker had {used} bytes of memory in use and was killed: that is over the share \
                 of its memory limit that it may have (worker.memory.terminate)"
            ),
            Some(total) => format!(
                "a worker had {used} bytes of memory in use and was killed: that is more than any \
                 other had, and the workers of all programs had {total} bytes together, over the \
                 share of the memory limit that the host may have (worker.memory.terminate)"
            ),
        }
    }
}
