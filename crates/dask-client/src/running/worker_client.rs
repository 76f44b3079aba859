use std::ops::Deref;

use super::aside::Aside;
use super::get_client;
use crate::{Client, Result};

/// A client for a task that has left the pool of threads: [`worker_client`].
#[derive(Debug)]
#[must_use = "the task comes back into its worker's pool of threads when this is dropped"]
pub struct WorkerClient {
    client: Client,
    _aside: Option<Aside>,
}

/// A client for a task, which leaves its worker's pool of threads until the client is dropped:
/// Dask's `worker_client`. It is for a task that does nothing but submit others and wait for them;
/// one that also computes takes [`get_client`](crate::get_client).
///
/// ```
/// # use dask_client::{Client, Result, blocking, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// #[task]
/// fn total(of: Vec<i64>) -> Result<i64> {
///     let client = blocking::worker_client()?;
///     let futures = client.map(inc, of);
///     Ok(client.gather(&futures)?.iter().sum())
/// }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// assert_eq!(client.submit(total, vec![1, 2, 3]).await?, 9);
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// As [`get_client`](crate::get_client).
pub fn worker_client() -> Result<WorkerClient> {
    Ok(WorkerClient { client: get_client()?, _aside: Aside::begin() })
}

impl Deref for WorkerClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
