//! Files that every worker has.

use std::future::IntoFuture;
use std::path::PathBuf;

use support::cluster::{Cluster, TWO_WORKERS, within};
use support::run_tasks::uploaded;

use crate::child::says;
use crate::option::Extra;

on_every_transport! {
    TWO_WORKERS:
    an_uploaded_file_is_on_every_worker_also_on_those_that_join_later,
    a_file_that_makes_no_sense_is_refused,
}

/// A file on the client's side.
fn file(name: &str, content: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("upload-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

async fn an_uploaded_file_is_on_every_worker_also_on_those_that_join_later(cluster: &Cluster) {
    let client = &cluster.client;
    let read = async |name: &str| {
        let found = client.run(uploaded, name).await.unwrap();
        found.into_values().collect::<Vec<_>>()
    };
    let path = file("towns.csv", "Ulm\n");
    client.upload_file(&path).await.unwrap();
    let one = Some("Ulm\n".to_owned());
    assert_eq!(read("towns.csv").await, [one.clone(), one.clone()]);
    assert_eq!(client.submit(uploaded, "towns.csv").await.unwrap(), one);
    let extra = Extra::join(client, "extra", &[]).await;
    let options = client.options().workers(["extra"]).pure(false);
    assert_eq!(options.submit(uploaded, "towns.csv").await.unwrap(), one);
    // The later replaces the earlier, and one that is started again has it too.
    std::fs::write(&path, "Ulm\nHof\n").unwrap();
    client.upload_file(&path).await.unwrap();
    within("a restart", client.restart_workers(["0"]).into_future()).await.unwrap();
    let two = Some("Ulm\nHof\n".to_owned());
    assert_eq!(read("towns.csv").await, [two.clone(), two.clone(), two]);
    client.remove_file("towns.csv").await.unwrap();
    assert_eq!(read("towns.csv").await, [None, None, None]);
    let error = client.remove_file("towns.csv").await.unwrap_err();
    says(&error, &["no file or plugin towns.csv is registered"]);
    extra.leave().await;
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

async fn a_file_that_makes_no_sense_is_refused(cluster: &Cluster) {
    let client = &cluster.client;
    let error = client.upload_file("/nowhere/at/all.csv").await.unwrap_err();
    says(&error, &["No such file"]);
    let error = client.upload_file("/").await.unwrap_err();
    says(&error, &["has no name"]);
    let empty = file("empty", "");
    client.upload_file(&empty).await.unwrap();
    assert_eq!(client.submit(uploaded, "empty").await.unwrap(), Some(String::new()));
    std::fs::remove_dir_all(empty.parent().unwrap()).unwrap();
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let path = file("one.txt", "1");
    client.upload_file(&path).unwrap();
    assert_eq!(client.submit(uploaded, "one.txt").result().unwrap(), Some("1".to_owned()));
    client.remove_file("one.txt").unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    client.close().unwrap();
}
