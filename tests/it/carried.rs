//! Futures and actors that are moved into values: they live as long as what the values are for.

use std::future::IntoFuture;

use dask_client::{Actor, Future, Graph, Variable, delayed, fire_and_forget};
use support::actor_tasks::{Counter, count};
use support::cluster::{Cluster, ONE_THREAD, eventually, within};
use support::running_tasks::{Parts, pass_on, sum_parts};
use support::stage::{Stage, perform};
use support::tasks::inc;

on_every_transport! {
    ONE_THREAD:
    futures_moved_into_arguments_are_there_in_the_task,
    futures_moved_into_delayed_calls_and_graphs_are_there_in_the_task,
    futures_moved_into_scattered_data_live_as_long_as_it,
    futures_that_a_task_returns_are_there_for_other_tasks,
    actors_moved_into_arguments_are_there_in_the_task,
    what_is_carried_outlives_the_future_of_the_task_where_others_want_it,
    what_is_carried_is_let_go_of_with_the_task,
    futures_moved_into_a_call_on_workers_are_there_in_the_call,
}

fn parts(parts: impl IntoIterator<Item = Future<i64>>) -> Parts {
    Parts { name: "parts".to_owned(), parts: parts.into_iter().collect() }
}

async fn futures_moved_into_arguments_are_there_in_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let of = parts([client.submit(inc, 1), client.submit(inc, 2)]);
    assert_eq!(within("the sum", client.submit(sum_parts, (of, 10)).result()).await.unwrap(), 15);
    let impure = client.options().pure(false);
    let of = (0..50).map(|i| (parts([impure.submit(inc, i)]), i));
    let sums = client.map(sum_parts, of.collect::<Vec<_>>());
    let expected: Vec<i64> = (0..50).map(|i| 2 * i + 1).collect();
    assert_eq!(within("the sums", client.gather(&sums).into_future()).await.unwrap(), expected);
    // One that fails says so in the task.
    let lost = client.submit(inc, 7);
    lost.cancel().await.unwrap();
    let error = client.submit(sum_parts, (parts([lost]), 0)).await.unwrap_err();
    assert!(error.is_task_error(), "{error}");
}

async fn futures_moved_into_delayed_calls_and_graphs_are_there_in_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let call = delayed(sum_parts, (parts([client.submit(inc, 1)]), delayed(inc, 2)));
    let sum = client.compute(&call);
    drop(call);
    assert_eq!(within("the call", sum.result()).await.unwrap(), 5);
    let mut graph = Graph::new();
    graph.insert("sum", sum_parts, (parts([client.submit(inc, 5)]), 1)).unwrap();
    let sums = client.get::<i64, _>(&graph, ["sum"]);
    assert_eq!(within("the graph", sums).await.unwrap(), [7]);
}

async fn futures_moved_into_scattered_data_live_as_long_as_it(cluster: &Cluster) {
    let client = &cluster.client;
    let inner = client.submit(inc, 1);
    let key = inner.key().clone();
    inner.wait().await;
    let data = client.scatter(parts([inner])).await.unwrap();
    for more in 0..3 {
        let sum = client.submit(sum_parts, (&data, more));
        assert_eq!(within("the sum", sum.result()).await.unwrap(), 2 + more);
    }
    drop(data);
    cluster.forgotten(&[key]).await;
}

async fn futures_that_a_task_returns_are_there_for_other_tasks(cluster: &Cluster) {
    let client = &cluster.client;
    let passed = client.submit(pass_on, (parts([client.submit(inc, 1)]), 0));
    let sum = client.submit(sum_parts, (&passed, 1));
    assert_eq!(within("the sum", sum.result()).await.unwrap(), 3);
    let again = client.submit(pass_on, (&passed, 1));
    drop(passed);
    let sum = client.submit(sum_parts, (&again, 2));
    assert_eq!(within("the sum", sum.result()).await.unwrap(), 4);
}

async fn actors_moved_into_arguments_are_there_in_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let counter = client.options().actor(true).submit(Counter::starting_at, 5);
    let last = client.submit(count, (counter, 3));
    assert_eq!(within("the count", last.result()).await.unwrap(), 8);
    let counters = [1, 2].map(|n| client.options().actor(true).submit(Counter::starting_at, n));
    let counted = client.map(count, counters.map(|counter| (counter, 2)));
    assert_eq!(within("the counts", client.gather(&counted).into_future()).await.unwrap(), [3, 4]);
    let counter: Actor<Counter> = client.options().actor(true).submit(Counter::new, ());
    let call = delayed(count, (counter, 4));
    assert_eq!(within("the call", client.compute(&call).result()).await.unwrap(), 4);
}

/// Tasks that depend on it, other clients, and `fire_and_forget`.
async fn what_is_carried_outlives_the_future_of_the_task_where_others_want_it(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let gate = client.submit(perform, (stage.address(), "gate"));
    let performer = stage.entrance().await;
    let waiting = |i| client.submit(pass_on, (parts([client.submit(inc, i)]), &gate));
    let sum = client.submit(sum_parts, (waiting(1), 1));
    let other = cluster.another_client().await;
    Variable::new(client, "waiting").set(&waiting(2)).await.unwrap();
    let theirs: Future<Parts> = Variable::new(&other, "waiting").get().await.unwrap();
    let counter = client.options().actor(true).submit(Counter::new, ());
    fire_and_forget(client.submit(count, (counter.clone(), 5)));
    performer.give(0).await;
    assert_eq!(within("the sum", sum.result()).await.unwrap(), 3);
    let theirs = other.submit(sum_parts, (&theirs, 1));
    assert_eq!(within("their sum", theirs.result()).await.unwrap(), 4);
    eventually("the counter to be at 5", async || {
        (counter.add(0).await.unwrap() == 5).then_some(())
    })
    .await;
    other.close().await.unwrap();
}

async fn what_is_carried_is_let_go_of_with_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let inner = client.submit(inc, 1);
    let keys = [inner.key().clone()];
    let sum = client.submit(sum_parts, (parts([inner]), 1));
    assert_eq!(within("the sum", sum.result()).await.unwrap(), 3);
    let held = client.has_what().await.unwrap();
    assert!(held.into_values().flatten().any(|key| keys.contains(&key)));
    drop(sum);
    cluster.forgotten(&keys).await;
}

async fn futures_moved_into_a_call_on_workers_are_there_in_the_call(cluster: &Cluster) {
    let client = &cluster.client;
    let sums = client.run(sum_parts, (parts([client.submit(inc, 1)]), 1));
    let sums = within("the sum", sums.into_future()).await.unwrap();
    assert_eq!(sums.into_values().collect::<Vec<_>>(), [3]);
}
