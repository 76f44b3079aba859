use std::collections::BTreeMap;
use std::sync::Arc;

use dask_program::back_off;
use dask_proto::human::describe;
use dask_proto::message::{AgentToScheduler, ProgramSource};
use dask_proto::program::{Executable, ProgramId, Voucher};
use dask_transport::Outbox;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::host::Host;
use crate::slot::{Slot, until};
use crate::{CacheError, fetch};

/// The programs that run here, or are about to end.
pub(crate) struct Programs {
    host: Arc<Host>,
    running: BTreeMap<ProgramId, Running>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<Had>,
}

impl Programs {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Self { host, running: BTreeMap::new() }
    }

    pub(crate) fn start(&mut self, order: Order) {
        let id = order.program.id;
        self.forget_ended(id);
        let before = self.running.remove(&id).map(|before| {
            before.stop.send_replace(true);
            before.task
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(self.host.clone(), order, before, stopped));
        self.running.insert(id, Running { stop, task });
    }

    /// Lets go of others that have ended.
    fn forget_ended(&mut self, but: ProgramId) {
        self.running.retain(|id, running| *id == but || !running.task.is_finished());
    }

    pub(crate) fn stop(&mut self, program: ProgramId) {
        if let Some(running) = self.running.get(&program) {
            running.stop.send_replace(true);
        }
    }

    pub(crate) async fn stop_all(&mut self) {
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        self.all_ended().await;
    }

    /// Waits until no worker is left.
    pub(crate) async fn all_ended(&mut self) {
        while let Some((_, running)) = self.running.pop_first() {
            // However it ended, it has.
            let _ = running.task.await;
        }
    }
}

/// A program that is to run here.
pub(crate) struct Order {
    pub(crate) program: Executable,
    pub(crate) from: Option<ProgramSource>,
    pub(crate) voucher: Option<Voucher>,
    pub(crate) outbox: Outbox<AgentToScheduler>,
}

/// Whether a program could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    Yes,
    /// How often it could not, in a row.
    No {
        failures: u32,
    },
}

impl Had {
    fn failures(self) -> u32 {
        match self {
            Self::Yes => 0,
            Self::No { failures } => failures,
        }
    }
}

/// Fetches a program and runs its workers until it is stopped. What ran of it before ends first:
/// their successors have their names.
async fn run(
    host: Arc<Host>,
    order: Order,
    before: Option<JoinHandle<Had>>,
    mut stopped: watch::Receiver<bool>,
) -> Had {
    let failures = match before {
        Some(before) => before.await.map_or(0, Had::failures),
        None => 0,
    };
    let Order { program, from, voucher, outbox } = order;
    let id = program.id;
    let _in_use = host.config.cache.pin(id);
    let fetching = async {
        sleep(back_off::pause(failures)).await;
        // Whatever the scheduler believes.
        let tokens = host.config.tokens.as_ref();
        if tokens.is_some_and(|tokens| !tokens.allow(voucher.as_ref(), id)) {
            return Err(CacheError::Token);
        }
        fetch::have(&host, (&program, from.as_ref()), &outbox).await
    };
    let fetched = tokio::select! {
        fetched = fetching => fetched,
        () = until(&mut stopped) => return Had::Yes,
    };
    let _kept = match fetched {
        Ok(held) => held,
        Err(error) => {
            let reason = describe(&error);
            tracing::warn!(name = program.name, program = id.short(), reason, "not fetched");
            // Without a scheduler nobody waits for it.
            let _ = outbox.send([AgentToScheduler::NotFetched { program: id, reason }]);
            return Had::No { failures: failures + 1 };
        }
    };
    let _ = outbox.send([AgentToScheduler::Fetched { program: id }]);
    let mut slots = JoinSet::new();
    for name in host.worker_names() {
        let slot = Slot { host: host.clone(), program: id, name, outbox: outbox.clone() };
        slots.spawn(slot.run(stopped.clone()));
    }
    tracing::info!(name = program.name, program = id.short(), "its workers are started");
    while slots.join_next().await.is_some() {}
    tracing::info!(name = program.name, program = id.short(), "its workers have ended");
    if !*stopped.borrow() {
        let _ = outbox.send([AgentToScheduler::Ended { program: id }]);
    }
    Had::Yes
}
