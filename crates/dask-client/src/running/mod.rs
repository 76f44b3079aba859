//! What a running task can use of its cluster: the worker that it is on, and a client.

pub(crate) mod aside;
pub(crate) mod companion;
pub(crate) mod worker_client;

use std::sync::Arc;

use dask_task::context::{Context, CurrentWorker};

use crate::error::Kind;
use crate::{Client, Result, default};

/// The worker that runs the task on this thread: Dask's `get_worker`, as far as tasks read it.
///
/// ```
/// # use dask_client::{Client, Result, get_worker, task};
/// #[task]
/// fn whereabouts() -> Result<String> {
///     let worker = get_worker()?;
///     Ok(format!("{} at {}", worker.name, worker.address))
/// }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// assert!(client.submit(whereabouts, ()).await?.starts_with("0 at inproc://"));
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// Outside of tasks: a thread that a task started is none of the worker's.
pub fn get_worker() -> Result<Arc<CurrentWorker>> {
    Context::current().map(|context| context.worker).ok_or_else(|| Kind::NoTask.into())
}

/// A client of the cluster, from within a task or outside: Dask's `get_client`. In a task it is the
/// client of its worker, which all tasks there share and which connects when the first asks for it;
/// elsewhere the [default client](crate::default_client).
///
/// A task that waits for futures leaves its worker's pool of threads for that time, so that others
/// can run, and tasks that wait for tasks of their own do not bring the worker to a stop.
///
/// ```
/// # use dask_client::{Client, Result, get_client, task};
/// #[task]
/// async fn fibonacci(n: u64) -> Result<u64> {
///     if n < 2 {
///         return Ok(n);
///     }
///     let client = get_client()?;
///     let (one, two) = (client.submit(fibonacci, n - 1), client.submit(fibonacci, n - 2));
///     Ok(one.await? + two.await?)
/// }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// assert_eq!(client.submit(fibonacci, 7).await?, 13);
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When the worker's client cannot connect; outside of tasks, when there is no default client.
pub fn get_client() -> Result<Client> {
    companion::of_task().unwrap_or_else(default::default_client)
}
