//! Data to the workers.

use dask_client::{Address, Key, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually};
use support::tasks::{inc, noise, sum, weigh};

on_every_transport! {
    TWO_WORKERS:
    a_scattered_value_is_an_argument_and_a_result,
    values_are_spread_over_the_workers,
    a_broadcast_value_is_on_every_worker,
    the_same_value_has_the_same_key_unless_told_otherwise,
    values_go_to_the_workers_that_are_named,
    a_large_value_is_scattered_and_moved,
    a_scattered_value_goes_with_its_future,
    a_worker_that_is_not_there_is_refused,
}

async fn a_scattered_value_is_an_argument_and_a_result(cluster: &Cluster) {
    let client = &cluster.client;
    let x = client.scatter(5_i64).await.unwrap();
    assert!(x.done());
    assert_eq!(client.submit(inc, &x).await.unwrap(), 6);
    assert_eq!(x.result().await.unwrap(), 5);
    let list = client.scatter(vec![1_i64, 2, 3]).await.unwrap();
    assert_eq!(list.type_name(), "Vec<i64>");
    assert_eq!(client.submit(sum, &list).await.unwrap(), 6);
    let none = client.scatter_many(Vec::<i64>::new()).await.unwrap();
    assert!(none.is_empty());
}

async fn values_are_spread_over_the_workers(cluster: &Cluster) {
    let values: Vec<i64> = (0..10).collect();
    let futures = cluster.client.scatter_many(values.clone()).await.unwrap();
    assert_eq!(cluster.client.gather(&futures).await.unwrap(), values);
    assert_eq!(cluster.client.submit(sum, &futures).await.unwrap(), 45);
    let held = cluster.client.has_what().await.unwrap();
    assert_eq!(held.len(), 2);
    assert!(held.values().all(|keys| keys.len() >= 5), "{held:?}");
}

async fn a_broadcast_value_is_on_every_worker(cluster: &Cluster) {
    let options = cluster.client.options().broadcast(true);
    let futures = options.scatter_many([1_i64, 2, 3]).await.unwrap();
    let mut workers = cluster.workers().await;
    workers.sort();
    // Each worker tells the scheduler for itself, and one of them may be slower than the client.
    let everywhere = async || {
        let mut holders = cluster.client.who_has(&futures).await.unwrap();
        holders.values_mut().for_each(|holders| holders.sort());
        let all = holders.len() == 3 && holders.values().all(|holders| *holders == workers);
        all.then_some(())
    };
    eventually("the values to be everywhere", everywhere).await;
    assert_eq!(cluster.client.gather(&futures).await.unwrap(), [1, 2, 3]);
}

async fn the_same_value_has_the_same_key_unless_told_otherwise(cluster: &Cluster) {
    let client = &cluster.client;
    let one = client.scatter(7_i64).await.unwrap();
    let same = client.scatter(7_i64).await.unwrap();
    assert_eq!(one, same);
    assert!(one.key().as_str().starts_with("i64-"));
    let other = client.options().hash(false).scatter(7_i64).await.unwrap();
    assert_ne!(one, other);
    assert_eq!(client.gather([one, same, other]).await.unwrap(), [7, 7, 7]);
}

async fn values_go_to_the_workers_that_are_named(cluster: &Cluster) {
    let client = &cluster.client;
    let workers = cluster.workers().await;
    for (name, restriction) in [("1", "1"), ("0", workers[0].as_str())] {
        let options = client.options().workers([restriction]).hash(false);
        let futures = options.scatter_many([1_i64, 2, 3]).await.unwrap();
        let holders = client.who_has(&futures).await.unwrap();
        assert_eq!(holders.len(), 3);
        let index: usize = name.parse().unwrap();
        let there = |holders: &Vec<Address>| *holders == [workers[index].clone()];
        assert!(holders.values().all(there), "{restriction}: {holders:?}");
    }
}

async fn a_large_value_is_scattered_and_moved(cluster: &Cluster) {
    const BYTES: usize = 20 << 20;
    let client = &cluster.client;
    let value = noise(BYTES, 9);
    let weight = weigh(&value);
    let future = client.options().workers(["0"]).scatter(value).await.unwrap();
    let there = client.options().workers(["0"]).submit(weigh, &future);
    assert_eq!(there.await.unwrap(), weight);
    let elsewhere = client.options().workers(["1"]).pure(false);
    assert_eq!(elsewhere.submit(weigh, &future).await.unwrap(), weight);
    assert!(future.result().await.unwrap() == noise(BYTES, 9));
}

async fn a_scattered_value_goes_with_its_future(cluster: &Cluster) {
    let futures = cluster.client.scatter_many(0_i64..4).await.unwrap();
    wait(&futures).await.unwrap();
    let keys: Vec<Key> = futures.iter().map(|future| future.key().clone()).collect();
    drop(futures);
    cluster.forgotten(&keys).await;
}

async fn a_worker_that_is_not_there_is_refused(cluster: &Cluster) {
    let options = cluster.client.options().workers(["alice"]);
    let error = options.scatter(1_i64).await.unwrap_err();
    assert!(error.to_string().contains("no worker alice"), "{error}");
    let futures = cluster.client.scatter_many([1_i64, 2]).await.unwrap();
    assert_eq!(cluster.client.gather(futures).await.unwrap(), [1, 2]);
}
