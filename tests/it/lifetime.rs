//! How long results stay, and what becomes of futures without a client.

use dask_client::{Future, Key, Status, fire_and_forget, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually};
use support::stage::{Stage, linger, perform, perform_after};
use support::tasks::{inc, noise, sum};

on_every_transport! {
    TWO_WORKERS:
    a_result_goes_with_the_last_clone_of_its_future,
    what_a_task_needs_stays_until_it_has_run,
    a_task_that_nobody_holds_is_stopped,
    a_result_stays_while_another_client_holds_it,
    a_closed_client_releases_its_keys,
    a_client_without_handles_releases_its_keys,
    a_fired_task_runs_though_its_future_is_dropped,
    futures_of_a_closed_client_say_so,
    a_shutdown_ends_the_cluster_and_all_clients_hear_of_it,
}

fn keys<T>(futures: &[Future<T>]) -> Vec<Key> {
    futures.iter().map(|future| future.key().clone()).collect()
}

async fn a_result_goes_with_the_last_clone_of_its_future(cluster: &Cluster) {
    let futures = cluster.client.map(inc, 0..10);
    wait(&futures).await.unwrap();
    let keys = keys(&futures);
    let kept = futures[3].clone();
    drop(futures);
    let (kept_key, gone): (Vec<Key>, Vec<Key>) =
        keys.into_iter().partition(|key| key == kept.key());
    cluster.forgotten(&gone).await;
    let held = cluster.client.has_what().await.unwrap();
    assert_eq!(held.into_values().flatten().collect::<Vec<_>>(), kept_key);
    assert_eq!(kept.result().await.unwrap(), 4);
    kept.release();
    cluster.forgotten(&kept_key).await;
    let known = cluster.client.scheduler_info().await.unwrap().tasks;
    assert_eq!(known.values().sum::<u64>(), 0, "{known:?}");
}

async fn what_a_task_needs_stays_until_it_has_run(cluster: &Cluster) {
    let stage = Stage::new().await;
    let client = &cluster.client;
    let first = client.submit(perform, (stage.address(), "first"));
    let second = client.submit(perform_after, (stage.address(), "second", [&first]));
    let first_key = first.key().clone();
    drop(first);
    stage.entrance().await.give(1).await;
    let performer = stage.entrance().await;
    let held = client.has_what().await.unwrap();
    assert!(held.into_values().flatten().any(|key| key == first_key));
    performer.give(2).await;
    assert_eq!(second.result().await.unwrap(), 2);
    cluster.forgotten(&[first_key]).await;
    assert_eq!(second.await.unwrap(), 2);
}

async fn a_task_that_nobody_holds_is_stopped(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(linger, (stage.address(), "unwanted"));
    let performer = stage.entrance().await;
    drop(future);
    performer.cancelled().await;
}

async fn a_result_stays_while_another_client_holds_it(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let here = cluster.client.submit(noise, (100_000, 3));
    let there = other.submit(noise, (100_000, 3));
    wait(&here).await.unwrap();
    wait(&there).await.unwrap();
    let key = here.key().clone();
    drop(here);
    // The scheduler has heard of that when it answers.
    let held = cluster.client.has_what().await.unwrap();
    assert!(held.into_values().flatten().any(|held| held == key));
    assert_eq!(there.result().await.unwrap().len(), 100_000);
    assert_eq!(cluster.finished("noise").await, 1);
    drop(there);
    cluster.forgotten(&[key]).await;
    other.close().await.unwrap();
}

async fn a_closed_client_releases_its_keys(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let futures = other.map(inc, 0..5);
    wait(&futures).await.unwrap();
    other.close().await.unwrap();
    cluster.forgotten(&keys(&futures)).await;
    let clients = async || {
        let clients = cluster.client.scheduler_info().await.unwrap().clients;
        (clients == 1).then_some(())
    };
    eventually("the scheduler to know one client", clients).await;
}

async fn a_client_without_handles_releases_its_keys(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let futures = other.map(inc, 0..5);
    let keys = keys(&futures);
    drop(other);
    // The futures keep the connection.
    wait(&futures).await.unwrap();
    drop(futures);
    cluster.forgotten(&keys).await;
}

async fn a_fired_task_runs_though_its_future_is_dropped(cluster: &Cluster) {
    let stage = Stage::new().await;
    let client = &cluster.client;
    let first = client.submit(perform, (stage.address(), "first"));
    let future = client.submit(perform_after, (stage.address(), "fired", [&first]));
    fire_and_forget(&future);
    drop((first, future));
    stage.entrance().await.give(0).await;
    let performer = stage.entrance().await;
    assert_eq!(performer.name, "fired");
    performer.give(1).await;
    let finished = async || (cluster.finished("perform_after").await == 1).then_some(());
    eventually("the task to finish", finished).await;
    // Nobody wants the result.
    let tasks = async || client.scheduler_info().await.unwrap().tasks.is_empty().then_some(());
    eventually("the scheduler to forget it", tasks).await;
}

async fn futures_of_a_closed_client_say_so(cluster: &Cluster) {
    let client = cluster.another_client().await;
    let stage = Stage::new().await;
    let finished = client.submit(inc, 1);
    finished.wait().await;
    let pending = client.submit(perform, (stage.address(), "pending"));
    let performer = stage.entrance().await;
    client.close().await.unwrap();
    let error = pending.result().await.unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert_eq!(error.to_string(), "the client is closed");
    assert_eq!(pending.status(), Status::Cancelled);
    assert!(finished.result().await.unwrap_err().is_closed());
    let late = client.submit(inc, 5);
    assert!(late.result().await.unwrap_err().is_closed());
    let after = client.submit(sum, [&late]);
    assert!(after.result().await.unwrap_err().is_closed());
    assert!(client.scheduler_info().await.unwrap_err().is_closed());
    assert!(client.scatter(1_i64).await.unwrap_err().is_closed());
    assert!(client.gather([&late]).await.unwrap_err().is_closed());
    assert!(format!("{client:?}").contains("closed"), "{client:?}");
    // To close it twice does nothing.
    client.close().await.unwrap();
    drop(performer);
    // Others go on.
    assert_eq!(cluster.client.submit(inc, 2).await.unwrap(), 3);
}

async fn a_shutdown_ends_the_cluster_and_all_clients_hear_of_it(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let stage = Stage::new().await;
    let pending = other.submit(perform, (stage.address(), "pending"));
    let _performer = stage.entrance().await;
    cluster.client.shutdown().await.unwrap();
    let error = pending.result().await.unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    let address = other.address().as_str();
    let (text, name) = (error.to_string(), cluster.client.name());
    assert!(text.contains(address) && text.contains(name), "{text}");
    let error = cluster.client.submit(inc, 1).await.unwrap_err();
    // The scheduler may have hung up before the client did.
    assert!(error.is_closed() || error.is_disconnected(), "{error}");
}
