//! Calls of every kind: many, nested, large, async.

use std::collections::BTreeMap;

use dask_client::Future;
use support::cluster::{Cluster, TWO_WORKERS};
use support::tasks::{
    add, answer, concat, count_words, inc, later, noise, parse, range, repeat, sum, weigh,
};

on_every_transport! {
    TWO_WORKERS:
    ten_thousand_calls_come_back_in_order,
    a_tree_of_a_thousand_leaves_adds_up,
    arguments_are_values_and_futures_in_any_mixture,
    values_of_many_types_travel,
    a_map_over_tuples_calls_a_function_of_several_parameters,
    a_map_in_small_batches_is_the_same_map,
    async_tasks_run,
    large_values_travel_as_results_and_arguments_and_between_workers,
    a_future_of_another_client_is_an_argument,
    tasks_run_at_the_same_time_on_different_workers,
    a_long_chain_is_computed,
}

async fn ten_thousand_calls_come_back_in_order(cluster: &Cluster) {
    let futures = cluster.client.map(inc, 0..10_000);
    let values = cluster.client.gather(&futures).await.unwrap();
    assert_eq!(values, (1..=10_000).collect::<Vec<_>>());
    assert_eq!(cluster.finished("inc").await, 10_000);
}

async fn a_tree_of_a_thousand_leaves_adds_up(cluster: &Cluster) {
    let mut level = cluster.client.map(inc, 0..1 << 10);
    while level.len() > 1 {
        let pairs = level.chunks(2).map(|pair| (&pair[0], &pair[1]));
        level = cluster.client.map(add, pairs);
    }
    assert_eq!(level[0].result().await.unwrap(), (1 << 10) * 1025 / 2);
    assert_eq!(cluster.finished("add").await, 1023);
}

async fn arguments_are_values_and_futures_in_any_mixture(cluster: &Cluster) {
    let client = &cluster.client;
    let one = client.submit(inc, 0);
    let two = client.submit(add, (&one, &one));
    let three = client.submit(add, (1, &two));
    let numbers = [one, two, three];
    assert_eq!(client.submit(sum, &numbers).await.unwrap(), 6);
    assert_eq!(client.submit(sum, numbers.to_vec()).await.unwrap(), 6);
    assert_eq!(client.submit(sum, [1, 2, 3].as_slice()).await.unwrap(), 6);
    assert_eq!(client.submit(sum, Vec::<i64>::new()).await.unwrap(), 0);
    // A list that is itself a result, and a list of such lists.
    let list = client.submit(range, 4);
    assert_eq!(client.submit(sum, &list).await.unwrap(), 6);
    let nested = client.submit(concat, [&list, &list, &client.submit(range, 2)]);
    assert_eq!(nested.await.unwrap(), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
    assert_eq!(client.submit(answer, ()).await.unwrap(), 42);
}

async fn values_of_many_types_travel(cluster: &Cluster) {
    let client = &cluster.client;
    let text: Future<String> = client.submit(repeat, ("red blue ", 2_usize));
    let words = client.submit(count_words, &text);
    let expected = BTreeMap::from([("blue".to_owned(), 2), ("red".to_owned(), 2)]);
    assert_eq!(words.result().await.unwrap(), expected);
    assert_eq!(words.type_name(), "BTreeMap<String, u64>");
    assert_eq!(text.await.unwrap(), "red blue red blue ");
    assert_eq!(client.submit(parse, "-0.5").await.unwrap(), -0.5);
}

async fn a_map_over_tuples_calls_a_function_of_several_parameters(cluster: &Cluster) {
    let (xs, ys) = ([1, 2, 3], [10, 20, 30]);
    let sums = cluster.client.map(add, xs.iter().zip(&ys));
    assert_eq!(cluster.client.gather(sums).await.unwrap(), [11, 22, 33].to_vec());
}

async fn a_map_in_small_batches_is_the_same_map(cluster: &Cluster) {
    let client = &cluster.client;
    let batched = client.options().batch_size(7).map(inc, 0..100);
    let whole = client.map(inc, 0..100);
    assert_eq!(batched, whole);
    let values = client.gather(batched).await.unwrap();
    assert_eq!(values, (1..=100).collect::<Vec<_>>());
    assert_eq!(cluster.finished("inc").await, 100);
}

async fn async_tasks_run(cluster: &Cluster) {
    let futures = cluster.client.map(later, 0..20);
    let total = cluster.client.submit(sum, &futures);
    assert_eq!(total.await.unwrap(), 210);
}

async fn large_values_travel_as_results_and_arguments_and_between_workers(cluster: &Cluster) {
    const BYTES: usize = 20 << 20;
    let client = &cluster.client;
    let workers = cluster.workers().await;
    let on = |worker: usize| client.options().workers([workers[worker].as_str()]);

    let made = on(0).submit(noise, (BYTES, 1));
    let expected = noise(BYTES, 1);
    let weight = weigh(&expected);
    // From one worker to the other, and from there here.
    let moved = on(1).submit(weigh, &made);
    assert_eq!(moved.await.unwrap(), weight);
    assert!(made.result().await.unwrap() == expected);
    // From here as an argument of a call.
    let sent = client.submit(weigh, &expected);
    assert_eq!(sent.await.unwrap(), weight);
}

async fn a_future_of_another_client_is_an_argument(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let x = cluster.client.submit(inc, 1);
    // Nothing orders what two clients say, so the scheduler has to have heard of it.
    x.wait().await;
    let y = other.submit(inc, &x);
    assert_eq!(y.result().await.unwrap(), 3);
    assert_eq!(other.gather((&x, &y)).await.unwrap(), (2, 3));
    other.close().await.unwrap();
}

async fn tasks_run_at_the_same_time_on_different_workers(cluster: &Cluster) {
    use support::stage::{Stage, perform};
    let stage = Stage::new().await;
    let calls = ["a", "b"].map(|name| (stage.address(), name));
    let futures = cluster.client.map(perform, calls);
    // Neither ends before both have started.
    let (one, other) = (stage.entrance().await, stage.entrance().await);
    let processing = cluster.client.processing().await.unwrap();
    assert!(processing.values().all(|keys| keys.len() == 1), "{processing:?}");
    one.give(1).await;
    other.give(1).await;
    assert_eq!(cluster.client.gather(futures).await.unwrap(), [1, 1]);
}

async fn a_long_chain_is_computed(cluster: &Cluster) {
    let mut last = cluster.client.submit(inc, 0);
    for _ in 1..500 {
        last = cluster.client.submit(inc, last);
    }
    assert_eq!(last.await.unwrap(), 500);
}
