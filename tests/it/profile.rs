//! Where tasks spend their time, and how much memory they take.

use std::future::IntoFuture;
use std::time::Duration;

use dask_client::{MemoryMeasure, MemorySampler, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually, within};
use support::fault_tasks::blob;
use support::run_tasks::spin;
use support::stage::{Stage, perform};
use support::tasks::inc;

use crate::child::says;

on_every_transport! {
    TWO_WORKERS:
    a_profile_tells_functions_that_wait_from_those_that_compute,
    memory_is_sampled_while_something_runs,
    the_hardware_is_measured_in_pieces_of_every_size,
}

async fn a_profile_tells_functions_that_wait_from_those_that_compute(cluster: &Cluster) {
    let client = &cluster.client;
    let workers = cluster.workers().await;
    let short = Duration::from_millis(30);
    let idle = client.profile().duration(short).interval(short / 10).await.unwrap();
    assert!(idle.merged().is_empty() && idle.samples.len() == 2, "{idle}");
    let stage = Stage::new().await;
    let waiting = client.options().workers(["0"]).submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let directory = std::env::temp_dir();
    let stop = directory.join(format!("spin-{}-{}", std::process::id(), client.name()));
    let path = stop.to_str().unwrap().to_owned();
    let spinning = client.options().workers(["1"]).submit(spin, path);
    // Until both have been seen: a thread takes its time to start, or the machine is busy.
    let (waits, computes) = (
        vec!["support::stage::perform".to_owned(), "waiting".to_owned()],
        vec!["support::run_tasks::spin".to_owned(), "computing".to_owned()],
    );
    let seen = async {
        loop {
            let profile = client.profile().duration(short).interval(short / 10).await.unwrap();
            let of = |index: usize| &profile.samples[&workers[index]];
            if of(0).contains_key(&waits) && of(1).contains_key(&computes) {
                return profile;
            }
        }
    };
    let profile = within("both to be seen", seen).await;
    let folded = profile.to_string();
    let line = format!("{};support::run_tasks::spin;computing ", workers[1]);
    assert!(folded.lines().any(|text| text.starts_with(&line)), "{folded}");
    let one = client.profile().workers(["0"]).duration(short).await.unwrap();
    assert_eq!(one.samples.keys().collect::<Vec<_>>(), [&workers[0]]);
    let error = client.profile().workers(["nobody"]).await.unwrap_err();
    says(&error, &["no worker nobody is connected"]);
    std::fs::write(&stop, "").unwrap();
    performer.give(1).await;
    wait(&spinning).await.unwrap();
    waiting.wait().await;
    std::fs::remove_file(&stop).unwrap();
}

async fn memory_is_sampled_while_something_runs(cluster: &Cluster) {
    let client = &cluster.client;
    let sampler = MemorySampler::new();
    let sampling = sampler.sample("results", client).measure(MemoryMeasure::Managed);
    let sampling = sampling.interval(Duration::from_millis(5)).await.unwrap();
    let processes = sampler.sample("processes", client).await.unwrap();
    let held = client.map(blob, (0..4).map(|i| 100_000 + i));
    wait(&held).await.unwrap();
    sampling.stop().await;
    processes.stop().await;
    let samples = sampler.samples();
    let results = &samples["results"];
    assert_eq!(results[0].nbytes, 0);
    assert!(results[results.len() - 1].nbytes >= 400_000, "{results:?}");
    assert!(results.is_sorted_by_key(|sample| sample.at));
    assert!(samples["processes"].len() >= 2);
    let csv = sampler.to_csv();
    assert!(csv.starts_with("label,seconds,bytes\n\"processes\",0."), "{csv}");
    assert_eq!(csv.lines().count(), 1 + results.len() + samples["processes"].len());
}

async fn the_hardware_is_measured_in_pieces_of_every_size(cluster: &Cluster) {
    let benchmark = cluster.client.benchmark_hardware().each(Duration::from_millis(2));
    let found = within("a benchmark", benchmark.largest(1 << 20).into_future()).await.unwrap();
    assert_eq!(found.disk.keys().copied().collect::<Vec<_>>(), [1 << 10, 100 << 10, 1 << 20]);
    assert_eq!(found.memory.len(), 4);
    assert_eq!(found.network.len(), 4);
    let speeds = found.disk.values().chain(found.memory.values()).chain(found.network.values());
    assert!(speeds.clone().all(|speed| *speed > 0.0 && speed.is_finite()), "{found:?}");
    // What was scattered for it is gone.
    let empty = async || {
        let held = cluster.client.has_what().await.unwrap();
        held.values().all(Vec::is_empty).then_some(())
    };
    eventually("the data to be dropped", empty).await;
}

#[test]
fn the_verb_blocks_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let profile = client.profile().duration(Duration::from_millis(5)).block().unwrap();
    assert_eq!(profile.samples.len(), 1);
    assert_eq!(client.submit(inc, 1).result().unwrap(), 2);
    client.close().unwrap();
}
