use std::sync::Arc;

use dask_program::back_off;
use dask_proto::human::describe;
use dask_proto::message::{AgentToScheduler, ProgramSource};
use dask_proto::program::{Executable, Voucher};
use dask_transport::Outbox;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::agent::{Host, until};
use crate::slot::Slot;
use crate::{CacheError, fetch};

/// A program that is to run here.
pub(crate) struct Order {
    pub(crate) program: Executable,
    pub(crate) from: Option<ProgramSource>,
    pub(crate) voucher: Option<Voucher>,
    pub(crate) outbox: Outbox<AgentToScheduler>,
}

/// Whether a program could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Had {
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
pub(crate) async fn run(
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
