//! Clusters that grow and shrink.

use std::time::Duration;

use dask_client::{Future, LocalCluster, wait};
use support::cluster::{Cluster, TWO_WORKERS, connect, eventually, within};
use support::fault_tasks::{blob, double};
use support::stage::{Stage, perform};

use crate::child::{FIXTURE, bounded, goes_on};

on_every_transport! {
    TWO_WORKERS:
    a_cluster_grows_and_shrinks_and_loses_nothing,
    work_that_is_left_without_workers_waits_for_them,
    a_cluster_adapts_to_its_work,
}

async fn a_cluster_grows_and_shrinks_and_loses_nothing(cluster: &Cluster) {
    let client = &cluster.client;
    let local = cluster.local();
    within("more workers", local.scale(4)).await.unwrap();
    let info = client.scheduler_info().await.unwrap();
    let mut names: Vec<_> = info.workers.iter().map(|worker| &*worker.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["0", "1", "2", "3"]);
    let futures = client.map(blob, (0..20).map(|i| 2000 + i));
    wait(&futures).await.unwrap();
    within("fewer workers", local.scale(1)).await.unwrap();
    assert_eq!(client.scheduler_info().await.unwrap().workers.len(), 1);
    for (future, n) in futures.iter().zip(2000..) {
        assert_eq!(future.result().await.unwrap().len(), n);
        let story = client.story(future.key()).await.unwrap();
        let runs = story.iter().filter(|line| line.contains("-> memory")).count();
        assert_eq!(runs, 1, "{future:?} was computed again");
    }
    // No name is used twice.
    within("one more", local.scale(2)).await.unwrap();
    let info = client.scheduler_info().await.unwrap();
    assert!(info.workers.iter().any(|worker| worker.name == "4"), "{info:?}");
    within("as many as there are", local.scale(2)).await.unwrap();
    goes_on(client).await;
}

async fn work_that_is_left_without_workers_waits_for_them(cluster: &Cluster) {
    let client = &cluster.client;
    let local = cluster.local();
    let stage = Stage::new().await;
    let done = client.submit(blob, 3000);
    wait(&done).await.unwrap();
    let running = client.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    within("no workers", local.scale(0)).await.unwrap();
    drop(performer);
    // The scheduler hears of the last one's end behind it.
    eventually("the scheduler knows", async || {
        client.nthreads().await.unwrap().is_empty().then_some(())
    })
    .await;
    let pending: Vec<Future<i64>> = client.map(double, 0..5);
    assert!(pending.iter().all(|future| !future.done()));
    within("two workers", local.scale(2)).await.unwrap();
    assert_eq!(client.gather(&pending).await.unwrap(), [0, 2, 4, 6, 8]);
    // What went with the last worker is computed again.
    assert_eq!(done.result().await.unwrap().len(), 3000);
    let again = async {
        tokio::select! {
            value = running.result() => value,
            performer = stage.entrance() => {
                performer.give(7).await;
                running.result().await
            }
        }
    };
    assert_eq!(within("the task", again).await.unwrap(), 7);
}

async fn a_cluster_adapts_to_its_work(cluster: &Cluster) {
    let client = &cluster.client;
    let local = cluster.local();
    let adaptive = local.adapt(0, 3).interval(Duration::from_millis(5)).wait_count(2);
    let adaptive = adaptive.target_duration(Duration::from_millis(100)).await.unwrap();
    let count = async |n: usize| {
        eventually(&format!("{n} workers"), async || {
            (client.nthreads().await.unwrap().len() == n).then_some(())
        })
        .await;
    };
    // Nothing to do, nobody there.
    count(0).await;
    let stage = Stage::new().await;
    let calls = ["a", "b", "c", "d", "e"].map(|name| (stage.address(), name));
    let futures = client.map(perform, calls);
    // Three at once, and not more.
    count(3).await;
    let performers = [stage.entrance().await, stage.entrance().await, stage.entrance().await];
    for performer in performers {
        performer.give(1).await;
    }
    for _ in 0..2 {
        stage.entrance().await.give(1).await;
    }
    assert_eq!(client.gather(&futures).await.unwrap(), [1; 5]);
    // Results are not let go of with the last worker.
    count(1).await;
    drop(futures);
    count(0).await;
    goes_on(client).await;
    adaptive.stop();
}

#[tokio::test]
async fn a_process_that_was_retired_is_not_started_again() {
    bounded(async {
        let builder = LocalCluster::builder().workers(2).threads_per_worker(1).program(FIXTURE);
        let cluster = builder.build().await.unwrap();
        let client = connect(cluster.address()).await;
        assert_eq!(client.retire_workers(["0"]).await.unwrap().len(), 1);
        // The cluster knows, as soon as the process has ended.
        eventually("another worker in its place", async || {
            cluster.scale(2).await.unwrap();
            let info = client.scheduler_info().await.unwrap();
            info.workers.iter().any(|worker| worker.name == "2").then_some(())
        })
        .await;
        let info = client.scheduler_info().await.unwrap();
        assert!(info.workers.iter().all(|worker| worker.name != "0"), "{info:?}");
        goes_on(&client).await;
        client.close().await.unwrap();
        cluster.close().await;
    })
    .await;
}
