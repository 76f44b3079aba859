//! What a running task can do, and what it holds while it runs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use dask_client::blocking;
use dask_client::{
    Client, LocalCluster, LocalClusterBuilder, LogLevel, get_worker, rejoin, secede,
};
use support::cluster::{Cluster, ONE_THREAD, Over, connect, eventually, run, within};
use support::running_tasks::{
    count_aloud, fibonacci, fibonacci_async, of_two, step_aside, total, unwrap, whereabouts,
};
use support::stage::{Stage, perform};
use support::tasks::inc;
use tracing_subscriber::util::SubscriberInitExt;

on_every_transport! {
    ONE_THREAD:
    a_task_that_secedes_makes_room_and_rejoins,
    what_tasks_say_is_found_with_their_keys,
    tasks_that_wait_for_their_own_tasks_make_room_for_them,
    a_task_that_waits_for_several_makes_room_until_the_last_is_there,
    get_client_and_get_worker_name_the_cluster_of_the_task,
    a_future_in_an_argument_is_awaited_in_the_task,
}

mod on_two_workers {
    use support::cluster::{Cluster, TWO_WORKERS};
    use support::running_tasks::only_on;

    on_every_transport! {
        TWO_WORKERS:
        a_task_that_asks_for_it_is_run_elsewhere,
    }

    async fn a_task_that_asks_for_it_is_run_elsewhere(cluster: &Cluster) {
        let client = &cluster.client;
        let futures = client.map(only_on, ["0", "1"]);
        assert_eq!(client.gather(&futures).await.unwrap(), ["0", "1"]);
        // No other may run it, so it comes back until it is cancelled.
        let bound = client.options().workers(["0"]).submit(only_on, "nowhere");
        let story = support::cluster::eventually("to be sent back", async || {
            let story = client.story(bound.key()).await.unwrap();
            let asked = story.iter().filter(|line| line.contains("asked to be run elsewhere"));
            (asked.count() > 1).then_some(story)
        });
        assert!(story.await.len() > 4);
        bound.cancel().await.unwrap();
    }
}

async fn a_task_that_secedes_makes_room_and_rejoins(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let aside = client.submit(step_aside, (stage.address(), "aside"));
    let waiting = stage.entrance().await;
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);

    let busy = client.submit(perform, (stage.address(), "busy"));
    let performer = stage.entrance().await;
    let next = client.submit(perform, (stage.address(), "next"));
    waiting.give(7).await;
    performer.give(8).await;
    assert_eq!(busy.await.unwrap(), 8);
    stage.entrance().await.give(9).await;
    assert_eq!((aside.await.unwrap(), next.await.unwrap()), (7, 9));
}

/// In processes of their own, where the worker's cluster is the default.
#[tokio::test]
async fn tasks_that_wait_for_their_own_tasks_do_not_fill_the_only_thread() {
    let fixture = Over::Processes(env!("CARGO_BIN_EXE_fixture"));
    run(fixture, ONE_THREAD, async |cluster| {
        assert_eq!(cluster.client.submit(fibonacci, 9).await.unwrap(), 34);
    })
    .await;
}

async fn tasks_that_wait_for_their_own_tasks_make_room_for_them(cluster: &Cluster) {
    let client = &cluster.client;
    assert_eq!(client.submit(fibonacci_async, 6).await.unwrap(), 8);
    for way in ["gather", "wait", "first", "as completed", "worker client"] {
        let sum = client.options().pure(false).submit(total, (way, vec![1, 2, 3]));
        assert_eq!(within(way, sum.result()).await.unwrap(), 6, "{way}");
    }
    // All are back, and the only thread is free.
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);
}

async fn a_task_that_waits_for_several_makes_room_until_the_last_is_there(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let sum = client.submit(of_two, stage.address());
    // Each needs the only thread.
    for x in [3, 4] {
        stage.entrance().await.give(x).await;
    }
    assert_eq!(within("the sum", sum.result()).await.unwrap(), 7);
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);
}

async fn get_client_and_get_worker_name_the_cluster_of_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let (address, name, nthreads, scheduler) = client.submit(whereabouts, ()).await.unwrap();
    assert_eq!(address, cluster.workers().await[0].to_string());
    assert_eq!((name.as_str(), nthreads), ("0", 1));
    assert_eq!(scheduler, client.address().to_string());
    assert!(get_worker().unwrap_err().to_string().contains("only a running task"));
}

async fn a_future_in_an_argument_is_awaited_in_the_task(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let given = client.submit(perform, (stage.address(), "given"));
    let performer = stage.entrance().await;
    let call = client.scatter(given.clone()).await.unwrap();
    let unwrapped = client.submit(unwrap, &call);
    performer.give(5).await;
    assert_eq!(unwrapped.await.unwrap(), 5);
}

async fn what_tasks_say_is_found_with_their_keys(cluster: &Cluster) {
    let client = &cluster.client;
    let future = client.submit(count_aloud, 3);
    future.wait().await;
    let of_task = |logs: std::collections::HashMap<_, Vec<dask_client::LogRecord>>| {
        let lines = logs.into_values().flatten();
        let lines = lines.filter(|line| line.key.as_ref() == Some(future.key()));
        lines.map(|line| (line.level, line.message)).collect::<Vec<_>>()
    };
    let lines = of_task(client.get_worker_logs().await.unwrap());
    let printed = (0..3).map(|i| (LogLevel::Print, format!("{i} of 3")));
    let warned = (LogLevel::Warn, "that was all".to_owned());
    assert_eq!(lines, printed.chain([warned.clone()]).collect::<Vec<_>>());

    assert_eq!(of_task(client.get_worker_logs().workers(["0"]).n(1).await.unwrap()), [warned]);
    let error = client.get_worker_logs().workers(["nobody"]).await.unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
}

/// Where a test finds what is said with `tracing`.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Heard {
    async fn until(&self, text: &str) -> String {
        eventually(text, async || {
            let heard = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            heard.contains(text).then_some(heard)
        })
        .await
    }
}

#[tokio::test]
async fn what_workers_log_is_said_in_the_program_of_a_client() {
    for over in [Over::Inproc, Over::Processes(env!("CARGO_BIN_EXE_fixture"))] {
        let heard = Heard::default();
        let writer = heard.clone();
        let log = tracing_subscriber::fmt().with_ansi(false);
        let _guard = log.with_writer(move || writer.clone()).set_default();
        run(over, ONE_THREAD, async |cluster| {
            let client = &cluster.client;
            client.forward_logging(LogLevel::Warn).await.unwrap();
            let future = client.submit(count_aloud, 1);
            let text = heard.until("that was all").await;
            let worker = cluster.workers().await.remove(0);
            let line = text.lines().find(|line| line.contains("that was all")).unwrap();
            for part in ["WARN", "dask::worker", worker.as_str(), future.key().as_str()] {
                assert!(line.contains(part), "{part} is not in {line}");
            }
            assert!(!text.contains("0 of 1"), "{text}");
            // Another level, and then none.
            client.forward_logging(LogLevel::Error).await.unwrap();
            let quiet = client.options().pure(false).submit(count_aloud, 2);
            quiet.wait().await;
            client.forward_logging(LogLevel::Info).await.unwrap();
            let loud = client.options().pure(false).submit(count_aloud, 3);
            let text = heard.until(loud.key().as_str()).await;
            assert!(!text.contains(quiet.key().as_str()), "{text}");
            client.unforward_logging().await.unwrap();
        })
        .await;
    }
}

#[test]
fn only_tasks_secede_and_rejoin() {
    assert!(secede().unwrap_err().to_string().contains("only a running task"));
    assert!(rejoin().unwrap_err().to_string().contains("only a running task"));
}

#[test]
fn logs_are_read_without_async_too() {
    let client = blocking::Client::local().unwrap();
    client.forward_logging(LogLevel::Warn).unwrap();
    client.unforward_logging().unwrap();
    client.submit(count_aloud, 1).result().unwrap();
    let logs = client.options().n(1).get_worker_logs().unwrap();
    let lines: Vec<_> = logs.into_values().flatten().collect();
    assert_eq!(lines[0].message, "that was all");
    client.close().unwrap();
}

async fn with_resources(
    builder: LocalClusterBuilder,
    resources: &[(&str, f64)],
    body: impl AsyncFnOnce(&Client),
) {
    let builder = builder.workers(1).threads_per_worker(4).resources(resources.iter().copied());
    let cluster = within("the start of a cluster", builder.build()).await.unwrap();
    let client = connect(cluster.address()).await;
    within("the end of the test", body(&client)).await;
    client.close().await.unwrap();
    cluster.close().await;
}

fn processes() -> LocalClusterBuilder {
    LocalCluster::builder().program(env!("CARGO_BIN_EXE_fixture"))
}

async fn two_that_need_the_same_do_not_overlap(client: &Client) {
    let stage = Stage::new().await;
    let gpu = client.options().resources([("GPU", 1.0)]);
    let first = gpu.submit(perform, (stage.address(), "first"));
    let one = stage.entrance().await;
    let second = gpu.submit(perform, (stage.address(), "second"));
    let other = client.submit(perform, (stage.address(), "other"));
    let two = stage.entrance().await;
    assert_eq!((one.name.as_str(), two.name.as_str()), ("first", "other"));
    one.give(1).await;
    let three = stage.entrance().await;
    assert_eq!(three.name, "second");
    two.give(2).await;
    three.give(3).await;
    assert_eq!(client.gather((&first, &other, &second)).await.unwrap(), (1, 2, 3));
}

#[tokio::test]
async fn two_that_need_the_same_do_not_overlap_in_one_process() {
    let builder = LocalCluster::builder();
    with_resources(builder, &[("GPU", 1.0)], two_that_need_the_same_do_not_overlap).await;
}

#[tokio::test]
async fn two_that_need_the_same_do_not_overlap_in_worker_processes() {
    with_resources(processes(), &[("GPU", 1.0)], two_that_need_the_same_do_not_overlap).await;
}

#[tokio::test]
async fn a_task_waits_until_all_its_resources_are_free() {
    with_resources(processes(), &[("GPU", 2.0), ("MEMORY", 10.0)], async |client| {
        let stage = Stage::new().await;
        let needing = |gpu, memory| client.options().resources([("GPU", gpu), ("MEMORY", memory)]);
        let large = needing(1.0, 8.0).submit(perform, (stage.address(), "large"));
        let one = stage.entrance().await;
        let too = needing(1.0, 8.0).submit(perform, (stage.address(), "large too"));
        let small = needing(1.0, 2.0).submit(perform, (stage.address(), "small"));
        let two = stage.entrance().await;
        assert_eq!((one.name.as_str(), two.name.as_str()), ("large", "small"));
        one.give(1).await;
        let three = stage.entrance().await;
        assert_eq!(three.name, "large too");
        two.give(2).await;
        three.give(3).await;
        assert_eq!(client.gather((&large, &small, &too)).await.unwrap(), (1, 2, 3));
    })
    .await;
}

#[tokio::test]
async fn a_task_that_asks_for_more_than_any_worker_has_waits_for_one() {
    with_resources(processes(), &[("GPU", 1.0)], async |client| {
        let greedy = client.options().resources([("GPU", 2.0)]).submit(inc, 1);
        // Twice one is more than one, too.
        let twice = client.options().resources([("GPU", 0.6), ("GPU", 0.6)]).submit(inc, 2);
        eventually("tasks without a worker", async || {
            let info = client.scheduler_info().await.unwrap();
            (info.tasks.get("no-worker") == Some(&2)).then_some(())
        })
        .await;
        assert_eq!(client.submit(inc, 3).await.unwrap(), 4);
        drop((greedy, twice));
    })
    .await;
}

#[tokio::test]
async fn resources_that_make_no_sense_are_refused() {
    for (name, amount) in [("GPU", -1.0), ("GPU", f64::NAN), ("a b", 1.0), ("", 1.0)] {
        let built = LocalCluster::builder().resources([(name, amount)]).build().await;
        let error = built.unwrap_err().to_string();
        assert!(error.contains("resource"), "{error}");
    }
}
