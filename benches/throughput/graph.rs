//! Graphs of tiny tasks: what is measured is the cost of having tasks at all. The results are
//! checked, since a wrong one would be quick.

use std::ops::Range;
use std::time::{Duration, Instant};

use dask_client::{Client, Future, Result, wait};
use rig::process::memory as memory_of;

use crate::cluster::Cluster;
use crate::{add, compute, inc, nth, sum};

pub(crate) async fn map(client: &Client, base: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let futures: Vec<Future<i64>> = client.map(inc, base..base + tasks);
    let values = client.gather(&futures).await?;
    let elapsed = start.elapsed();
    assert!(values.into_iter().eq(base + 1..=base + tasks), "the results are right");
    Ok(elapsed)
}

/// Tasks that compute for a while, which is what processors should be busy with.
pub(crate) async fn work(client: &Client, base: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let futures: Vec<Future<i64>> = client.map(compute, base..base + tasks);
    let values = client.gather(&futures).await?;
    let elapsed = start.elapsed();
    assert_eq!(values.last(), Some(&compute(base + tasks - 1)), "the results are right");
    Ok(elapsed)
}

/// A leaf for each number, then sums of two until one is left.
pub(crate) async fn tree(client: &Client, base: i64, leaves: i64) -> Result<Duration> {
    let start = Instant::now();
    let mut level: Vec<Future<i64>> = client.map(inc, base..base + leaves);
    while level.len() > 1 {
        level = client.map(add, level.chunks(2).map(|pair| (&pair[0], &pair[1])));
    }
    let total = level[0].result().await?;
    let elapsed = start.elapsed();
    assert_eq!(total, (base + 1..=base + leaves).sum::<i64>(), "the result is right");
    Ok(elapsed)
}

pub(crate) async fn chain(client: &Client, base: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let mut last = client.submit(inc, base);
    for _ in 1..tasks {
        last = client.submit(inc, &last);
    }
    let value = last.result().await?;
    let elapsed = start.elapsed();
    assert_eq!(value, base + tasks, "the result is right");
    Ok(elapsed)
}

pub(crate) async fn many_to_one(client: &Client, base: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let futures: Vec<Future<i64>> = client.map(inc, base..base + tasks);
    let total = client.submit(sum, &futures).result().await?;
    let elapsed = start.elapsed();
    assert_eq!(total, (base + 1..=base + tasks).sum::<i64>(), "the result is right");
    Ok(elapsed)
}

pub(crate) async fn one_to_many(client: &Client, base: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let one = client.submit(inc, base);
    let futures: Vec<Future<i64>> = client.map(nth, (0..tasks).map(|n: i64| (&one, n)));
    let values = client.gather(&futures).await?;
    let elapsed = start.elapsed();
    assert!(values.into_iter().eq(base + 1..=base + tasks), "the results are right");
    Ok(elapsed)
}

/// The time of each, with a pause after it.
pub(crate) async fn round_trips(
    client: &Client,
    numbers: Range<i64>,
    pause: Duration,
) -> Result<Vec<Duration>> {
    let mut each = Vec::new();
    for i in numbers {
        let start = Instant::now();
        client.submit(inc, i).result().await?;
        each.push(start.elapsed());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(each)
}

/// Bytes by which the scheduler grows for each task whose result is held.
pub(crate) async fn memory(cluster: &Cluster, base: i64, tasks: i64) -> Result<f64> {
    let before = memory_of(cluster.scheduler.id())?;
    let futures: Vec<Future<i64>> = cluster.client.map(inc, base..base + tasks);
    wait(&futures).await?;
    let after = memory_of(cluster.scheduler.id())?;
    Ok(after.saturating_sub(before) as f64 / tasks as f64)
}
