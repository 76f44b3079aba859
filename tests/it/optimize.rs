//! Graphs with fewer tasks, which do the same.

use dask_client::{Collection, Delayed, Graph, Key, Output, Result, delayed, optimize};
use support::cluster::{Cluster, TWO_WORKERS};
use support::fault_tasks::panics;
use support::tasks::{add, inc, repeat, sum};

on_every_transport! {
    TWO_WORKERS:
    a_chain_becomes_one_task,
    what_has_two_uses_stays_a_task,
    a_cheap_function_becomes_a_part_of_its_users,
    only_what_is_needed_is_kept,
    a_fused_task_depends_on_futures,
    a_failure_in_a_fused_task_names_the_function,
    a_collection_of_ones_own_is_optimized_its_own_way,
    what_was_optimized_twice_is_the_same,
}

fn keys(graph: &Graph) -> Vec<&str> {
    graph.keys().map(Key::as_str).collect()
}

async fn a_chain_becomes_one_task(cluster: &Cluster) {
    let chain = delayed(inc, delayed(inc, delayed(inc, 1)));
    let one = optimize(&chain).unwrap();
    assert_eq!(keys(&one.graph()), [chain.key().as_str()]);
    assert_eq!(cluster.client.compute(&one).await.unwrap(), 4);
    assert_eq!((cluster.finished("inc").await, cluster.finished("fused").await), (0, 1));
    // It is an argument like any other, and may itself be persisted.
    let kept = cluster.client.persist(&one);
    assert_eq!(cluster.client.compute(&delayed(add, (&kept, &one))).await.unwrap(), 8);
}

async fn what_has_two_uses_stays_a_task(cluster: &Cluster) {
    let shared = delayed(inc, delayed(inc, 1));
    let (left, right) = (delayed(inc, &shared), delayed(inc, &shared));
    let top = delayed(add, (&left, &right));
    let fewer = optimize(&top).unwrap();
    assert_eq!(fewer.graph().keys().count(), 4);
    assert_eq!(cluster.client.compute(&fewer).await.unwrap(), 8);
    assert_eq!((cluster.finished("inc").await, cluster.finished("fused").await), (2, 1));
    assert_eq!(cluster.finished("add").await, 1);
}

async fn a_cheap_function_becomes_a_part_of_its_users(cluster: &Cluster) {
    let mut graph = Graph::new();
    let x = graph.insert("x", inc, 1).unwrap();
    let y = graph.insert("y", inc, &x).unwrap();
    graph.insert("a", add, (&y, &x)).unwrap();
    graph.insert("b", add, (&y, 10)).unwrap();
    let inlined = graph.inline(["a", "b"], inc).unwrap();
    assert_eq!(keys(&inlined), ["a", "b"]);
    let results: Vec<i64> = cluster.client.get(&inlined, ["a", "b"]).await.unwrap();
    assert_eq!(results, [5, 13]);
    // What is asked for is kept.
    assert_eq!(keys(&graph.inline(["a", "b", "y"], inc).unwrap()), ["a", "b", "y"]);
}

async fn only_what_is_needed_is_kept(cluster: &Cluster) {
    let mut graph = Graph::new();
    let x = graph.insert("x", inc, 1).unwrap();
    graph.insert("y", inc, &x).unwrap();
    graph.insert("z", inc, &x).unwrap();
    let culled = graph.cull(["z"]).unwrap();
    assert_eq!(keys(&culled), ["x", "z"]);
    let results: Vec<i64> = cluster.client.get(&culled, ["z"]).await.unwrap();
    assert_eq!(results, [3]);
    graph.insert("x", inc, Graph::key::<i64>("z").unwrap()).unwrap();
    assert!(graph.cull(["z"]).is_err(), "z depends on itself");
}

async fn a_fused_task_depends_on_futures(cluster: &Cluster) {
    let (a, b) = (cluster.client.submit(inc, 1), cluster.client.submit(inc, 2));
    let list = delayed(sum, vec![&a, &b, &a]);
    let chain = delayed(add, (delayed(inc, list), &b));
    let one = optimize(&chain).unwrap();
    assert_eq!(keys(&one.graph()), [chain.key().as_str()]);
    assert_eq!(cluster.client.compute(&one).await.unwrap(), 11);
}

async fn a_failure_in_a_fused_task_names_the_function(cluster: &Cluster) {
    let chain = delayed(inc, delayed(panics, delayed(repeat, ("no", 2))));
    let one: Delayed<i64> = optimize(&chain).unwrap();
    let error = cluster.client.compute(&one).await.unwrap_err();
    let error = error.task_error().unwrap();
    assert!(error.function.ends_with("::panics"), "{}", error.function);
    assert_eq!((&error.key, error.message.as_str()), (chain.key(), "nono"));
    assert!(error.location.as_ref().unwrap().contains("fault_tasks.rs"));
}

/// Numbers that are added up.
struct Numbers(Vec<Delayed<i64>>);

impl Collection for Numbers {
    type Value = i64;

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        self.0.iter().for_each(|number| graph.extend(number.graph()));
        graph
    }

    fn outputs(&self) -> Vec<Key> {
        self.0.iter().map(|number| number.key().clone()).collect()
    }

    fn rebuild(&self, outputs: Vec<Output>) -> Self {
        Self(outputs.into_iter().map(Output::delayed).collect())
    }

    fn finish(&self) -> Delayed<i64> {
        delayed(sum, &self.0)
    }

    fn optimized_graph(&self) -> Result<Option<Graph>> {
        self.graph().inline(self.outputs(), inc).map(Some)
    }
}

async fn a_collection_of_ones_own_is_optimized_its_own_way(cluster: &Cluster) {
    let shared = delayed(inc, 1);
    let numbers = Numbers((0..3).map(|x| delayed(add, (&shared, x))).collect());
    assert_eq!(numbers.graph().keys().count(), 4);
    let fewer = optimize(&numbers).unwrap();
    assert_eq!(fewer.outputs(), numbers.outputs());
    assert_eq!(fewer.graph().keys().count(), 3);
    assert_eq!(cluster.client.compute(&fewer).await.unwrap(), 9);
    let kept = cluster.client.persist(&fewer);
    assert_eq!(cluster.client.compute(&kept).await.unwrap(), 9);
    let (two, one) = cluster.client.persist((&[numbers, fewer], &shared));
    assert_eq!(two.iter().map(|numbers| numbers.0.len()).collect::<Vec<_>>(), [3, 3]);
    let (two, one) = cluster.client.compute((&two, &one));
    assert_eq!(cluster.client.gather((two, one)).await.unwrap(), (vec![9, 9], 2));
}

async fn what_was_optimized_twice_is_the_same(cluster: &Cluster) {
    let chain = delayed(inc, delayed(inc, 1));
    let twice = optimize(&optimize(&chain).unwrap()).unwrap();
    assert_eq!(keys(&twice.graph()), [chain.key().as_str()]);
    assert_eq!(cluster.client.compute(&twice).await.unwrap(), 3);
}
