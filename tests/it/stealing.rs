//! Idle workers take over what waits on others.

use dask_client::{Client, Future};
use support::cluster::{Cluster, TWO_WORKERS, connect, eventually};
use support::fault_tasks::{double, gated};
use support::gate::{Gate, Waiting};
use support::tasks::{labour, noise};

use crate::child::{Program, bounded};

on_every_transport! {
    TWO_WORKERS:
    what_waits_behind_a_long_task_is_done_by_another_worker,
    two_workers_share_what_was_given_to_one,
    what_may_run_on_one_worker_only_waits_for_it,
}

/// Keeps the worker of this name busy until the gate opens.
async fn occupy(client: &Client, gate: &Gate, name: &str) -> (Future<i64>, Waiting) {
    let options = client.options().workers([name]);
    let busy = options.submit(gated, (gate.address(), 0));
    (busy, gate.arrival().await)
}

/// Tasks that shall run on one worker if that is no trouble.
fn doubles(client: &Client, name: &str) -> Vec<Future<i64>> {
    client.options().workers([name]).allow_other_workers(true).map(double, 0..20)
}

async fn all_are_right(client: &Client, futures: &[Future<i64>]) {
    let expected: Vec<i64> = (0..20).map(|x| 2 * x).collect();
    assert_eq!(client.gather(futures).await.unwrap(), expected);
}

async fn what_waits_behind_a_long_task_is_done_by_another_worker(cluster: &Cluster) {
    let client = &cluster.client;
    let gate = Gate::new().await;
    let (busy, waiting) = occupy(client, &gate, "0").await;
    let futures = doubles(client, "0");
    // The gate is closed all the while.
    all_are_right(client, &futures).await;
    let workers = cluster.workers().await;
    let counts = client.finished_counts().await.unwrap();
    assert_eq!(counts[&workers[1]].get("double"), Some(&20), "{counts:?}");
    let story = client.story(futures[0].key().as_str()).await.unwrap();
    let says = |words: &str| story.iter().any(|line| line.contains(words));
    assert!(says("was asked for it") && says("gave it back"), "{story:?}");
    waiting.release().await;
    assert_eq!(busy.result().await.unwrap(), 0);
}

/// All tasks are given to the worker that has the data, which takes far less time to fetch than
/// waiting there would.
async fn two_workers_share_what_was_given_to_one(cluster: &Cluster) {
    let client = &cluster.client;
    let data = client.options().workers(["0"]).submit(noise, (1 << 20, 1));
    data.wait().await;
    let bytes = data.result().await.unwrap();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let options = client.options().workers(["0"]).allow_other_workers(true);
    let futures: Vec<Future<u64>> =
        (0..40).map(|i| options.submit(labour, (&data, 50, i))).collect();
    let expected: Vec<u64> = (0..40).map(|i| sum + i).collect();
    assert_eq!(client.gather(&futures).await.unwrap(), expected);
    let counts = client.finished_counts().await.unwrap();
    let shares: Vec<u64> = counts.values().filter_map(|c| c.get("labour")).copied().collect();
    assert_eq!(shares.iter().sum::<u64>(), 40);
    assert!(shares.len() == 2 && shares.iter().all(|share| *share >= 8), "{shares:?}");
}

async fn what_may_run_on_one_worker_only_waits_for_it(cluster: &Cluster) {
    let client = &cluster.client;
    let gate = Gate::new().await;
    let (busy, waiting) = occupy(client, &gate, "0").await;
    let restricted = client.options().workers(["0"]).pure(false).map(double, 0..20);
    // What is submitted later and may run anywhere is done; the other worker is idle then.
    all_are_right(client, &client.options().workers(["1"]).map(double, 0..20)).await;
    let workers = cluster.workers().await;
    let processing = client.processing().await.unwrap();
    assert_eq!(processing[&workers[0]].len(), 21);
    waiting.release().await;
    assert_eq!(busy.result().await.unwrap(), 0);
    all_are_right(client, &restricted).await;
    let counts = client.finished_counts().await.unwrap();
    assert_eq!(counts[&workers[0]].get("double"), Some(&20), "{counts:?}");
}

#[tokio::test]
async fn a_worker_that_joins_late_takes_over_what_waits() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let _first = Program::worker(&address, "one");
        let client = connect(&address.parse().unwrap()).await;
        client.wait_for_workers(1).await.unwrap();
        let gate = Gate::new().await;
        let (busy, waiting) = occupy(&client, &gate, "one").await;
        let futures = doubles(&client, "one");
        eventually("the tasks to be given to the only worker", async || {
            let processing = client.processing().await.unwrap();
            processing.values().any(|keys| keys.len() == 21).then_some(())
        })
        .await;
        let _second = Program::worker(&address, "two");
        all_are_right(&client, &futures).await;
        waiting.release().await;
        assert_eq!(busy.result().await.unwrap(), 0);
    })
    .await;
}
