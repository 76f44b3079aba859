//! Waiting for futures, and taking them as they come.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::Duration;

use dask_client::{Future, as_completed, wait};
use futures_core::Stream;
use support::cluster::{Cluster, TWO_WORKERS};
use support::fault_tasks::panics;
use support::stage::{Stage, perform};
use support::tasks::inc;

on_every_transport! {
    TWO_WORKERS:
    a_wait_ends_when_all_are_done,
    a_wait_for_the_first_ends_with_the_first,
    a_wait_ends_when_its_time_is_up,
    a_wait_for_a_cancelled_future_is_an_error,
    futures_come_out_as_they_are_done,
    futures_are_added_while_others_come_out,
    futures_come_out_in_batches,
    failed_and_cancelled_futures_come_out_too,
    results_come_out_with_their_futures,
    results_and_batches_are_streams,
    futures_that_are_cleared_do_not_come_out,
}

async fn a_wait_ends_when_all_are_done(cluster: &Cluster) {
    let client = &cluster.client;
    let mut futures = client.map(inc, 0..20);
    futures.push(client.submit(panics, "done is done"));
    let waited = wait(&futures).await.unwrap();
    assert_eq!((waited.done.len(), waited.not_done.len()), (21, 0));
    assert!(futures.iter().all(Future::done));
    let nothing: Vec<Future<i64>> = Vec::new();
    assert!(wait(&nothing).await.unwrap().done.is_empty());
}

async fn a_wait_for_the_first_ends_with_the_first(cluster: &Cluster) {
    let stage = Stage::new().await;
    let calls = ["a", "b"].map(|name| (stage.address(), name));
    let futures = cluster.client.map(perform, calls);
    let (one, other) = (stage.entrance().await, stage.entrance().await);
    let first = usize::from(one.name == "b");
    one.give(1).await;
    let waited = wait(&futures).first_completed().await.unwrap();
    assert_eq!(waited.done, [futures[first].clone()]);
    assert_eq!(waited.not_done, [futures[1 - first].clone()]);
    other.give(1).await;
    let waited = wait(&futures).all_completed().await.unwrap();
    assert_eq!(waited.done.len(), 2);
}

async fn a_wait_ends_when_its_time_is_up(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let short = Duration::from_millis(1);
    let error = wait(&future).timeout(short).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let first = wait(&future).first_completed().timeout(short);
    assert!(first.await.unwrap_err().is_timeout());
    performer.give(1).await;
    let long = Duration::from_secs(60);
    wait(&future).timeout(long).await.unwrap();
}

async fn a_wait_for_a_cancelled_future_is_an_error(cluster: &Cluster) {
    let future = cluster.client.submit(inc, 1);
    let other = cluster.client.submit(inc, 2);
    other.wait().await;
    future.cancel().await.unwrap();
    let error = wait([&other, &future]).await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

async fn futures_come_out_as_they_are_done(cluster: &Cluster) {
    let stage = Stage::new().await;
    let calls = ["a", "b"].map(|name| (stage.address(), name));
    let mut done = as_completed(cluster.client.map(perform, calls));
    assert_eq!(done.count(), 2);
    let (one, other) = (stage.entrance().await, stage.entrance().await);
    other.give(20).await;
    assert_eq!(done.next().await.unwrap().await.unwrap(), 20);
    one.give(10).await;
    assert_eq!(done.next().await.unwrap().await.unwrap(), 10);
    assert!(done.is_empty());
    assert!(done.next().await.is_none());
}

async fn futures_are_added_while_others_come_out(cluster: &Cluster) {
    let client = &cluster.client;
    let mut done = as_completed(client.map(inc, [0, 100]));
    let mut values = HashSet::new();
    while let Some(future) = done.next().await {
        let value = future.result().await.unwrap();
        values.insert(value);
        if value % 100 < 5 {
            done.add(client.submit(inc, &future));
        }
    }
    assert_eq!(values, (1..=5).chain(101..=105).collect());
}

async fn futures_come_out_in_batches(cluster: &Cluster) {
    let futures = cluster.client.map(inc, 0..50);
    wait(&futures).await.unwrap();
    let mut done = as_completed(&futures);
    // All of them are done by now.
    let batch = done.next_batch().await.unwrap();
    assert_eq!(batch.len(), 50);
    assert!(done.next_batch().await.is_none());

    let stage = Stage::new().await;
    let slow = cluster.client.submit(perform, (stage.address(), "slow"));
    let performer = stage.entrance().await;
    done.add(&futures[..2]);
    done.add(&slow);
    assert_eq!(done.next_batch().await.unwrap(), futures[..2]);
    performer.give(1).await;
    assert_eq!(done.next_batch().await.unwrap(), [slow]);
    done.add(&futures);
    done.clear();
    assert!(done.next().await.is_none());
}

async fn failed_and_cancelled_futures_come_out_too(cluster: &Cluster) {
    let failed = cluster.client.submit(panics, "done is done");
    let cancelled = cluster.client.submit(inc, 1);
    cancelled.cancel().await.unwrap();
    let mut done = as_completed([&failed, &cancelled]);
    let mut came = HashSet::new();
    while let Some(future) = done.next().await {
        came.insert(future.status().to_string());
    }
    let expected = ["error", "cancelled"].map(str::to_owned);
    assert_eq!(came, HashSet::from(expected));
}

async fn results_come_out_with_their_futures(cluster: &Cluster) {
    let failed = cluster.client.submit(panics, "no result");
    let mut done = as_completed(cluster.client.map(inc, 0..10));
    done.add(&failed);
    let mut sum = 0;
    while let Some((future, result)) = done.next_with_result().await {
        match result {
            Ok(value) => sum += value,
            Err(error) => assert_eq!((future.key(), error.is_task_error()), (failed.key(), true)),
        }
    }
    assert_eq!(sum, (1..=10).sum::<i64>());
    done.add(cluster.client.submit(inc, 1));
    done.clear();
    assert!(done.next_with_result().await.is_none());
}

async fn results_and_batches_are_streams(cluster: &Cluster) {
    let client = &cluster.client;
    let mut done = as_completed(client.map(inc, 0..10)).with_results();
    done.add(&client.submit(panics, "no result"));
    assert_eq!(format!("{done:?}"), "<11 futures with their results>");
    let (mut sum, mut failed) = (0, 0);
    while let Some((future, result)) =
        std::future::poll_fn(|c| Pin::new(&mut done).poll_next(c)).await
    {
        assert!(future.done());
        sum += result.unwrap_or_else(|_| {
            failed += 1;
            0
        });
    }
    assert_eq!((sum, failed), ((1..=10).sum::<i64>(), 1));
    done.add(client.submit(inc, 1));
    assert_eq!(done.next().await.unwrap().1.unwrap(), 2);
    assert!(done.next().await.is_none());

    let futures = client.map(inc, 0..10);
    wait(&futures).await.unwrap();
    let mut batches = as_completed(&futures).batches();
    assert_eq!(batches.next().await.unwrap().len(), 10);
    batches.add(&futures[..2]);
    let batch = std::future::poll_fn(|c| Pin::new(&mut batches).poll_next(c)).await;
    assert_eq!(batch.unwrap(), futures[..2]);
    assert!(batches.next().await.is_none());
}

async fn futures_that_are_cleared_do_not_come_out(cluster: &Cluster) {
    let client = &cluster.client;
    let futures = client.map(inc, 0..3);
    wait(&futures).await.unwrap();
    let mut done = as_completed(&futures);
    assert!(done.has_ready());
    done.clear();
    assert!(done.is_empty() && !done.has_ready());
    done.add(client.submit(inc, 3));
    assert_eq!(done.next().await.unwrap().await.unwrap(), 4);
}
