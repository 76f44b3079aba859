//! The client that the tasks of a worker share.

#[cfg(feature = "worker")]
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use dask_proto::Address;
use dask_proto::message::ClientToScheduler;
use dask_task::context::{Companion as Slot, Context};
use dask_transport::Transports;

use crate::driver::block_on;
use crate::state::Event;
use crate::{Client, Result};

/// What a worker's tasks need for a client of their own cluster.
pub(crate) struct Companion {
    scheduler: Address,
    transports: Transports,
    client: Mutex<Option<Client>>,
}

impl Companion {
    #[cfg(feature = "worker")]
    pub(crate) fn new(scheduler: Address, transports: Transports) -> Arc<Self> {
        Arc::new(Self { scheduler, transports, client: Mutex::new(None) })
    }

    /// This, as the worker keeps it.
    #[cfg(feature = "worker")]
    pub(crate) fn slot(self: &Arc<Self>) -> Slot {
        Slot(Some(self.clone()))
    }

    /// The client, which connects when it is first asked for. What its tasks hold is theirs as long
    /// as the worker lives.
    pub(crate) fn client(&self, worker: Option<&Address>) -> Result<Client> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.as_ref().filter(|client| !client.link().is_over()) {
            return Ok(client.clone());
        }
        let builder =
            Client::builder().address(&self.scheduler).set_as_default(false).forward_output(false);
        // The program of its worker is there already, and the worker knows no token.
        let builder = builder.send_program(false).transports(self.transports.clone());
        let connect = || block_on(builder.connect());
        // On a thread of its own, as this one may drive a runtime and must not run another.
        let connected = std::thread::scope(|scope| scope.spawn(connect).join());
        let connected = connected.map_err(|_| std::io::Error::other("connecting panicked"))??;
        if let Some(worker) = worker.cloned() {
            connected.link().tell(Event::Told(ClientToScheduler::Serve { worker }));
        }
        Ok(client.insert(connected).clone())
    }
}

/// The client of the worker that runs the task on this thread, if one does and has one.
pub(crate) fn of_task() -> Option<Result<Client>> {
    let worker = Context::current()?.worker;
    let Slot(companion) = worker.companion.clone();
    let companion = companion?.downcast::<Companion>().ok()?;
    Some(companion.client(Some(&worker.address)))
}
