//! What workers do, recorded: the task stream, and reports made of it.

use std::collections::BTreeSet;

use dask_client::{ActivityKind, Recorded, performance_report, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually, within};
use support::fault_tasks::{blob, panics, total};
use support::tasks::inc;

use crate::option::Extra;

on_every_transport! {
    TWO_WORKERS:
    runs_are_recorded_with_their_threads_and_times,
    what_is_fetched_is_recorded_too,
    a_report_is_one_file_that_tells_of_everything,
}

/// The keys of the runs among these.
fn keys(records: &[Recorded]) -> BTreeSet<String> {
    let run = |record: &Recorded| match &record.activity.kind {
        ActivityKind::Run { key, .. } => Some(key.to_string()),
        _ => None,
    };
    records.iter().filter_map(run).collect()
}

async fn runs_are_recorded_with_their_threads_and_times(cluster: &Cluster) {
    let client = &cluster.client;
    client.submit(inc, -1).await.unwrap();
    let stream = client.get_task_stream().await.unwrap();
    let futures = client.map(inc, 0..50);
    client.gather(&futures).await.unwrap();
    let failed = client.submit(panics, "no luck");
    failed.result().await.unwrap_err();
    let records = stream.data().await.unwrap();
    let expected = futures.iter().map(|future| future.key()).chain([failed.key()]);
    assert_eq!(keys(&records), expected.map(ToString::to_string).collect());
    let workers: BTreeSet<_> = cluster.workers().await.into_iter().collect();
    for record in &records {
        assert!(workers.contains(&record.worker));
        let activity = &record.activity;
        assert!(activity.start_unix_ns <= activity.stop_unix_ns && activity.start_unix_ns > 0);
        let ActivityKind::Run { prefix, ok, key, .. } = &activity.kind else {
            panic!("{record:?}")
        };
        assert_eq!((prefix == "panics", *ok), (key == failed.key(), key != failed.key()));
    }
    // A worker that joins later records too, and a stream that begins later has less.
    let extra = Extra::join(client, "extra", &[]).await;
    let later = client.get_task_stream().await.unwrap();
    let there = client.options().workers(["extra"]).submit(inc, 1000);
    there.wait().await;
    let records = later.data().await.unwrap();
    assert_eq!(keys(&records), [there.key().to_string()].into());
    assert_eq!(records[0].worker, extra.address);
    assert_eq!(stream.data().await.unwrap().len(), 52);
    extra.leave().await;
    // What another client asks for begins when it asks.
    let other = cluster.another_client().await;
    let first = other.get_task_stream().await.unwrap();
    assert!(first.data().await.unwrap().is_empty());
    other.close().await.unwrap();
}

async fn what_is_fetched_is_recorded_too(cluster: &Cluster) {
    let client = &cluster.client;
    let held = client.options().workers(["0"]).submit(blob, 50_000);
    wait(&held).await.unwrap();
    let stream = client.get_task_stream().await.unwrap();
    let sum = client.options().workers(["1"]).submit(total, &held);
    sum.result().await.unwrap();
    let records = stream.data().await.unwrap();
    let workers = cluster.workers().await;
    let fetch = records.iter().find_map(|record| match &record.activity.kind {
        ActivityKind::Fetch { peer, results, nbytes } => Some((record, peer, *results, *nbytes)),
        _ => None,
    });
    let (record, peer, results, nbytes) = fetch.unwrap();
    assert_eq!((&record.worker, peer, results), (&workers[1], &workers[0], 1));
    assert!(nbytes >= 50_000, "{nbytes}");
    assert_eq!(keys(&records), [sum.key().to_string()].into());
}

async fn a_report_is_one_file_that_tells_of_everything(cluster: &Cluster) {
    let client = &cluster.client;
    let report = performance_report(client).await.unwrap();
    let held = client.options().workers(["0"]).submit(blob, 50_000);
    client.options().workers(["1"]).submit(total, &held).await.unwrap();
    client.gather(client.map(inc, 0..20)).await.unwrap();
    let path =
        std::env::temp_dir().join(format!("report-{}-{}.html", std::process::id(), client.name()));
    within("a report", report.save(&path)).await.unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for word in ["<svg", "inc", "blob", "total", "Bandwidth", client.address().as_str()] {
        assert!(page.contains(word), "{word} is not in {page}");
    }
    // A bar for each run and for the fetch, and nothing that a browser would have to fetch.
    assert_eq!(page.matches("<rect").count(), 23, "{page}");
    assert!(!page.contains("src=") && !page.contains("href="), "{page}");
    let error = report.save("/nowhere/at/all.html").await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let stream = client.get_task_stream().unwrap();
    let report = dask_client::blocking::performance_report(&client).unwrap();
    client.submit(inc, 1).result().unwrap();
    assert_eq!(stream.block().unwrap().len(), 1);
    let path = std::env::temp_dir().join(format!("report-{}-blocking.html", std::process::id()));
    report.block(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("inc"));
    std::fs::remove_file(&path).unwrap();
    client.close().unwrap();
}

#[tokio::test]
async fn nothing_is_recorded_once_nobody_is_interested() {
    let cluster = Cluster::start(support::cluster::Over::Inproc, TWO_WORKERS).await;
    let other = cluster.another_client().await;
    let stream = other.get_task_stream().await.unwrap();
    other.submit(inc, 1).await.unwrap();
    assert_eq!(stream.data().await.unwrap().len(), 1);
    other.close().await.unwrap();
    assert!(stream.data().await.unwrap_err().is_closed());
    let gone = async || (cluster.client.scheduler_info().await.unwrap().clients == 1).then_some(());
    eventually("the other client to be gone", gone).await;
    cluster.client.submit(inc, 2).await.unwrap();
    let stream = cluster.client.get_task_stream().await.unwrap();
    assert!(stream.data().await.unwrap().is_empty());
    cluster.stop().await;
}
