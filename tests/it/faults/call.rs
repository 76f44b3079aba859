//! Calls that cannot work: what the client gets to hear, and that the cluster goes on.

use dask_client::__private::{Failure, Inputs, Payload, TaskDef, TaskFn, inventory};
use dask_client::{
    Error, Errors, Future, Graph, LocalCluster, Status, TaskError, TaskErrorKind, WorkerInfo, task,
    wait,
};
use support::fault_tasks::{
    Anything, Spoiled, Undeserializable, Unserializable, anything, double, explosive, gated,
    levels, nested, panics, parse, spoiled, take_anything, take_spoiled, take_undeserializable,
    take_unserializable, total, undeserializable, unserializable,
};
use support::gate::Gate;

use crate::child::{bounded, cluster, connect, goes_on, says};

/// The error of a future that fails, as its task's failure.
async fn failure<T: dask_client::Value + std::fmt::Debug>(future: &Future<T>) -> TaskError {
    let error = future.result().await.unwrap_err();
    assert_eq!(future.status(), Status::Error, "{error:?}");
    error.task_error().expect("a task failed").clone()
}

#[track_caller]
fn task_says(error: &TaskError, kind: TaskErrorKind, words: &[&str]) {
    assert_eq!(error.kind, kind, "{error}");
    let text = format!("{error}; because of {:?}", error.causes);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// A task that this program has and the workers' program has not.
#[task]
fn only_here(x: i64) -> i64 {
    x
}

/// [`double`], as a program has it that was built from other sources.
#[derive(Clone, Copy)]
struct OtherDouble;

static OTHER_DOUBLE: TaskDef = TaskDef {
    path: "support::fault_tasks::double",
    signature: "fn(String) -> String",
    body: never,
};
inventory::submit! { &OTHER_DOUBLE }

impl TaskFn for OtherDouble {
    type Params = (String,);
    type Output = String;

    fn def(&self) -> &'static TaskDef {
        &OTHER_DOUBLE
    }
}

fn never(_: &mut Inputs) -> Result<Payload, Failure> {
    panic!("no worker has it")
}

#[tokio::test]
async fn a_function_that_no_worker_has_fails_and_names_what_they_offer() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let error = failure(&client.submit(only_here, 1)).await;
        let words =
            ["no worker has the function it::faults::call::only_here", "they have", "such as"];
        task_says(&error, TaskErrorKind::NoFunction, &words);
        assert_eq!(error.function, "it::faults::call::only_here");

        let error = failure(&client.submit(OtherDouble, "one".to_owned())).await;
        let words = [
            "support::fault_tasks::double: fn(String) -> String",
            "support::fault_tasks::double: fn(i64) -> i64",
        ];
        task_says(&error, TaskErrorKind::NoFunction, &words);

        // What depends on it shares its fate.
        let dependent = client.submit(double, client.submit(only_here, 2));
        let error = failure(&dependent).await;
        task_says(&error, TaskErrorKind::NoFunction, &["only_here"]);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn arguments_that_fail_to_travel_fail_their_task_only() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let kind = TaskErrorKind::Serialization;
        let error = failure(&client.submit(take_unserializable, Unserializable(3))).await;
        task_says(&error, kind, &["a lock cannot be sent"]);
        assert!(error.function.ends_with("take_unserializable"));

        let error = failure(&client.submit(take_undeserializable, Undeserializable(77))).await;
        let words = ["take_undeserializable-", "77 is out of range"];
        task_says(&error, kind, &words);
        assert!(error.worker.is_some());

        let error = failure(&client.submit(take_anything, Anything(1))).await;
        task_says(&error, kind, &["take_anything-", "deserialize_any"]);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn results_that_fail_to_travel_say_why() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        // Small, and large when it fails.
        for bytes in [0, 100_000] {
            let error = failure(&client.submit(unserializable, bytes)).await;
            let words = ["its result cannot leave the worker", "a lock cannot be sent"];
            task_says(&error, TaskErrorKind::Serialization, &words);
            assert!(error.worker.is_some());
        }
        // Fine on the worker, and unreadable here.
        let result = client.submit(undeserializable, 78);
        let error = result.result().await.unwrap_err();
        says(&error, &["could not be had", "78 is out of range"]);
        assert_eq!(result.status(), Status::Finished);
        let error = client.submit(anything, 1).result().await.unwrap_err();
        says(&error, &["deserialize_any"]);
        goes_on(&client).await;
    })
    .await;
}

/// A value is asked for by a client, and by a task on the other worker.
#[tokio::test]
async fn results_that_turn_bad_later_fail_whoever_asks_and_nobody_else() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        for (how, what) in [("error", "it turned bad"), ("panic", "panicked")] {
            let on = |name: &str| client.options().workers([name]).pure(false);
            let value: Future<Spoiled> = on("0").submit(spoiled, how.to_owned());
            wait(&value).await.unwrap();
            assert_eq!(value.status(), Status::Finished);
            let error = value.result().await.unwrap_err();
            says(&error, &["could not be serialized by tcp://", what]);
            // Where the value is, nobody has to serialize it.
            let there = on("0").submit(take_spoiled, &value);
            assert_eq!(there.result().await.unwrap(), 5);
            let elsewhere = on("1").submit(take_spoiled, &value);
            let error = failure(&elsewhere).await;
            let words = ["the result of a dependency could not be sent", what];
            task_says(&error, TaskErrorKind::Serialization, &words);
            goes_on(&client).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_result_that_panics_when_it_is_dropped_costs_no_worker() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let workers = client.scheduler_info().await.unwrap().workers;
        let value = client.submit(explosive, ());
        assert_eq!(value.result().await.unwrap().load.len(), 5000);
        value.release();
        let nobody_wants_it = client.options().pure(false).submit(explosive, ());
        nobody_wants_it.release();
        goes_on(&client).await;
        let pids = |workers: &[WorkerInfo]| workers.iter().map(|w| w.pid).collect::<Vec<_>>();
        let after = client.scheduler_info().await.unwrap().workers;
        assert_eq!(pids(&after), pids(&workers));
    })
    .await;
}

/// What is done to a value outside of its task has as much stack as the task had.
#[tokio::test]
async fn a_deep_value_is_exchanged_between_workers() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let on = |name: &str| client.options().workers([name]);
        let value = on("0").submit(nested, 30_000);
        assert_eq!(on("1").submit(levels, &value).result().await.unwrap(), 30_000);
        drop(value);
        goes_on(&client).await;
    })
    .await;
}

/// The limits on what is said are far from what a program says, and a bound to what it can do.
#[tokio::test]
async fn a_message_over_the_limit_ends_its_client_with_the_reason() {
    bounded(async {
        let (cluster, client) = cluster().await;
        let names = vec!["x".repeat(1 << 20); 17];
        let future = client.options().workers(names).submit(double, 1);
        let error = future.result().await.unwrap_err();
        assert!(error.is_disconnected(), "{error:?}");
        says(&error, &["limit"]);
        goes_on(&other(&cluster).await).await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_says_what_and_where_and_the_worker_lives() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let workers = client.nthreads().await.unwrap();
        let future = client.submit(panics, "no luck".to_owned());
        let error = failure(&future).await;
        let words = ["panicked", "no luck", "fault_tasks.rs:", "tcp://127.0.0.1:"];
        task_says(&error, TaskErrorKind::Panicked, &words);
        assert_eq!(error.key, *future.key());
        assert_eq!(error.function, "support::fault_tasks::panics");
        let inherited = failure(&client.submit(double, &future)).await;
        assert_eq!(inherited, error);
        goes_on(&client).await;
        assert_eq!(client.nthreads().await.unwrap(), workers);
    })
    .await;
}

#[tokio::test]
async fn a_returned_error_keeps_its_causes() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let futures: Vec<Future<i64>> =
            ["1", "two", "3"].map(|text| client.submit(parse, text.to_owned())).to_vec();
        let error = failure(&futures[1]).await;
        let words = ["failed", "the meter \"two\" cannot be read"];
        task_says(&error, TaskErrorKind::Returned, &words);
        assert_eq!(error.causes, ["invalid digit found in string"]);
        says(
            &client.gather(&futures).await.unwrap_err(),
            &["the meter \"two\"", "caused by: invalid digit"],
        );
        let those = client.gather(&futures).errors(Errors::Skip).await.unwrap();
        assert_eq!(those, [1, 3]);
        goes_on(&client).await;
    })
    .await;
}

/// Another client of the same cluster.
async fn other(cluster: &LocalCluster) -> dask_client::Client {
    connect(cluster.address().as_str()).await.unwrap()
}

#[tokio::test]
async fn clients_that_share_a_key_release_it_together() {
    bounded(async {
        let (cluster, one) = cluster().await;
        let two = other(&cluster).await;
        let gate = Gate::new().await;
        let first: Future<i64> = one.submit(gated, (gate.address(), 6));
        let second: Future<i64> = two.submit(gated, (gate.address(), 6));
        assert_eq!(first.key(), second.key());
        let waiting = gate.arrival().await;
        // Neither a cancellation nor the end of the one takes it from the other.
        first.cancel().await.unwrap();
        assert!(first.result().await.unwrap_err().is_cancelled());
        one.close().await.unwrap();
        assert_eq!(second.status(), Status::Pending);
        waiting.release().await;
        assert_eq!(second.result().await.unwrap(), 6);
        goes_on(&two).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_with_other_content_is_refused_to_the_same_and_to_another_client() {
    bounded(async {
        let (cluster, one) = cluster().await;
        let two = other(&cluster).await;
        let first = one.options().key("mine").submit(double, 1);
        assert_eq!(first.result().await.unwrap(), 2);
        for client in [&one, &two] {
            let mine = || client.options().key("mine");
            let arguments = failure(&mine().submit(double, 2)).await;
            let words = ["mine", "already on the cluster with other content"];
            task_says(&arguments, TaskErrorKind::KeyCollision, &words);
            let function = failure(&mine().submit(parse, "1".to_owned())).await;
            let words = ["support::fault_tasks::double", "support::fault_tasks::parse"];
            task_says(&function, TaskErrorKind::KeyCollision, &words);
            // The same content is the same task.
            assert_eq!(mine().submit(double, 1).result().await.unwrap(), 2);
            goes_on(client).await;
        }
        assert_eq!(first.result().await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_graph_that_depends_on_itself_is_shown_its_cycle() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let mut graph = Graph::new();
        for (key, needs) in [("a", "b"), ("b", "c"), ("c", "a")] {
            let needs = Graph::key::<i64>(needs).unwrap();
            graph.insert(key, double, needs).unwrap();
        }
        let error = client.get::<i64, _>(&graph, ["a"]).await.unwrap_err();
        says(&error, &["the graph depends on itself: a -> b -> c -> a"]);
        let missing = Graph::key::<i64>("nowhere").unwrap();
        graph.insert("d", double, missing).unwrap();
        let error = client.get::<i64, _>(&graph, ["d"]).await.unwrap_err();
        says(&error, &["it depends on a cancelled future"]);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_future_says_so_wherever_it_is_used() {
    bounded(async {
        let (cluster, client) = cluster().await;
        let gate = Gate::new().await;
        let future: Future<i64> = client.submit(gated, (gate.address(), 7));
        let waiting = gate.arrival().await;
        let dependent = client.submit(double, &future);
        client.cancel(&future).await.unwrap();
        for future in [&future, &dependent, &client.submit(double, &future)] {
            let error = future.result().await.unwrap_err();
            assert!(error.is_cancelled() && future.cancelled(), "{error:?}");
            says(&error, &["was cancelled", future.key().as_str()]);
        }
        // It runs to its end all the same, on the only thread of its worker.
        waiting.release().await;
        let ok = client.submit(double, 1);
        let error = client.gather((&ok, &future)).await.unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        goes_on(&client).await;
        goes_on(&other(&cluster).await).await;
    })
    .await;
}

/// A future whose key everybody released, read from where it was written down.
#[tokio::test]
async fn what_depends_on_a_key_that_was_released_is_cancelled() {
    bounded(async {
        let (cluster, client) = cluster().await;
        let future = client.options().key("gone").submit(double, 4);
        assert_eq!(future.result().await.unwrap(), 8);
        let elsewhere = other(&cluster).await;
        let travelled = elsewhere.submit(double, &future);
        assert_eq!(travelled.result().await.unwrap(), 16);
        future.release();
        drop(travelled);
        // The releases are on their way; questions are answered behind them.
        client.scheduler_info().await.unwrap();
        elsewhere.scheduler_info().await.unwrap();
        let mut graph = Graph::new();
        let gone = Graph::key::<i64>("gone").unwrap();
        graph.insert("next", double, gone).unwrap();
        let error = elsewhere.get::<i64, _>(&graph, ["next"]).await.unwrap_err();
        says(&error, &["it depends on a cancelled future", "is not on the scheduler"]);
        assert!(client.who_has(()).await.unwrap().is_empty());
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_client_refuses_everything_at_once() {
    bounded(async {
        let (cluster, client) = cluster().await;
        let gate = Gate::new().await;
        let done = client.submit(double, 4);
        assert_eq!(done.result().await.unwrap(), 8);
        let large = client.submit(support::fault_tasks::blob, 100_000);
        wait(&large).await.unwrap();
        let pending: Future<i64> = client.submit(gated, (gate.address(), 8));
        let waiting = gate.arrival().await;
        client.close().await.unwrap();
        let closed = |error: Error| {
            assert!(error.is_closed(), "{error:?}");
            says(&error, &["the client is closed"]);
        };
        closed(pending.result().await.unwrap_err());
        closed(large.result().await.unwrap_err());
        closed(client.submit(double, 5).result().await.unwrap_err());
        closed(client.submit(double, &pending).result().await.unwrap_err());
        closed(client.gather(&client.map(double, 0..10)).await.unwrap_err());
        closed(client.scatter(5_i64).await.unwrap_err());
        closed(client.scheduler_info().await.unwrap_err());
        closed(client.cancel(&pending).await.unwrap_err());
        closed(client.get::<i64, _>(&graph(), ["a"]).await.unwrap_err());
        client.close().await.unwrap();
        waiting.release().await;
        goes_on(&other(&cluster).await).await;
    })
    .await;
}

fn graph() -> Graph {
    let mut graph = Graph::new();
    graph.insert("a", double, 1).unwrap();
    graph
}

/// A future of one client is an argument of another's.
#[tokio::test]
async fn a_large_result_of_another_client_outlives_its_client() {
    bounded(async {
        let (cluster, one) = cluster().await;
        let two = other(&cluster).await;
        let large = one.submit(support::fault_tasks::blob, 50_000);
        wait(&large).await.unwrap();
        let sum = two.submit(total, &large);
        let held = two.submit(support::fault_tasks::blob, 50_000);
        wait(&held).await.unwrap();
        one.close().await.unwrap();
        let bytes = held.result().await.unwrap();
        assert_eq!(bytes.len(), 50_000);
        let expected: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(sum.result().await.unwrap(), expected);
        goes_on(&two).await;
    })
    .await;
}
