//! The default client of the process: the one that connected last and is not closed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use dask_proto::Address;

use crate::driver::Link;
use crate::error::Kind;
use crate::{Client, Result, blocking};

/// The scheduler of this process, where it is a worker.
static SCHEDULER: OnceLock<Address> = OnceLock::new();

/// The client of a worker, for the futures that its tasks are given.
static WORKER_CLIENT: Mutex<Option<Client>> = Mutex::new(None);

static CLIENTS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());

/// The client that connected last: Dask's `default_client`. Closing it restores the one before.
/// A task on a worker process gets a client of the worker's scheduler.
///
/// ```
/// # use dask_client::{Client, Result, default_client};
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// assert_eq!(default_client()?.name(), client.name());
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When no client is connected, or none as default.
pub fn default_client() -> Result<Client> {
    current().map(Client::from_link).ok_or_else(|| Kind::NoDefault.into())
}

pub(crate) fn register(link: &Arc<Link>) {
    clients().push(Arc::downgrade(link));
}

pub(crate) fn unregister(link: &Arc<Link>) {
    clients().retain(|other| other.as_ptr() != Arc::as_ptr(link));
}

/// This process is a worker of that scheduler.
#[cfg(feature = "worker")]
pub(crate) fn is_worker_of(scheduler: Address) {
    // A process has one role, so nobody was here before.
    let _ = SCHEDULER.set(scheduler);
}

pub(crate) fn current() -> Option<Arc<Link>> {
    connected().or_else(of_worker)
}

/// The client of a worker, which connects when it is first asked for.
fn of_worker() -> Option<Arc<Link>> {
    let scheduler = SCHEDULER.get()?;
    let mut client = WORKER_CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
    // Another task may have connected it meanwhile.
    if let Some(link) = connected() {
        return Some(link);
    }
    let connect = || blocking::block_on(Client::connect(scheduler));
    // On a thread of its own, as this one may drive a runtime and must not run another.
    let connected = std::thread::scope(|scope| scope.spawn(connect).join());
    *client = connected.ok()?.ok();
    client.as_ref().map(|client| client.link().clone())
}

fn connected() -> Option<Arc<Link>> {
    let mut clients = clients();
    clients.retain(|link| link.strong_count() > 0);
    let live = clients.iter().rev().filter_map(Weak::upgrade);
    let found = live.into_iter().find(|link| !link.is_over());
    // Upgraded links are dropped, if at all, without the lock: that may close a client.
    drop(clients);
    found
}

/// The default client; without one a cluster inside this process, started on its first use.
pub(crate) async fn or_local() -> Result<Client> {
    if let Some(link) = current() {
        return Ok(Client::from_link(link));
    }
    #[cfg(feature = "local")]
    return crate::local::in_process().await;
    #[cfg(not(feature = "local"))]
    Err(Kind::NoDefault.into())
}

fn clients() -> MutexGuard<'static, Vec<Weak<Link>>> {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}
