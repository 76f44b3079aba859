//! An executor in the manner of `concurrent.futures`.

use dask_client::blocking;
use support::cluster::{Cluster, TWO_WORKERS, within};
use support::fault_tasks::panics;
use support::stage::{Stage, linger, perform};
use support::tasks::inc;

on_every_transport! {
    TWO_WORKERS:
    an_executor_calls_and_maps,
    a_shutdown_waits_for_what_was_submitted,
    a_shutdown_cancels_what_is_not_done_if_told_to,
}

async fn an_executor_calls_and_maps(cluster: &Cluster) {
    let executor = cluster.client.get_executor();
    let (one, two) = (executor.submit(inc, 1), executor.submit(inc, 1));
    assert_ne!(one.key(), two.key());
    let pure = executor.clone().pure(true);
    assert_eq!(pure.submit(inc, 1).key(), pure.submit(inc, 1).key());
    assert_eq!(executor.map(inc, 0..100).await.unwrap(), (1..=100).collect::<Vec<_>>());
    assert!(executor.map(panics, ["once"]).await.unwrap_err().is_task_error());
    assert_eq!((one.await.unwrap(), two.await.unwrap()), (2, 2));
}

async fn a_shutdown_waits_for_what_was_submitted(cluster: &Cluster) {
    let executor = cluster.client.get_executor();
    let stage = Stage::new().await;
    let future = executor.submit(perform, (stage.address(), "last"));
    let performer = stage.entrance().await;
    let shutdown = {
        let executor = executor.clone();
        tokio::spawn(async move { executor.shutdown().await })
    };
    tokio::task::yield_now().await;
    assert!(!shutdown.is_finished() && !future.done());
    performer.give(3).await;
    within("the shutdown", shutdown).await.unwrap();
    assert!(future.done());
    assert!(executor.submit(inc, 1).await.unwrap_err().is_cancelled());
    let error = executor.map(inc, [1]).await.unwrap_err();
    assert!(error.to_string().contains("the executor was shut down"), "{error}");
    assert_eq!(cluster.client.submit(inc, 1).await.unwrap(), 2);
}

async fn a_shutdown_cancels_what_is_not_done_if_told_to(cluster: &Cluster) {
    let executor = cluster.client.get_executor();
    let stage = Stage::new().await;
    let done = executor.submit(inc, 1);
    done.wait().await;
    let future = executor.submit(linger, (stage.address(), "lingering"));
    let performer = stage.entrance().await;
    executor.shutdown_now().await.unwrap();
    performer.cancelled().await;
    assert!(future.await.unwrap_err().is_cancelled());
    assert_eq!(done.await.unwrap(), 2);
}

#[test]
fn an_executor_blocks_where_its_client_does() {
    let client = blocking::Client::local().unwrap();
    let executor = client.get_executor().pure(true);
    let future = executor.submit(inc, 1);
    assert_eq!(executor.map(inc, 0..3).unwrap(), [1, 2, 3]);
    executor.shutdown();
    assert_eq!(future.result().unwrap(), 2);
    executor.shutdown_now().unwrap();
    assert!(executor.submit(inc, 2).result().unwrap_err().is_cancelled());
    client.close().unwrap();
}
