//! The same call is the same task, unless somebody says otherwise.

use dask_client::TaskErrorKind;
use support::cluster::{Cluster, TWO_WORKERS};
use support::stage::{Stage, perform};
use support::tasks::{add, inc, process};

on_every_transport! {
    TWO_WORKERS:
    the_same_call_is_computed_once,
    a_call_that_runs_is_not_started_again,
    the_same_call_of_another_client_is_computed_once,
    an_impure_call_is_computed_each_time,
    a_key_of_ones_own_names_the_task,
    a_key_of_ones_own_is_the_start_of_the_keys_of_a_map,
    a_key_of_ones_own_stays_when_a_call_is_impure,
    a_key_stands_for_one_call_only,
}

async fn the_same_call_is_computed_once(cluster: &Cluster) {
    let client = &cluster.client;
    let first = client.submit(inc, 10);
    assert_eq!(first.result().await.unwrap(), 11);
    let again = client.submit(inc, 10);
    assert_eq!(first, again);
    let digits = first.key().as_str().trim_start_matches("inc-");
    assert_eq!(digits.len(), 32);
    assert!(digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(again.await.unwrap(), 11);
    assert_ne!(client.submit(inc, 11), first);
    // Arguments that are futures count by their keys.
    let one = client.submit(add, (&first, 1));
    let other = client.submit(add, (client.submit(inc, 10), 1));
    assert_eq!(one.key(), other.key());
    assert_eq!(client.gather((one, other)).await.unwrap(), (12, 12));
    assert_eq!(cluster.finished("add").await, 1);
}

async fn a_call_that_runs_is_not_started_again(cluster: &Cluster) {
    let stage = Stage::new().await;
    let first = cluster.client.submit(perform, (stage.address(), "once"));
    let performer = stage.entrance().await;
    let again = cluster.client.submit(perform, (stage.address(), "once"));
    // The scheduler has heard of the second call when it has answered what came behind it.
    cluster.client.scheduler_info().await.unwrap();
    performer.give(7).await;
    assert_eq!(cluster.client.gather([first, again]).await.unwrap(), [7, 7]);
    assert_eq!(cluster.finished("perform").await, 1);
}

async fn the_same_call_of_another_client_is_computed_once(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let here = cluster.client.submit(inc, 5);
    assert_eq!(here.result().await.unwrap(), 6);
    let there = other.submit(inc, 5);
    assert_eq!(there.result().await.unwrap(), 6);
    assert_eq!(here.key(), there.key());
    assert_eq!(cluster.finished("inc").await, 1);
    other.close().await.unwrap();
}

async fn an_impure_call_is_computed_each_time(cluster: &Cluster) {
    let impure = cluster.client.options().pure(false);
    let one = impure.submit(process, "the same");
    let other = impure.submit(process, "the same");
    assert_ne!(one.key(), other.key());
    assert!(one.key().as_str().starts_with("process-"));
    let uuid = one.key().as_str().trim_start_matches("process-").len();
    assert_eq!(uuid, 36);
    cluster.client.gather([&one, &other]).await.unwrap();
    assert_eq!(cluster.finished("process").await, 2);
}

async fn a_key_of_ones_own_names_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let future = client.options().key("my-key").submit(inc, 1);
    assert_eq!(future.key().as_str(), "my-key");
    assert_eq!(future.result().await.unwrap(), 2);
    let held = client.has_what().await.unwrap();
    let keys: Vec<_> = held.into_values().flatten().collect();
    assert_eq!(keys, [future.key().clone()]);
    // The same call under the same key is the same task.
    let again = client.options().key("my-key").submit(inc, 1);
    assert_eq!(again.await.unwrap(), 2);
}

async fn a_key_of_ones_own_is_the_start_of_the_keys_of_a_map(cluster: &Cluster) {
    let options = cluster.client.options().key("row");
    let futures = options.map(inc, 0..3);
    let named = |key: &str| key.starts_with("row-") && key.len() == 36;
    assert!(futures.iter().all(|future| named(future.key().as_str())));
    assert_eq!(cluster.client.gather(futures).await.unwrap(), [1, 2, 3]);
}

async fn a_key_of_ones_own_stays_when_a_call_is_impure(cluster: &Cluster) {
    let options = cluster.client.options();
    for options in [options.clone().key("mine").pure(false), options.pure(false).key("mine")] {
        assert_eq!(options.submit(inc, 1).key().as_str(), "mine");
        let futures = options.map(inc, [1, 1]);
        assert_ne!(futures[0].key(), futures[1].key());
        let named = |key: &str| key.starts_with("mine-");
        assert!(futures.iter().all(|future| named(future.key().as_str())));
        assert_eq!(cluster.client.gather(futures).await.unwrap(), [2, 2]);
    }
}

async fn a_key_stands_for_one_call_only(cluster: &Cluster) {
    let options = cluster.client.options().key("taken");
    let first = options.submit(inc, 1);
    assert_eq!(first.result().await.unwrap(), 2);
    for other in [options.submit(inc, 2), options.submit(add, (1, 1))] {
        let error = other.result().await.unwrap_err();
        let error = error.task_error().unwrap();
        assert_eq!(error.kind, TaskErrorKind::KeyCollision);
        assert!(error.to_string().contains("taken"), "{error}");
    }
    // What had the key first keeps it.
    assert_eq!(first.result().await.unwrap(), 2);
}
