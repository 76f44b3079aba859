//! Clusters that start afresh, and workers that are started again.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::time::Duration;

use dask_client::{Address, Client, wait};
use support::cluster::{Cluster, Over, TWO_WORKERS, within};
use support::fault_tasks::{blob, double, gated, pid};
use support::gate::Gate;
use support::tasks::inc;

use crate::child::{Processes, bounded, cluster, goes_on, says};

on_every_transport! {
    TWO_WORKERS:
    a_restart_cancels_everything_and_brings_every_worker_back,
    some_workers_restart_and_what_they_held_is_computed_again,
}

/// Each worker by its name.
async fn workers(client: &Client) -> BTreeMap<String, (Address, u32)> {
    let info = client.scheduler_info().await.unwrap();
    let workers = info.workers.into_iter();
    workers.map(|worker| (worker.name, (worker.address, worker.pid))).collect()
}

async fn a_restart_cancels_everything_and_brings_every_worker_back(cluster: &Cluster) {
    let client = &cluster.client;
    let other = cluster.another_client().await;
    let before = workers(client).await;
    let done = client.map(double, 0..10);
    wait(&done).await.unwrap();
    let stuck = client.options().resources([("GPU", 1.0)]).submit(double, 99);
    let theirs = other.submit(inc, 7);
    wait(&theirs).await.unwrap();
    let restart = client.restart();
    within("a restart", restart.into_future()).await.unwrap();
    for future in done.iter().chain([&stuck, &theirs]) {
        let error = future.result().await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        says(&error, &["the cluster was restarted"]);
    }
    let after = workers(client).await;
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, (address, process)) in &after {
        assert_ne!(before[name].0, *address, "{name} is the old one");
        let is_process = matches!(cluster.over, Over::Processes(_));
        assert_eq!(before[name].1 != *process, is_process, "{name}");
    }
    assert!(client.has_what().await.unwrap().values().all(Vec::is_empty));
    assert_eq!(client.submit(double, 4).await.unwrap(), 8);
    goes_on(&other).await;
    other.close().await.unwrap();
}

async fn some_workers_restart_and_what_they_held_is_computed_again(cluster: &Cluster) {
    let client = &cluster.client;
    let before = workers(client).await;
    let held = client.options().workers(["0"]).submit(blob, 5000);
    let kept = client.options().workers(["1"]).submit(blob, 6000);
    wait([&held, &kept]).await.unwrap();
    let restart = client.restart_workers(["0"]);
    within("a restart", restart.into_future()).await.unwrap();
    let after = workers(client).await;
    assert_ne!(before["0"].0, after["0"].0);
    assert_eq!(before["1"], after["1"]);
    assert_eq!(held.result().await.unwrap().len(), 5000);
    assert_eq!(kept.result().await.unwrap().len(), 6000);
    let error = client.restart_workers(["nobody"]).await.unwrap_err();
    says(&error, &["no worker nobody is connected"]);
    let nobody: [&str; 0] = [];
    client.restart_workers(nobody).await.unwrap();
    assert_eq!(workers(client).await, after);
}

#[tokio::test]
async fn workers_that_nothing_watches_drop_everything_and_stay() {
    bounded(async {
        let cluster = Processes::start().await;
        let client = cluster.client().await;
        let before = workers(&client).await;
        let future = client.submit(blob, 5000);
        wait(&future).await.unwrap();
        client.restart().await.unwrap();
        assert!(future.result().await.unwrap_err().is_cancelled());
        assert_eq!(workers(&client).await, before);
        let error = client.restart_workers(["one"]).await.unwrap_err();
        says(&error, &[before["one"].0.as_str(), "nothing starts this worker again"]);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_restart_ends_tasks_that_run_and_takes_no_longer_than_it_may() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let gate = Gate::new().await;
        let running = client.submit(gated, (gate.address(), 1_i64));
        let mut inside = gate.arrival().await;
        let restart = client.restart().timeout(Duration::ZERO);
        assert!(restart.await.unwrap_err().is_timeout());
        client.wait_for_workers(2).await.unwrap();
        assert!(running.result().await.unwrap_err().is_cancelled());
        inside.gone().await;
        let pids = client.run(pid, ()).await.unwrap();
        assert!(pids.values().all(|one| *one != inside.pid), "the old process goes on");
        goes_on(&client).await;
    })
    .await;
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let future = client.submit(double, 1);
    client.restart().unwrap();
    assert!(future.result().unwrap_err().is_cancelled());
    client.options().timeout(Duration::from_secs(60)).restart_workers(["0"]).unwrap();
    assert_eq!(client.submit(double, 2).result().unwrap(), 4);
    client.close().unwrap();
}
