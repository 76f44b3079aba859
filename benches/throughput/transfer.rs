//! One large value on its way from process to process.

use std::time::{Duration, Instant};

use dask_client::{Client, Result};

use crate::{bytes, length};

/// From the client to a worker.
pub(crate) async fn scatter(client: &Client, base: i64, size: u64) -> Result<Duration> {
    let value = vec![fill(base); length_of(size)];
    // Whether the name of the data is made of their hash is another question.
    let options = client.options().hash(false);
    let start = Instant::now();
    let future = options.scatter(value).await?;
    let elapsed = start.elapsed();
    assert_eq!(client.submit(length, &future).result().await?, length_of(size));
    Ok(elapsed)
}

/// From a worker to the client.
pub(crate) async fn gather(client: &Client, base: i64, size: u64) -> Result<Duration> {
    let future = client.options().pure(false).submit(bytes, (length_of(size), fill(base)));
    client.submit(length, &future).result().await?;
    let start = Instant::now();
    let value = future.result().await?;
    let elapsed = start.elapsed();
    assert!(value.len() == length_of(size) && value.last() == Some(&fill(base)));
    Ok(elapsed)
}

/// From the worker that has it to the one that needs it, from the client's point of view.
pub(crate) async fn worker_to_worker(client: &Client, base: i64, size: u64) -> Result<Duration> {
    let here = client.options().pure(false).workers(["0"]);
    let future = here.submit(bytes, (length_of(size), fill(base)));
    here.submit(length, &future).result().await?;
    let start = Instant::now();
    let there = client.options().pure(false).workers(["1"]);
    let found = there.submit(length, &future).result().await?;
    let elapsed = start.elapsed();
    assert_eq!(found, length_of(size));
    Ok(elapsed)
}

fn length_of(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Another value in each run.
fn fill(base: i64) -> u8 {
    (base >> 40).to_le_bytes()[0]
}
