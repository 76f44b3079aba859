//! All that scheduler and workers know, in a file.

use dask_client::wait;
use support::cluster::{Cluster, TWO_WORKERS, within};
use support::fault_tasks::panics;
use support::stage::{Stage, perform};
use support::tasks::inc;

on_every_transport! {
    TWO_WORKERS:
    a_dump_has_every_task_and_every_worker,
}

async fn a_dump_has_every_task_and_every_worker(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let done = client.map(inc, 0..3);
    let stuck = client.options().resources([("GPU", 1.0)]).submit(inc, &done[0]);
    let failed = client.submit(panics, "no luck at all");
    wait(&done).await.unwrap();
    failed.result().await.unwrap_err();
    let running = client.options().workers(["1"]).submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let name = format!("dump-{}-{}.json", std::process::id(), client.name());
    let path = std::env::temp_dir().join(name);
    within("a dump", client.dump_cluster_state(&path)).await.unwrap();
    performer.give(1).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let dump: serde_json::Value = serde_json::from_str(&text).unwrap();
    let tasks = dump["scheduler"]["tasks"].as_array().unwrap();
    let task = |key: &dask_client::Key| {
        let task = tasks.iter().find(|task| task["key"] == key.as_str());
        task.unwrap_or_else(|| panic!("{key} is not in {text}"))
    };
    assert_eq!(tasks.len(), 6, "{text}");
    assert_eq!(task(done[0].key())["state"], "memory");
    assert_eq!(task(done[0].key())["function"], "support::tasks::inc");
    assert_eq!(task(stuck.key())["state"], "no-worker");
    assert_eq!(task(stuck.key())["dependencies"][0], done[0].key().as_str());
    assert!(task(failed.key())["error"].as_str().unwrap().contains("no luck at all"));
    let workers = cluster.workers().await;
    assert_eq!(task(running.key())["processing_on"], workers[1].as_str());
    let busy = &dump["workers"][workers[1].as_str()];
    assert_eq!(busy["running"][0]["key"], running.key().as_str());
    let known = busy["tasks"].as_array().unwrap();
    let executing = known.iter().find(|task| task["key"] == running.key().as_str());
    assert_eq!(executing.unwrap()["state"], "executing");
    assert_eq!(dump["workers"].as_object().unwrap().len(), 2);
    assert_eq!(dump["versions"]["workers"].as_object().unwrap().len(), 2);
    assert!(!dump["scheduler"]["log"].as_array().unwrap().is_empty());
    let error = client.dump_cluster_state("/nowhere/at/all.json").await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
    running.wait().await;
}

#[test]
fn the_verb_blocks_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let future = client.submit(inc, 1);
    let path = std::env::temp_dir().join(format!("dump-{}-blocking.json", std::process::id()));
    client.dump_cluster_state(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains(future.key().as_str()));
    std::fs::remove_file(&path).unwrap();
    client.close().unwrap();
}
