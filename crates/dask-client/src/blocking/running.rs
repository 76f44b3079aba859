use std::ops::Deref;

use super::Client;
use crate::Result;

/// [`WorkerClient`](crate::WorkerClient) whose verbs block.
#[derive(Debug)]
#[must_use = "the task comes back into its worker's pool of threads when this is dropped"]
pub struct WorkerClient {
    client: Client,
    _aside: crate::WorkerClient,
}

impl Deref for WorkerClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// [`worker_client`](crate::worker_client).
///
/// # Errors
/// As there.
pub fn worker_client() -> Result<WorkerClient> {
    let aside = crate::worker_client()?;
    Ok(WorkerClient { client: Client(aside.clone()), _aside: aside })
}

/// [`get_client`](crate::get_client).
///
/// # Errors
/// As there.
pub fn get_client() -> Result<Client> {
    crate::get_client().map(Client)
}
