//! What the cluster says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use dask_client::transport::Transports;
use dask_client::{Client, Future, LocalCluster};
use support::cluster::{Cluster, Over, TWO_WORKERS, connect, eventually, within};
use support::stage::{Stage, perform};
use support::tasks::{inc, noise};

use crate::option::Extra;

on_every_transport! {
    TWO_WORKERS:
    the_scheduler_describes_its_workers,
    tasks_show_where_they_are,
    a_key_has_a_story,
    a_task_is_explained_down_to_the_last_cause,
    finished_tasks_are_counted_by_worker_and_name,
    a_wait_for_workers_ends_when_they_are_there,
    a_client_writes_where_its_scheduler_is_and_another_reads_it,
}

async fn the_scheduler_describes_its_workers(cluster: &Cluster) {
    let client = &cluster.client;
    // One that was looking for a scheduler that had this port before may be on its way out.
    let info = eventually("this client alone is connected", async || {
        let info = client.scheduler_info().await.unwrap();
        (info.clients == 1).then_some(info)
    })
    .await;
    assert_eq!(info.address, *client.address());
    assert!(info.id.starts_with("Scheduler-"), "{}", info.id);
    let mut names: Vec<_> = info.workers.iter().map(|worker| &*worker.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["0", "1"]);
    let pid = std::process::id();
    let elsewhere = matches!(cluster.over, Over::Processes(_));
    for worker in &info.workers {
        assert_eq!((worker.nthreads, worker.processing), (1, 0));
        assert_eq!(worker.pid != pid, elsewhere, "{worker:?}");
    }
    let threads = client.nthreads().await.unwrap();
    assert!(threads.values().all(|threads| *threads == 1));
    assert_eq!(threads.len(), 2);

    let options = client.options().workers(["1"]);
    let future = options.submit(noise, (1 << 20, 1));
    future.wait().await;
    let info = client.scheduler_info().await.unwrap();
    let holder = info.workers.iter().find(|worker| worker.name == "1");
    assert!(holder.unwrap().nbytes >= 1 << 20, "{holder:?}");
    assert_eq!(info.tasks.get("memory"), Some(&1));
}

async fn tasks_show_where_they_are(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let options = client.options().workers(["0"]);
    let future = options.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let workers = cluster.workers().await;
    let processing = client.processing().await.unwrap();
    assert_eq!(processing[&workers[0]], [future.key().clone()]);
    assert!(processing[&workers[1]].is_empty());
    assert!(client.who_has(&future).await.unwrap()[future.key()].is_empty());
    performer.give(1).await;
    future.wait().await;
    let held = client.has_what().await.unwrap();
    assert_eq!(held[&workers[0]], [future.key().clone()]);
    assert!(held[&workers[1]].is_empty());
    let holders = client.who_has(&future).await.unwrap();
    assert_eq!(holders[future.key()], workers[..1]);
    // Who asks about no futures has none in mind, and `()` is about all of them.
    assert_eq!(client.who_has(()).await.unwrap(), holders);
    let none: Vec<Future<i64>> = Vec::new();
    assert!(client.who_has(&none).await.unwrap().is_empty());
    assert!(client.nbytes(&none).await.unwrap().is_empty());
    assert!(client.nbytes_by_prefix(&none).await.unwrap().is_empty());
    assert!(client.processing().await.unwrap()[&workers[0]].is_empty());
}

async fn a_key_has_a_story(cluster: &Cluster) {
    let client = &cluster.client;
    let future = client.options().key("told").submit(inc, 1);
    future.wait().await;
    let story = client.story("told").await.unwrap();
    let whole = story.join("\n");
    for state in ["released", "waiting", "processing", "memory"] {
        assert!(whole.contains(state), "{whole}");
    }
    assert!(story.len() >= 3, "{whole}");
    assert!(client.story("untold").await.unwrap().is_empty());
}

async fn a_task_is_explained_down_to_the_last_cause(cluster: &Cluster) {
    let client = &cluster.client;
    let stuck = client.options().resources([("GPU", 1.0)]).submit(inc, 1);
    let next = client.submit(inc, &stuck);
    let last = client.submit(inc, &next);
    let why = client.explain(&last).await.unwrap();
    let text = why.to_string();
    assert!(why.lines()[0].contains("is waiting"), "{text}");
    let chain = format!("{} waits for {}, which waits for {}", last.key(), next.key(), stuck.key());
    assert!(text.contains(&chain), "{text}");
    assert_eq!(text.matches("it lacks resource GPU (it has 0 of 1)").count(), 2, "{text}");
    // Whoever asks, and whoever submitted it.
    let other = connect(client.address()).await;
    assert!(
        other.explain(stuck.key()).await.unwrap().to_string().contains("is in state no-worker")
    );
    let unknown = other.explain("untold").await.unwrap().to_string();
    assert!(unknown.starts_with("no task untold is known: it was never submitted"), "{unknown}");
    other.close().await.unwrap();
}

async fn finished_tasks_are_counted_by_worker_and_name(cluster: &Cluster) {
    let client = &cluster.client;
    for name in ["0", "1"] {
        let options = client.options().workers([name]).pure(false);
        client.gather(options.map(inc, 0..3)).await.unwrap();
    }
    client.submit(noise, (10, 1)).wait().await;
    let counts = client.finished_counts().await.unwrap();
    let workers = cluster.workers().await;
    assert!(workers.iter().all(|worker| counts[worker]["inc"] == 3));
    assert_eq!(cluster.finished("noise").await, 1);
}

async fn a_wait_for_workers_ends_when_they_are_there(cluster: &Cluster) {
    let client = &cluster.client;
    client.wait_for_workers(2).await.unwrap();
    let short = client.options().timeout(Duration::from_millis(1));
    let error = short.wait_for_workers(3).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.wait_for_workers(3).await })
    };
    let extra = Extra::join(client, "third", &[]).await;
    within("the third worker", waiting).await.unwrap().unwrap();
    extra.leave().await;
    let gone = async || (client.nthreads().await.unwrap().len() == 2).then_some(());
    eventually("the third worker to be gone", gone).await;
}

async fn a_client_writes_where_its_scheduler_is_and_another_reads_it(cluster: &Cluster) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scheduler.json");
    let builder = Client::builder().set_as_default(false).scheduler_file(&file);
    let hurried = builder.clone().timeout(Duration::ZERO).connect();
    let error = within("an error", hurried).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("scheduler.json"), "{error}");
    std::fs::write(&file, "{}").unwrap();
    // It waits for what is not there yet; the address of the file counts.
    let other = tokio::spawn(builder.address("tcp://127.0.0.1:1").connect());
    let client = &cluster.client;
    client.write_scheduler_file(&file).await.unwrap();
    let other = within("a client", other).await.unwrap().unwrap();
    assert_eq!(other.address(), client.address());
    let (ours, theirs) = (client.scheduler_info().await, other.scheduler_info().await);
    assert_eq!(ours.unwrap().id, theirs.unwrap().id);
    other.close().await.unwrap();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let nowhere = directory.path().join("nowhere/scheduler.json");
    assert!(client.write_scheduler_file(&nowhere).await.is_err());
}

#[tokio::test]
async fn tasks_wait_for_the_first_worker() {
    for address in ["inproc://0", "tcp://127.0.0.1:0"] {
        let builder = LocalCluster::builder().workers(0);
        let cluster = builder.scheduler_address(address).build().await.unwrap();
        let client = connect(cluster.address()).await;
        let futures = client.map(inc, 0..5);
        let waiting = {
            let client = client.clone();
            tokio::spawn(async move { client.wait_for_workers(1).await })
        };
        assert!(client.nthreads().await.unwrap().is_empty());
        assert!(futures.iter().all(|future| !future.done()));
        let first = Extra::join(&client, "first", &[]).await;
        within("the first worker", waiting).await.unwrap().unwrap();
        let values = within("the results", async { client.gather(&futures).await });
        assert_eq!(values.await.unwrap(), [1, 2, 3, 4, 5]);
        first.leave().await;
        client.close().await.unwrap();
        cluster.close().await;
    }
}

#[tokio::test]
async fn a_client_says_where_it_is_connected() {
    let cluster = Cluster::start(Over::Inproc, TWO_WORKERS).await;
    let builder = Client::builder().address(cluster.client.address());
    let client = builder.name("me").set_as_default(false).connect().await;
    let client = client.unwrap();
    assert_eq!(client.name(), "me");
    assert_eq!(format!("{client:?}"), format!("<Client: {}>", client.address()));
    client.close().await.unwrap();
    assert_eq!(format!("{client:?}"), format!("<Client: {}, closed>", client.address()));
    cluster.stop().await;
}

#[tokio::test]
async fn a_scheduler_tells_its_clients_what_else_it_serves() {
    let services = BTreeMap::from([("dashboard".to_owned(), 8787)]);
    let config = dask_scheduler::Config { services, ..Default::default() };
    let (address, transports) = ("tcp://127.0.0.1:0".parse().unwrap(), Transports::default());
    let scheduler = dask_scheduler::Scheduler::bind(config, &address, &transports).await.unwrap();
    let address = scheduler.address().clone();
    let running = tokio::spawn(scheduler.run(std::future::pending()));
    let client = connect(&address).await;
    assert_eq!(client.dashboard_link().unwrap(), "http://127.0.0.1:8787/status");
    client.shutdown().await.unwrap();
    within("the scheduler to end", running).await.unwrap().unwrap();
}
