//! Plugins of workers and of the scheduler.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use dask_client::{CurrentWorker, LocalCluster, PluginError, WorkerPlugin};
use serde::{Deserialize, Serialize};
use support::cluster::{Cluster, TWO_WORKERS, connect, eventually};
use support::fault_tasks::{double, panics};
use support::plugins::{Clumsy, Tracer, Watch};

use crate::child::{goes_on, says};
use crate::option::Extra;

on_every_transport! {
    TWO_WORKERS:
    a_worker_plugin_is_on_every_worker_also_on_those_that_join_later,
    a_worker_plugin_that_goes_wrong_harms_nothing,
    a_scheduler_plugin_hears_what_happens,
    a_plugin_that_is_not_registered_is_refused,
}

fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn directory() -> PathBuf {
    let directory = std::env::temp_dir().join(unique("plugin"));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Resolves when there is such a trace.
async fn trace(directory: &Path, name: &str) {
    let path = directory.join(name);
    eventually(name, async || path.exists().then_some(())).await;
}

async fn a_worker_plugin_is_on_every_worker_also_on_those_that_join_later(cluster: &Cluster) {
    let client = &cluster.client;
    let directory = directory();
    let tracer = Tracer { directory: directory.clone() };
    client.register_plugin(tracer).name("tracer").await.unwrap();
    let there = |name: &str| directory.join(name).exists();
    assert!(there("setup 0") && there("setup 1"));
    let future = client.submit(double, 4);
    let failed = client.submit(panics, "no luck");
    future.result().await.unwrap();
    failed.result().await.unwrap_err();
    for (future, end) in [(future.key(), "memory"), (failed.key(), "error")] {
        trace(&directory, &format!("{future} ready executing")).await;
        trace(&directory, &format!("{future} executing {end}")).await;
    }
    let extra = Extra::join(client, "extra", &[]).await;
    client.options().workers(["extra"]).submit(double, 5).await.unwrap();
    assert!(there("setup extra"), "it was set up ahead of the first task");
    extra.leave().await;
    trace(&directory, "teardown extra").await;
    client.unregister_worker_plugin("tracer").await.unwrap();
    assert!(there("teardown 0") && there("teardown 1"));
    let later = client.submit(double, 6);
    later.result().await.unwrap();
    assert!(!there(&format!("{} ready executing", later.key())));
    let error = client.unregister_worker_plugin("tracer").await.unwrap_err();
    says(&error, &["no file or plugin tracer is registered"]);
    std::fs::remove_dir_all(&directory).unwrap();
}

async fn a_worker_plugin_that_goes_wrong_harms_nothing(cluster: &Cluster) {
    let client = &cluster.client;
    let clumsy = |place: &str| Clumsy { place: place.to_owned() };
    let error = client.register_plugin(clumsy("fail")).name("clumsy").await.unwrap_err();
    says(&error, &["plugin clumsy", "it has no mind to"]);
    let error = client.register_plugin(clumsy("setup")).name("clumsy").await.unwrap_err();
    says(&error, &["plugin clumsy", "it panicked in setup: it stumbled"]);
    let workers = cluster.workers().await;
    assert!(workers.iter().any(|worker| error.to_string().contains(worker.as_str())), "{error}");
    client.register_plugin(clumsy("transition")).name("clumsy").await.unwrap();
    goes_on(client).await;
    eventually("the log to tell of it", async || {
        let logs = client.get_worker_logs().await.unwrap();
        let told = "plugin clumsy panicked in transition: it stumbled";
        logs.values().flatten().any(|line| line.message.contains(told)).then_some(())
    })
    .await;
    client.unregister_worker_plugin("clumsy").await.unwrap();
    goes_on(client).await;
}

async fn a_scheduler_plugin_hears_what_happens(cluster: &Cluster) {
    let client = &cluster.client;
    let name = unique("watch");
    let watch = Watch { name: name.clone(), panics: false };
    client.register_plugin(watch).name("watch").await.unwrap();
    let heard = async |text: String| {
        eventually(&text, async || Watch::heard(&name).contains(&text).then_some(())).await;
    };
    heard(format!("start {}", client.address())).await;
    let future = client.submit(double, 4);
    future.result().await.unwrap();
    for (start, finish) in [("released", "waiting"), ("processing", "memory")] {
        heard(format!("{} {start} {finish}", future.key())).await;
    }
    let extra = Extra::join(client, "extra", &[]).await;
    extra.leave().await;
    heard("no worker extra".to_owned()).await;
    let other = cluster.another_client().await;
    let other_name = other.name().to_owned();
    other.close().await.unwrap();
    heard(format!("no client {other_name}")).await;
    let notes = Watch::heard(&name);
    let place = |text: &str| notes.iter().position(|note| *note == text).unwrap();
    assert!(place("worker extra") < place("no worker extra"), "{notes:?}");
    assert!(place(&format!("client {other_name}")) > place("no worker extra"), "{notes:?}");
    client.restart().await.unwrap();
    heard("restart".to_owned()).await;
    // One that panics at all of it goes on, and so does everything else.
    let clumsy = unique("clumsy");
    let watch = Watch { name: clumsy.clone(), panics: true };
    client.register_plugin(watch).name("clumsy").await.unwrap();
    let future = client.submit(double, 5);
    future.result().await.unwrap();
    heard(format!("{} processing memory", future.key())).await;
    eventually("the clumsy one", async || (Watch::heard(&clumsy).len() > 3).then_some(())).await;
    for name in ["watch", "clumsy"] {
        client.unregister_scheduler_plugin(name).await.unwrap();
    }
    heard("close".to_owned()).await;
    let error = client.unregister_scheduler_plugin("watch").await.unwrap_err();
    says(&error, &["no plugin watch is registered"]);
    goes_on(client).await;
}

/// A plugin that nobody registered.
#[derive(Clone, Serialize, Deserialize)]
struct Stranger;

impl WorkerPlugin for Stranger {
    fn setup(&self, _: &CurrentWorker) -> Result<(), PluginError> {
        unreachable!("nobody has it")
    }
}

async fn a_plugin_that_is_not_registered_is_refused(cluster: &Cluster) {
    let client = &cluster.client;
    let error = client.register_plugin(Stranger).await.unwrap_err();
    says(&error, &["this program has no worker plugin", "Stranger"]);
    goes_on(client).await;
}

#[tokio::test]
async fn a_plugin_of_the_builder_hears_everything_from_the_start() {
    let name = unique("watch");
    let watch = Watch { name: name.clone(), panics: false };
    let builder = LocalCluster::builder().workers(1).scheduler_plugin("watch", watch);
    let cluster = builder.build().await.unwrap();
    let client = connect(cluster.address()).await;
    client.submit(double, 1).await.unwrap();
    client.close().await.unwrap();
    cluster.close().await;
    eventually("the end", async || Watch::heard(&name).contains(&"close".to_owned()).then_some(()))
        .await;
    let notes = Watch::heard(&name);
    assert!(notes[0].starts_with("start "), "{notes:?}");
    assert!(notes.contains(&"worker 0".to_owned()), "{notes:?}");
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let directory = directory();
    let tracer = Tracer { directory: directory.clone() };
    client.asynchronous().register_plugin(tracer).name("tracer").block().unwrap();
    client.unregister_worker_plugin("tracer").unwrap();
    let watch = Watch { name: unique("watch"), panics: false };
    client.asynchronous().register_plugin(watch).name("watch").block().unwrap();
    client.unregister_scheduler_plugin("watch").unwrap();
    assert!(directory.join("teardown 0").exists());
    client.close().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
}
