//! Values back, in the nesting of their futures.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dask_client::{Errors, Future, Status};
use support::cluster::{Cluster, TWO_WORKERS};
use support::fault_tasks::panics;
use support::stage::{Stage, perform};
use support::tasks::{inc, noise, range};
use tokio::sync::oneshot;

on_every_transport! {
    TWO_WORKERS:
    futures_are_gathered_in_their_nesting,
    failures_are_skipped_in_lists_and_maps,
    a_future_is_gathered_as_often_as_it_is_named,
    large_values_are_gathered_from_all_workers,
    a_result_that_takes_too_long_is_a_timeout,
    a_future_tells_what_it_is,
    a_callback_is_called_when_it_is_done,
}

async fn futures_are_gathered_in_their_nesting(cluster: &Cluster) {
    let client = &cluster.client;
    let [a, b, c] = [1, 2, 3].map(|x| client.submit(inc, x));
    let list = client.submit(range, 3);
    assert_eq!(client.gather(&a).await.unwrap(), 2);
    assert_eq!(client.gather([&a, &b]).await.unwrap(), [2, 3]);
    assert_eq!(client.gather((&a, &list)).await.unwrap(), (2, vec![0, 1, 2]));
    let map = HashMap::from([("a", a.clone()), ("c", c.clone())]);
    let values = client.gather(&map).await.unwrap();
    assert_eq!(values, HashMap::from([("a", 2), ("c", 4)]));
    let nested = BTreeMap::from([(1, (vec![a.clone(), b], c)), (2, (vec![], a))]);
    let values = client.gather(nested).await.unwrap();
    assert_eq!(values, BTreeMap::from([(1, (vec![2, 3], 4)), (2, (vec![], 2))]));
    let nothing: Vec<Future<i64>> = Vec::new();
    assert!(client.gather(nothing).await.unwrap().is_empty());
}

async fn failures_are_skipped_in_lists_and_maps(cluster: &Cluster) {
    let client = &cluster.client;
    let good = client.submit(inc, 1);
    let bad = client.submit(panics, "skip me");
    let map =
        BTreeMap::from([("good", vec![good.clone(), bad.clone()]), ("bad", vec![bad.clone()])]);
    let values = client.gather(&map).errors(Errors::Skip).await.unwrap();
    assert_eq!(values, BTreeMap::from([("good", vec![2]), ("bad", Vec::new())]));
    let pairs = vec![(&good, &bad), (&good, &good)];
    let pairs = client.gather(pairs).errors(Errors::Skip).await.unwrap();
    assert_eq!(pairs, [(2, 2)]);
    let error = client.gather(&map).errors(Errors::Raise).await.unwrap_err();
    assert_eq!(error.task_error().unwrap().message, "skip me");
}

async fn a_future_is_gathered_as_often_as_it_is_named(cluster: &Cluster) {
    let future = cluster.client.submit(noise, (5000, 1));
    let values = cluster.client.gather(vec![&future; 50]).await.unwrap();
    assert_eq!(values, vec![noise(5000, 1); 50]);
    assert_eq!(cluster.finished("noise").await, 1);
}

async fn large_values_are_gathered_from_all_workers(cluster: &Cluster) {
    let calls = (0..16_u8).map(|start| (1 << 20, start));
    let futures = cluster.client.map(noise, calls);
    let values = cluster.client.gather(&futures).await.unwrap();
    for (start, value) in (0..16).zip(&values) {
        assert!(*value == noise(1 << 20, start), "{start}");
    }
}

async fn a_result_that_takes_too_long_is_a_timeout(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(perform, (stage.address(), "slow"));
    let performer = stage.entrance().await;
    let early = future.try_result(Duration::from_millis(1)).await;
    let error = early.unwrap_err();
    assert!(error.is_timeout() && !error.is_cancelled(), "{error}");
    assert!(error.to_string().contains("1ms"), "{error}");
    // It goes on.
    performer.give(1).await;
    let long = Duration::from_secs(60);
    assert_eq!(future.try_result(long).await.unwrap(), 1);
}

async fn a_future_tells_what_it_is(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let text = |status: &str| format!("<Future: {status}, type: i64, key: {}>", future.key());
    assert_eq!((future.status(), future.done()), (Status::Pending, false));
    assert_eq!(format!("{future:?}"), text("pending"));
    performer.give(1).await;
    future.wait().await;
    assert_eq!((future.status(), future.done()), (Status::Finished, true));
    assert_eq!(format!("{future:?}"), text("finished"));
    assert!(!future.cancelled());
    assert_eq!(future.exception().await.unwrap(), None);
    assert_eq!(future.traceback().await.unwrap(), None);

    let list = cluster.client.submit(range, 1);
    assert_eq!(list.type_name(), "Vec<i64>");
    let failed = cluster.client.submit(panics, "a");
    failed.wait().await;
    assert_eq!(failed.status().to_string(), "error");
    assert!(failed.done() && !failed.cancelled());
}

async fn a_callback_is_called_when_it_is_done(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let report = |future: &Future<i64>| {
        let (sender, receiver) = oneshot::channel();
        future.add_done_callback(|done| {
            let _ = sender.send((done.status(), done.key().clone()));
        });
        receiver
    };
    let mut before = report(&future);
    assert!(before.try_recv().is_err());
    performer.give(1).await;
    let expected = (Status::Finished, future.key().clone());
    assert_eq!(before.await.unwrap(), expected);
    // At once when it is done already.
    assert_eq!(report(&future).await.unwrap(), expected);
    let failed = cluster.client.submit(panics, "a");
    assert_eq!(report(&failed).await.unwrap().0, Status::Error);
}
