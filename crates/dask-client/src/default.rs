//! The default client of the process: the one that connected last and is not closed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::driver::Link;
use crate::error::Kind;
use crate::running::companion::{self, Companion};
use crate::{Client, Result};

/// What the tasks of this process have for a client, where it is a worker.
static COMPANION: OnceLock<Arc<Companion>> = OnceLock::new();

static CLIENTS: Mutex<Vec<Weak<Link>>> = Mutex::new(Vec::new());

/// The client that connected last: Dask's `default_client`. Closing it restores the one before.
/// A task gets the client of its worker, as with [`get_client`](crate::get_client).
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

/// This process is a worker, and threads that its tasks start have this.
#[cfg(feature = "worker")]
pub(crate) fn is_worker_with(companion: Arc<Companion>) {
    // A process has one role, so nobody was here before.
    let _ = COMPANION.set(companion);
}

pub(crate) fn current() -> Option<Arc<Link>> {
    let of_task = companion::of_task().and_then(Result::ok);
    let of_task = of_task.map(|client| client.link().clone());
    of_task.or_else(connected).or_else(of_worker)
}

/// The client of a process that is a worker.
fn of_worker() -> Option<Arc<Link>> {
    let client = COMPANION.get()?.client(None).ok()?;
    Some(client.link().clone())
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
