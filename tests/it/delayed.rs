//! Calls that are made when somebody computes them, and raw graphs.

use dask_client::{Delayed, Future, Graph, Skip, TaskErrorKind, delayed, wait};
use support::cluster::{Cluster, TWO_WORKERS};
use support::fault_tasks::panics;
use support::tasks::{add, inc, repeat, sum};

on_every_transport! {
    TWO_WORKERS:
    a_delayed_graph_is_computed,
    a_shared_part_is_computed_once,
    what_several_collections_share_is_computed_once,
    several_collections_are_persisted_together,
    what_is_persisted_stays_on_the_cluster,
    delayed_calls_and_futures_mix,
    a_delayed_failure_names_the_call_that_failed,
    a_long_delayed_chain_is_computed,
    the_keys_of_a_raw_graph_are_computed,
    only_what_the_keys_need_is_computed,
    a_raw_graph_with_a_cycle_is_refused,
    a_key_that_the_graph_does_not_have_is_refused,
    a_key_that_the_graph_does_not_have_may_be_on_the_cluster,
    a_raw_graph_that_says_something_else_for_a_key_fails,
}

async fn a_delayed_graph_is_computed(cluster: &Cluster) {
    let a = delayed(inc, 1);
    let b = delayed(inc, 2);
    let c: Delayed<i64> = delayed(add, (&a, &b));
    assert_eq!(format!("{c:?}"), format!("Delayed({})", c.key()));
    assert_ne!(a.key(), delayed(inc, 1).key());
    let future: Future<i64> = cluster.client.compute(&c);
    assert_eq!(future.key(), c.key());
    assert_eq!(future.await.unwrap(), 5);
    let list: Vec<_> = (0..10).map(|x| delayed(inc, x)).collect();
    let total = delayed(sum, &list);
    assert_eq!(cluster.client.compute(&total).await.unwrap(), 55);
}

async fn a_shared_part_is_computed_once(cluster: &Cluster) {
    let shared = delayed(inc, 1);
    let left = delayed(add, (&shared, 1));
    let right = delayed(add, (&shared, 2));
    let top = delayed(add, (&left, &right));
    assert_eq!(cluster.client.compute(&top).await.unwrap(), 7);
    assert_eq!(cluster.finished("inc").await, 1);
    assert_eq!(cluster.finished("add").await, 3);
}

async fn what_several_collections_share_is_computed_once(cluster: &Cluster) {
    let client = &cluster.client;
    let shared = delayed(inc, 1);
    let list: Vec<_> = (0..10).map(|x| delayed(add, (&shared, x))).collect();
    let futures: Vec<Future<i64>> = client.compute(&list);
    assert_eq!(futures[3].key(), list[3].key());
    assert_eq!(client.gather(&futures).await.unwrap(), (2..12).collect::<Vec<_>>());
    assert_eq!(cluster.finished("inc").await, 1);
    drop(futures);

    let word = delayed(repeat, ("ab", 2));
    let (number, words, all) = client.compute((&shared, &[word.clone(), word], &list[..2]));
    let values = client.gather((&number, &words, &all)).await.unwrap();
    assert_eq!(values, (2, vec!["abab".to_owned(), "abab".to_owned()], vec![2, 3]));
    // What is on the cluster already, and what cannot be computed, go with the rest.
    let kept = client.persist(&shared);
    let bad = delayed(panics, "one of three");
    let three = client.compute(&[kept.clone(), bad, delayed(inc, &kept)]);
    assert_eq!(client.gather(&three).errors(Skip).await.unwrap(), [2, 3]);
    assert!(three[1].result().await.unwrap_err().is_task_error());
    let none: Vec<Delayed<i64>> = Vec::new();
    assert!(client.compute(&none).is_empty());
}

async fn several_collections_are_persisted_together(cluster: &Cluster) {
    let client = &cluster.client;
    let shared = delayed(inc, 1);
    let pair = [delayed(add, (&shared, 1)), delayed(add, (&shared, 2))];
    let (kept, one) = client.persist((&pair, &shared));
    assert_eq!((kept.len(), kept[1].key(), one.key()), (2, pair[1].key(), shared.key()));
    let values = client.compute((&kept, &one));
    assert_eq!(client.gather(values).await.unwrap(), (vec![3, 4], 2));
    assert_eq!((cluster.finished("inc").await, cluster.finished("add").await), (1, 2));
}

async fn what_is_persisted_stays_on_the_cluster(cluster: &Cluster) {
    let client = &cluster.client;
    let base = client.persist(&delayed(inc, 1));
    let top = delayed(add, (&base, 10));
    assert_eq!(client.compute(&base).await.unwrap(), 2);
    assert_eq!(client.compute(&top).await.unwrap(), 12);
    assert_eq!(client.compute(&base).await.unwrap(), 2);
    assert_eq!(cluster.finished("inc").await, 1);
    let key = base.key().clone();
    let held = client.has_what().await.unwrap();
    assert!(held.into_values().flatten().any(|held| held == key));
    drop((base, top));
    cluster.forgotten(&[key]).await;
}

async fn delayed_calls_and_futures_mix(cluster: &Cluster) {
    let client = &cluster.client;
    let future = client.submit(inc, 1);
    let on_future = delayed(add, (&future, delayed(inc, 9)));
    assert_eq!(client.compute(&on_future).await.unwrap(), 12);
    // A delayed call is an argument of an ordinary one.
    let called = client.submit(add, (&on_future, &future));
    assert_eq!(called.await.unwrap(), 14);
}

async fn a_delayed_failure_names_the_call_that_failed(cluster: &Cluster) {
    let bad = delayed(panics, "in the middle");
    let top = delayed(add, (&bad, delayed(inc, 1)));
    let error = cluster.client.compute(&top).await.unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!((&error.key, error.message.as_str()), (bad.key(), "in the middle"));
}

async fn a_long_delayed_chain_is_computed(cluster: &Cluster) {
    let mut last = delayed(inc, 0);
    for _ in 1..1000 {
        last = delayed(inc, last);
    }
    assert_eq!(cluster.client.compute(&last).await.unwrap(), 1000);
}

fn graph() -> Graph {
    let mut graph = Graph::new();
    let x = graph.insert("x", inc, 1).unwrap();
    let later = Graph::key::<i64>("y").unwrap();
    graph.insert("total", add, (&x, later)).unwrap();
    graph.insert("y", inc, &x).unwrap();
    graph.insert("apart", inc, 100).unwrap();
    graph
}

async fn the_keys_of_a_raw_graph_are_computed(cluster: &Cluster) {
    let client = &cluster.client;
    let values: Vec<i64> = client.get(&graph(), ["total", "x", "y"]).await.unwrap();
    assert_eq!(values, [5, 2, 3]);
    let none: Vec<i64> = client.get(&graph(), Vec::<String>::new()).await.unwrap();
    assert!(none.is_empty());
}

async fn only_what_the_keys_need_is_computed(cluster: &Cluster) {
    let client = &cluster.client;
    let values: Vec<i64> = client.get(&graph(), ["y"]).await.unwrap();
    assert_eq!(values, [3]);
    assert!(client.story("apart").await.unwrap().is_empty());
    assert!(client.story("total").await.unwrap().is_empty());
    assert!(!client.story("x").await.unwrap().is_empty());
}

async fn a_raw_graph_with_a_cycle_is_refused(cluster: &Cluster) {
    let mut graph = graph();
    let total = Graph::key::<i64>("total").unwrap();
    graph.insert("x", inc, total).unwrap();
    let error = cluster.client.get::<i64, _>(&graph, ["y"]).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("the graph depends on itself"), "{text}");
    assert!(text.contains("x -> ") && text.contains("total"), "{text}");
    // Where the cycle is not needed it does no harm.
    let apart: Vec<i64> = cluster.client.get(&graph, ["apart"]).await.unwrap();
    assert_eq!(apart, [101]);
}

async fn a_key_that_the_graph_does_not_have_is_refused(cluster: &Cluster) {
    let client = &cluster.client;
    let error = client.get::<i64, _>(&graph(), ["z"]).await.unwrap_err();
    assert!(error.to_string().starts_with("z has no task"), "{error}");
    let mut graph = graph();
    let missing = Graph::key::<i64>("missing").unwrap();
    graph.insert("w", inc, &missing).unwrap();
    let error = client.get::<i64, _>(&graph, ["w"]).await.unwrap_err();
    assert!(error.to_string().contains("it depends on a cancelled future: key"), "{error}");
    let error = client.compute(&delayed(inc, missing)).await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let apart: Vec<i64> = client.get(&graph, ["apart"]).await.unwrap();
    assert_eq!(apart, [101]);
}

async fn a_key_that_the_graph_does_not_have_may_be_on_the_cluster(cluster: &Cluster) {
    let client = &cluster.client;
    let there = client.options().key("there").submit(inc, 1);
    let reference = Graph::key::<i64>("there").unwrap();
    let mut graph = Graph::new();
    graph.insert("on it", inc, &reference).unwrap();
    let values: Vec<i64> = client.get(&graph, ["on it"]).await.unwrap();
    assert_eq!(values, [3]);
    let twice = delayed(add, (&reference, &reference));
    assert_eq!(client.compute(&twice).await.unwrap(), 4);
    assert_eq!(there.await.unwrap(), 2);
}

async fn a_raw_graph_that_says_something_else_for_a_key_fails(cluster: &Cluster) {
    let client = &cluster.client;
    let taken = client.options().key("x").submit(inc, 50);
    wait(&taken).await.unwrap();
    let error = client.get::<i64, _>(&graph(), ["x"]).await.unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!(error.kind, TaskErrorKind::KeyCollision);
    assert_eq!(taken.await.unwrap(), 51);
}
