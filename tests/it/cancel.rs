//! Tasks that nobody wants any more.

use dask_client::{Status, wait};
use support::cluster::{Cluster, ONE_THREAD, TWO_WORKERS, eventually};
use support::stage::{Stage, linger, perform, perform_after};
use support::tasks::inc;

on_every_transport! {
    ONE_THREAD:
    a_task_that_waits_is_cancelled_and_others_go_on,
    what_depends_on_a_cancelled_task_is_cancelled,
}

on_every_transport! {
    TWO_WORKERS:
    a_task_that_runs_hears_that_it_is_cancelled,
    the_result_of_a_cancelled_task_is_dropped,
    nothing_waits_for_a_cancelled_task_that_does_not_listen,
    a_cancelled_task_can_be_submitted_again,
    what_another_client_holds_goes_on,
    by_force_it_is_cancelled_for_everybody,
    a_finished_task_can_be_cancelled,
    what_is_submitted_on_a_cancelled_future_is_cancelled,
}

async fn a_task_that_waits_is_cancelled_and_others_go_on(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let running = client.submit(perform, (stage.address(), "running"));
    let performer = stage.entrance().await;
    let waiting = client.submit(perform, (stage.address(), "waiting"));
    waiting.cancel().await.unwrap();
    let error = waiting.result().await.unwrap_err();
    assert!(error.is_cancelled() && !error.is_task_error(), "{error}");
    assert!(error.to_string().contains(waiting.key().as_str()), "{error}");
    assert_eq!(waiting.status(), Status::Cancelled);
    assert!(waiting.cancelled() && waiting.done());
    assert!(waiting.exception().await.unwrap_err().is_cancelled());

    let last = client.submit(perform, (stage.address(), "last"));
    performer.give(1).await;
    assert_eq!(running.await.unwrap(), 1);
    let mut next = stage.entrance().await;
    if next.name == "waiting" {
        // The thread was free before the worker heard of it: what it gives is dropped.
        next.give(3).await;
        next = stage.entrance().await;
    }
    assert_eq!(next.name, "last");
    next.give(2).await;
    assert_eq!(last.await.unwrap(), 2);
    assert!(waiting.cancelled());
}

async fn what_depends_on_a_cancelled_task_is_cancelled(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let first = client.submit(perform, (stage.address(), "first"));
    let second = client.submit(inc, &first);
    let third = client.submit(perform_after, (stage.address(), "third", [&second]));
    let performer = stage.entrance().await;
    client.cancel(&first).await.unwrap();
    for future in [&first, &second, &third] {
        let error = future.result().await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    }
    drop(performer);
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);
}

async fn a_task_that_runs_hears_that_it_is_cancelled(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(linger, (stage.address(), "lingers"));
    let performer = stage.entrance().await;
    future.cancel().await.unwrap();
    performer.cancelled().await;
    assert!(future.result().await.unwrap_err().is_cancelled());
    // Its thread is free again.
    let futures = cluster.client.map(inc, 0..10);
    wait(&futures).await.unwrap();
}

async fn the_result_of_a_cancelled_task_is_dropped(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let future = client.submit(perform, (stage.address(), "too late"));
    let performer = stage.entrance().await;
    future.cancel().await.unwrap();
    performer.give(1).await;
    assert!(future.result().await.unwrap_err().is_cancelled());
    cluster.forgotten(&[future.key().clone()]).await;
    let idle = async || {
        let info = client.scheduler_info().await.unwrap();
        let processing: u64 = info.workers.iter().map(|worker| worker.processing).sum();
        (processing == 0).then_some(())
    };
    eventually("workers without tasks", idle).await;
}

async fn nothing_waits_for_a_cancelled_task_that_does_not_listen(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let deaf = client.submit(perform, (stage.address(), "deaf"));
    let performer = stage.entrance().await;
    deaf.cancel().await.unwrap();
    let futures = client.map(inc, 0..50);
    assert_eq!(client.gather(&futures).await.unwrap(), (1..51).collect::<Vec<i64>>());
    performer.give(1).await;
}

async fn a_cancelled_task_can_be_submitted_again(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let call = (stage.address(), "twice");
    let future = client.submit(perform, call);
    let first = stage.entrance().await;
    future.cancel().await.unwrap();
    let again = client.submit(perform, call);
    assert_eq!(again.key(), future.key());
    assert!(future.cancelled());
    // A worker may go on with what it runs already, or start anew.
    first.give(1).await;
    let performing = async {
        loop {
            stage.entrance().await.give(1).await;
        }
    };
    tokio::select! {
        result = again.result() => assert_eq!(result.unwrap(), 1),
        () = performing => {}
    }
}

async fn what_another_client_holds_goes_on(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let stage = Stage::new().await;
    let call = (stage.address(), "shared");
    let here = cluster.client.submit(perform, call);
    let performer = stage.entrance().await;
    let there = other.submit(perform, call);
    other.scheduler_info().await.unwrap();
    here.cancel().await.unwrap();
    assert!(here.result().await.unwrap_err().is_cancelled());
    performer.give(4).await;
    assert_eq!(there.result().await.unwrap(), 4);
    assert_eq!(cluster.finished("perform").await, 1);
    other.close().await.unwrap();
}

async fn by_force_it_is_cancelled_for_everybody(cluster: &Cluster) {
    let other = cluster.another_client().await;
    let stage = Stage::new().await;
    let call = (stage.address(), "shared");
    let here = cluster.client.submit(perform, call);
    let performer = stage.entrance().await;
    let there = other.submit(perform, call);
    other.scheduler_info().await.unwrap();
    cluster.client.cancel_by_force(&here).await.unwrap();
    assert!(here.result().await.unwrap_err().is_cancelled());
    assert!(there.result().await.unwrap_err().is_cancelled());
    drop(performer);
    other.close().await.unwrap();
}

async fn a_finished_task_can_be_cancelled(cluster: &Cluster) {
    let future = cluster.client.submit(inc, 1);
    future.wait().await;
    future.cancel().await.unwrap();
    assert!(future.result().await.unwrap_err().is_cancelled());
    cluster.forgotten(&[future.key().clone()]).await;
    let again = cluster.client.submit(inc, 1);
    assert_eq!(again.await.unwrap(), 2);
    assert_eq!(cluster.finished("inc").await, 2);
}

async fn what_is_submitted_on_a_cancelled_future_is_cancelled(cluster: &Cluster) {
    let future = cluster.client.submit(inc, 1);
    future.cancel().await.unwrap();
    future.wait().await;
    let after = cluster.client.submit(inc, &future);
    assert!(after.result().await.unwrap_err().is_cancelled());
    let gathered = cluster.client.gather([&future, &after]).await;
    assert!(gathered.unwrap_err().is_cancelled());
}
