//! Where tasks spend their time, and how much memory they take.

use std::future::IntoFuture;
use std::time::Duration;

use dask_client::{CallStack, Client, Future, MemoryMeasure, MemorySampler, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually, within};
use support::fault_tasks::blob;
use support::run_tasks::{nested, nested_aside, nested_async, spin};
use support::stage::{Stage, perform};
use support::tasks::inc;

use crate::child::says;

on_every_transport! {
    TWO_WORKERS:
    a_profile_tells_functions_that_wait_from_those_that_compute,
    the_functions_that_a_task_calls_are_in_the_profile_in_their_order,
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
    let seen = async {
        loop {
            let profile = client.profile().duration(short).interval(short / 10).await.unwrap();
            let is_in = |index: usize, function: &str, activity: &str| {
                let is_it = |stack: &Vec<String>| {
                    stack[0] == function && stack.last().is_some_and(|last| last == activity)
                };
                profile.samples[&workers[index]].keys().any(is_it)
            };
            if is_in(0, "support::stage::perform", "waiting")
                && is_in(1, "support::run_tasks::spin", "computing")
            {
                return profile;
            }
        }
    };
    let profile = within("both to be seen", seen).await;
    let folded = profile.to_string();
    let line = format!("{};support::run_tasks::spin;", workers[1]);
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

/// Looks until a task was found, in the profile and by its stack, in the functions that it calls,
/// in their order.
async fn see_nested(client: &Client, future: &Future<u64>, function: &str) {
    let chain = ["::first_step", "::second_step", "::spin"];
    let calls = |stack: &[&str]| {
        let mut inside = stack.iter().skip(1);
        stack[0] == format!("support::run_tasks::{function}")
            && chain.iter().all(|wanted| inside.any(|frame| frame.ends_with(wanted)))
    };
    eventually("the functions to be in the profile", async || {
        let profile = client.profile().duration(Duration::from_millis(30)).await.unwrap();
        let is_it = |stack: &Vec<String>| {
            let stack: Vec<&str> = stack.iter().map(String::as_str).collect();
            calls(&stack)
        };
        profile.merged().keys().any(is_it).then_some(())
    })
    .await;
    let found = eventually("the functions to be on the stack", async || {
        let stacks = client.call_stack(future).await.unwrap().into_values().flatten();
        let is_it = |stack: &CallStack| {
            let frames: Vec<&str> = stack.frames.iter().map(|f| f.function.as_str()).collect();
            calls(&frames)
        };
        stacks.into_iter().find(is_it)
    })
    .await;
    let step = found.frames.iter().find(|frame| frame.function.ends_with("::first_step"));
    assert!(step.unwrap().file.as_ref().unwrap().ends_with("run_tasks.rs"), "{found}");
    assert!(found.to_string().contains("run_tasks.rs:"), "{found}");
}

async fn the_functions_that_a_task_calls_are_in_the_profile_in_their_order(cluster: &Cluster) {
    let client = &cluster.client;
    for function in ["nested", "nested_async", "nested_aside"] {
        let name = format!("{function}-{}-{}", std::process::id(), client.name());
        let stop = std::env::temp_dir().join(name);
        let path = stop.to_str().unwrap();
        let future = match function {
            "nested" => client.submit(nested, path),
            "nested_async" => client.submit(nested_async, path),
            _ => client.submit(nested_aside, path),
        };
        see_nested(client, &future, function).await;
        std::fs::write(&stop, "").unwrap();
        future.wait().await;
        std::fs::remove_file(&stop).unwrap();
    }
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
    let profile =
        client.asynchronous().profile().duration(Duration::from_millis(5)).block().unwrap();
    assert_eq!(profile.samples.len(), 1);
    assert_eq!(client.submit(inc, 1).result().unwrap(), 2);
    client.close().unwrap();
}
