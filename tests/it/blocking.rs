//! The same client for programs that are not async: every verb once.

use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

use dask_client::blocking::{self, Client, Future, as_completed, wait};
use dask_client::{Graph, Skip, Status, delayed};
use support::cluster::{Cluster, Over, TWO_WORKERS};
use support::fault_tasks::panics;
use support::stage::{Stage, linger, perform};
use support::tasks::{add, inc, sum};
use tokio::runtime::Runtime;

/// Runs a test outside of any runtime, on clusters of every kind.
macro_rules! blocking_on_every_transport {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use support::cluster::Over;

            #[test]
            fn inproc() {
                super::run(Over::Inproc, super::$name);
            }

            #[test]
            fn tcp() {
                super::run(Over::Tcp, super::$name);
            }

            #[test]
            fn processes() {
                let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
                super::run(fixture, super::$name);
            }
        }
    )+};
}

blocking_on_every_transport! {
    calls_and_their_futures,
    data_and_graphs,
    what_the_cluster_says_of_itself,
    failures_and_cancelling,
    futures_in_the_order_in_which_they_are_done,
    the_same_client_is_async_call_by_call,
    a_shutdown,
}

fn run(over: Over, body: fn(&Client, &Runtime)) {
    let runtime = Runtime::new().unwrap();
    let cluster = runtime.block_on(Cluster::start(over, TWO_WORKERS));
    let builder = dask_client::Client::builder().address(cluster.client.address());
    let client = Client::builder(builder.set_as_default(false)).unwrap();
    body(&client, &runtime);
    client.close().unwrap();
    runtime.block_on(cluster.stop());
}

fn calls_and_their_futures(client: &Client, runtime: &Runtime) {
    let x: Future<i64> = client.submit(inc, 10);
    assert_eq!(x.result().unwrap(), 11);
    assert_eq!((x.status(), x.done(), x.cancelled()), (Status::Finished, true, false));
    assert!(x.key().as_str().starts_with("inc-"));
    assert_eq!(x.type_name(), "i64");
    assert_eq!(format!("{x:?}"), format!("<Future: finished, type: i64, key: {}>", x.key()));
    let futures = client.map(inc, 0..100);
    assert_eq!(client.submit(sum, &futures).result().unwrap(), 5050);
    assert_eq!(client.gather(&futures).unwrap().len(), 100);
    assert_eq!(client.gather((&x, &futures[..2])).unwrap(), (11, vec![1, 2]));
    let own = client.options().key("own").submit(add, (&x, 1));
    assert_eq!((own.key().as_str(), own.result().unwrap()), ("own", 12));
    let impure = client.options().pure(false).map(inc, [1, 1]);
    assert_ne!(impure[0].key(), impure[1].key());

    let waited = wait(&futures).unwrap();
    assert_eq!((waited.done.len(), waited.not_done.len()), (100, 0));
    let stage = runtime.block_on(Stage::new());
    let slow = client.submit(perform, (stage.address(), "slow"));
    let performer = runtime.block_on(stage.entrance());
    let first = dask_client::wait([&slow, &x]).first_completed().block().unwrap();
    assert_eq!(first.done.len(), 1);
    let short = Duration::from_millis(1);
    assert!(slow.try_result(short).unwrap_err().is_timeout());
    assert!(dask_client::wait(&slow).timeout(short).block().unwrap_err().is_timeout());
    let (sender, receiver) = mpsc::channel();
    slow.add_done_callback(move |done| sender.send(done.status()).unwrap());
    runtime.block_on(performer.give(3));
    assert_eq!(receiver.recv().unwrap(), Status::Finished);
    assert_eq!(slow.result().unwrap(), 3);
    slow.release();
    blocking::progress(&futures).unwrap();
}

fn data_and_graphs(client: &Client, _: &Runtime) {
    let one = client.scatter(5_i64).unwrap();
    assert_eq!(client.submit(inc, &one).result().unwrap(), 6);
    let many = client.scatter_many([1_i64, 2, 3]).unwrap();
    assert_eq!(client.submit(sum, &many).result().unwrap(), 6);
    let options = client.options().broadcast(true);
    let all = options.scatter_many([7_i64]).unwrap();
    assert!(!client.who_has(&all).unwrap()[all[0].key()].is_empty());
    let options = client.options().hash(false);
    assert_ne!(options.scatter(5_i64).unwrap().key(), one.key());

    let call = delayed(add, (delayed(inc, 1), &one));
    assert_eq!(client.compute(&call).result().unwrap(), 7);
    let kept = client.persist(&delayed(inc, 41));
    assert_eq!(client.compute(&kept).result().unwrap(), 42);
    let options = client.options().priority(1);
    let kept = options.persist(&delayed(inc, &kept));
    assert_eq!(options.compute(&kept).result().unwrap(), 43);
    let mut graph = Graph::new();
    let x = graph.insert("x", inc, 1).unwrap();
    graph.insert("y", add, (&x, 10)).unwrap();
    assert_eq!(client.get::<i64, _>(&graph, ["y", "x"]).unwrap(), [12, 2]);
    assert_eq!(options.get::<i64, _>(&graph, ["y"]).unwrap(), [12]);
}

fn what_the_cluster_says_of_itself(client: &Client, runtime: &Runtime) {
    client.wait_for_workers(2).unwrap();
    let options = client.options().timeout(Duration::from_millis(1));
    assert!(options.wait_for_workers(3).unwrap_err().is_timeout());
    assert_eq!(client.nthreads().unwrap().values().sum::<u32>(), 2);
    assert_eq!(client.scheduler_info().unwrap().workers.len(), 2);
    let stage = runtime.block_on(Stage::new());
    let future = client.submit(perform, (stage.address(), "a"));
    let performer = runtime.block_on(stage.entrance());
    let processing = client.processing().unwrap();
    assert!(processing.values().any(|keys| keys == &[future.key().clone()]));
    runtime.block_on(performer.give(1));
    assert_eq!(future.result().unwrap(), 1);
    let held = client.has_what().unwrap();
    assert!(held.values().any(|keys| keys == &[future.key().clone()]));
    assert!(!client.story(future.key()).unwrap().is_empty());
    let why = client.explain(&future).unwrap().to_string();
    assert!(why.contains("is in memory"), "{why}");
}

fn failures_and_cancelling(client: &Client, runtime: &Runtime) {
    let failed = client.submit(panics, "no luck");
    assert!(failed.result().unwrap_err().is_task_error());
    assert_eq!(failed.exception().unwrap().unwrap().message, "no luck");
    assert!(failed.traceback().unwrap().is_some());
    let mixed = [failed, client.submit(inc, 1)];
    assert_eq!(client.options().errors(Skip).gather(&mixed).unwrap(), [2]);

    let stage = runtime.block_on(Stage::new());
    let lucky = client.submit(perform, (stage.address(), "a"));
    type Verb = fn(&Future<i64>, &Client) -> dask_client::Result<()>;
    let retries: [Verb; 2] = [|future, _| future.retry(), |future, client| client.retry(future)];
    for retry in retries {
        runtime.block_on(async { stage.entrance().await.fail("not yet").await });
        assert!(lucky.exception().unwrap().is_some());
        retry(&lucky, client).unwrap();
    }
    runtime.block_on(async { stage.entrance().await.give(1).await });
    assert_eq!(lucky.result().unwrap(), 1);

    let cancels: [Verb; 2] = [|future, _| future.cancel(), |future, client| client.cancel(future)];
    for cancel in cancels {
        let future = client.submit(linger, (stage.address(), "b"));
        let performer = runtime.block_on(stage.entrance());
        cancel(&future, client).unwrap();
        assert!(future.result().unwrap_err().is_cancelled());
        assert!(future.cancelled());
        runtime.block_on(performer.cancelled());
    }
}

fn futures_in_the_order_in_which_they_are_done(client: &Client, runtime: &Runtime) {
    let stage = runtime.block_on(Stage::new());
    let calls = ["a", "b"].map(|name| (stage.address(), name));
    let mut done = as_completed(client.map(perform, calls));
    let (one, other) = runtime.block_on(async { (stage.entrance().await, stage.entrance().await) });
    runtime.block_on(other.give(2));
    assert_eq!(Iterator::next(&mut done).unwrap().result().unwrap(), 2);
    runtime.block_on(one.give(1));
    assert_eq!(Iterator::next(&mut done).unwrap().result().unwrap(), 1);
    assert!(Iterator::next(&mut done).is_none());
    let all: HashSet<i64> =
        as_completed(client.map(inc, 0..20)).map(|future| future.result().unwrap()).collect();
    let (future, result) = as_completed(client.map(inc, [41])).next_with_result().unwrap();
    assert_eq!((future.done(), result.unwrap()), (true, 42));
    assert_eq!(all, (1..=20).collect());
}

fn the_same_client_is_async_call_by_call(client: &Client, runtime: &Runtime) {
    let futures = client.map(inc, 0..3);
    let gathered = async { client.asynchronous().gather(&futures).await };
    assert_eq!(runtime.block_on(gathered).unwrap(), [1, 2, 3]);
    let result = async { futures[0].asynchronous().result().await };
    assert_eq!(runtime.block_on(result).unwrap(), 1);
}

fn a_shutdown(client: &Client, _: &Runtime) {
    let future = client.submit(inc, 1);
    assert_eq!(future.result().unwrap(), 2);
    client.shutdown().unwrap();
    let error = client.submit(inc, 2).result().unwrap_err();
    assert!(error.is_closed() || error.is_disconnected(), "{error}");
}
