//! Where results are: copied, moved, handed over by workers that leave, and removed.

use std::collections::BTreeMap;

use dask_client::{Address, Client, Future, as_completed, wait};
use dask_proto::role::exit::RETIRED;
use support::cluster::{Cluster, TWO_WORKERS, eventually};
use support::fault_tasks::{blob, double, total};
use support::tasks::{noise, weigh};

use crate::child::{Processes, Program, bounded, cluster, goes_on, says};

/// The number of bytes of a result that stays on its worker.
const LARGE: u64 = 100_000;

on_every_transport! {
    TWO_WORKERS:
    results_are_replicated_and_the_copies_stay,
    results_are_moved_until_workers_hold_as_much,
    what_cannot_be_copied_is_said,
    superfluous_copies_stay_while_the_manager_is_stopped,
}

async fn results_are_replicated_and_the_copies_stay(cluster: &Cluster) {
    let client = &cluster.client;
    let futures: Vec<Future<Vec<u8>>> = client.map(noise, (0..6).map(|i| (1 << 16, i)));
    // Not waited for: the verb does that.
    client.replicate(&futures).n(2).await.unwrap();
    let holders = client.who_has(&futures).await.unwrap();
    assert!(holders.values().all(|holders| holders.len() == 2), "{holders:?}");
    client.replicate(&futures).await.unwrap();
    let workers = cluster.workers().await;
    let one = client.options().workers(["0"]).pure(false).submit(noise, (1 << 16, 9));
    client.replicate(&one).workers(["1"]).await.unwrap();
    let mut holders = client.who_has(&one).await.unwrap()[one.key()].clone();
    holders.sort_by_key(|holder| workers.iter().position(|worker| worker == holder));
    assert_eq!(holders, workers);
    assert_eq!(cluster.finished("noise").await, 7);
}

async fn results_are_moved_until_workers_hold_as_much(cluster: &Cluster) {
    let client = &cluster.client;
    let options = client.options().workers(["0"]);
    let futures = options.map(noise, (0..10).map(|i| (1 << 16, i)));
    wait(&futures).await.unwrap();
    assert_eq!(held(client, &futures).await.len(), 1);
    client.rebalance(&futures).await.unwrap();
    let counts: Vec<usize> = held(client, &futures).await.into_values().collect();
    assert_eq!(counts, [5, 5]);
    client.rebalance_all().await.unwrap();
    let weights = client.map(weigh, &futures);
    for (weight, _) in client.gather(&weights).await.unwrap() {
        assert_eq!(weight, 1 << 16);
    }
    assert_eq!(cluster.finished("noise").await, 10);
}

async fn superfluous_copies_stay_while_the_manager_is_stopped(cluster: &Cluster) {
    let (client, amm) = (&cluster.client, cluster.client.amm());
    assert!(amm.running().await.unwrap());
    amm.stop().await.unwrap();
    assert!(!amm.running().await.unwrap());
    let data = client.options().workers(["0"]).submit(noise, (1 << 16, 1));
    // Its worker fetches the data, and keeps it.
    let weight = client.options().workers(["1"]).submit(weigh, &data);
    wait([&weight]).await.unwrap();
    assert_eq!(held(client, std::slice::from_ref(&data)).await.len(), 2);
    amm.run_once().await.unwrap();
    assert_eq!(held(client, std::slice::from_ref(&data)).await.len(), 1);
    assert!(!amm.running().await.unwrap());
    amm.start().await.unwrap();
    assert!(amm.running().await.unwrap());
    assert_eq!(weight.await.unwrap().0, 1 << 16);
}

async fn what_cannot_be_copied_is_said(cluster: &Cluster) {
    let client = &cluster.client;
    let future = client.submit(noise, (1 << 16, 1));
    let error = client.replicate(&future).workers(["nobody"]).await.unwrap_err();
    says(&error, &["no worker nobody is connected"]);
    let failing = client.submit(support::tasks::parse, "no number");
    let error = client.replicate(&failing).n(2).await.unwrap_err();
    says(&error, &["1 results could not be copied", failing.key().as_str()]);
    let error = client.rebalance(&failing).await.unwrap_err();
    says(&error, &["1 results could not be copied", failing.key().as_str()]);
    client.cancel(&future).await.unwrap();
    let error = client.replicate(&future).await.unwrap_err();
    says(&error, &["does not know future"]);
    let none: [&str; 0] = [];
    assert_eq!(client.retire_workers(none).await.unwrap(), []);
    assert_eq!(client.scheduler_info().await.unwrap().workers.len(), 2);
}

/// How many of the results each worker holds.
async fn held<T: dask_client::Value>(
    client: &Client,
    futures: &[Future<T>],
) -> BTreeMap<Address, usize> {
    let mut held = BTreeMap::new();
    for holder in client.who_has(futures).await.unwrap().into_values().flatten() {
        *held.entry(holder).or_default() += 1;
    }
    held
}

/// How often a task was computed.
async fn runs<T: dask_client::Value>(client: &Client, future: &Future<T>) -> usize {
    let story = client.story(future.key().as_str()).await.unwrap();
    story.iter().filter(|line| line.contains("-> memory")).count()
}

#[tokio::test]
async fn a_replicated_result_outlives_a_process_that_held_it() {
    bounded(async {
        let cluster = Processes::start().await;
        let client = cluster.client().await;
        let futures = client.map(blob, (0..20).map(|i| LARGE + i));
        client.replicate(&futures).n(2).await.unwrap();
        cluster.workers[0].kill();
        eventually("the loss of a worker", async || {
            let info = client.scheduler_info().await.unwrap();
            (info.workers.len() == 1).then_some(())
        })
        .await;
        for (future, n) in futures.iter().zip(LARGE..) {
            assert_eq!(future.result().await.unwrap().len() as u64, n);
            assert_eq!(runs(&client, future).await, 1, "{future:?} was computed again");
        }
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_retires_in_the_middle_of_many_tasks_costs_none() {
    bounded(async {
        let mut cluster = Processes::start().await;
        let client = cluster.client().await;
        let blobs = client.map(blob, (0..200).map(|i| LARGE / 10 + i));
        let mut done = as_completed(&blobs);
        for _ in 0..20 {
            done.next().await.unwrap();
        }
        let one = worker_named(&client, "one").await;
        assert_eq!(client.retire_workers(["one"]).await.unwrap(), [one]);
        // Its process ends of its own accord.
        let (status, errors) = cluster.workers[0].ended().await;
        assert_eq!(status.code(), Some(RETIRED), "{status}: {errors}");
        let sums = client.map(total, &blobs);
        wait(&sums).await.unwrap();
        for (future, n) in blobs.iter().zip(LARGE / 10..) {
            assert_eq!(future.result().await.unwrap().len() as u64, n);
            assert_eq!(runs(&client, future).await, 1, "{future:?} was computed again");
        }
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn workers_that_have_nowhere_to_put_their_results_do_not_retire() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let futures = client.map(blob, (0..10).map(|i| LARGE + i));
        wait(&futures).await.unwrap();
        let error = client.retire_workers(["0", "1"]).await.unwrap_err();
        says(&error, &["results could not be copied to another worker"]);
        assert_eq!(client.scheduler_info().await.unwrap().workers.len(), 2);
        for future in &futures {
            future.result().await.unwrap();
            assert_eq!(runs(&client, future).await, 1, "{future:?} was computed again");
        }
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn an_idle_worker_is_chosen_to_retire() {
    bounded(async {
        let cluster = Processes::start().await;
        let mut third = Program::worker(&cluster.address, "three");
        third.says("Worker at: ").await;
        let client = cluster.client().await;
        client.wait_for_workers(3).await.unwrap();
        let held = client.options().workers(["one"]).submit(blob, LARGE);
        let other = client.options().workers(["two"]).submit(blob, LARGE + 1);
        wait([&held, &other]).await.unwrap();
        let three = worker_named(&client, "three").await;
        assert_eq!(client.retire_idle_workers().n(1).await.unwrap(), [three]);
        let (status, errors) = third.ended().await;
        assert_eq!(status.code(), Some(RETIRED), "{status}: {errors}");
        assert_eq!(client.submit(total, &held).result().await.unwrap(), sum_of(LARGE));
    })
    .await;
}

fn sum_of(n: u64) -> u64 {
    (0..n).map(|i| u64::from(support::fault_tasks::byte(i))).sum()
}

#[tokio::test]
async fn copies_that_nobody_needs_are_removed_after_a_while() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let future = client.options().workers(["0"]).submit(blob, LARGE);
        let sum = client.options().workers(["1"]).submit(total, &future);
        assert_eq!(sum.result().await.unwrap(), sum_of(LARGE));
        let kept = client.options().workers(["0"]).submit(blob, LARGE + 1);
        client.replicate(&kept).n(2).await.unwrap();
        eventually("a copy to be removed", async || {
            let holders = client.who_has(&future).await.unwrap();
            (holders[future.key()].len() == 1).then_some(())
        })
        .await;
        assert_eq!(future.result().await.unwrap().len() as u64, LARGE);
        assert_eq!(client.who_has(&kept).await.unwrap()[kept.key()].len(), 2);
        assert_eq!(runs(&client, &future).await, 1);
    })
    .await;
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let futures = client.map(double, 0..3);
    client.replicate(&futures).unwrap();
    client.options().n(2).replicate(&futures).unwrap();
    client.rebalance(&futures).unwrap();
    client.options().workers(["0"]).rebalance(&futures).unwrap();
    client.rebalance_all().unwrap();
    client.amm().stop().unwrap();
    client.amm().run_once().unwrap();
    assert!(!client.amm().running().unwrap());
    client.amm().start().unwrap();
    let error = client.retire_idle_workers().unwrap_err();
    says(&error, &["results could not be copied to another worker"]);
    assert_eq!(client.gather(&futures).unwrap(), [0, 2, 4]);
    client.close().unwrap();
}

/// The address of the worker with a name.
async fn worker_named(client: &Client, name: &str) -> Address {
    let info = client.scheduler_info().await.unwrap();
    let worker = info.workers.into_iter().find(|worker| worker.name == name);
    worker.unwrap().address
}
