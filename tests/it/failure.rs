//! What a task that fails tells, and whom.

use dask_client::{Errors, Status, TaskErrorKind};
use support::cluster::{Cluster, TWO_WORKERS};
use support::fault_tasks::{panics, parse};
use support::stage::{Stage, perform, perform_after};
use support::tasks::{add, inc, sum};

use crate::child::{Program, bounded, connect};

on_every_transport! {
    TWO_WORKERS:
    an_error_comes_with_its_causes,
    a_panic_comes_with_its_place,
    what_depends_on_a_failed_task_fails_with_the_first_error,
    what_is_submitted_on_a_failed_task_fails_at_once,
    a_task_that_depends_on_several_fails_with_the_first,
    a_failed_task_runs_again_when_it_is_told_to,
    a_retry_runs_what_depends_on_it_again,
    a_gather_fails_as_soon_as_one_does,
    a_task_that_fails_leaves_the_others_alone,
}

async fn an_error_comes_with_its_causes(cluster: &Cluster) {
    let future = cluster.client.submit(parse, "ten");
    let error = future.result().await.unwrap_err();
    let task = error.task_error().unwrap();
    assert_eq!(task.kind, TaskErrorKind::Returned);
    assert_eq!(task.key, *future.key());
    assert_eq!(task.function, "support::fault_tasks::parse");
    assert_eq!(task.message, "the meter \"ten\" cannot be read");
    assert_eq!(task.causes, ["invalid digit found in string"]);
    let worker = task.worker.clone().unwrap();
    let workers = cluster.workers().await;
    assert!(workers.contains(&worker), "{worker} of {workers:?}");

    assert_eq!(future.status(), Status::Error);
    assert_eq!(future.exception().await.unwrap().as_ref(), Some(task));
    assert_eq!(future.traceback().await.unwrap(), None);
    let printed = format!("{error:?}");
    assert!(printed.contains("caused by: invalid digit"), "{printed}");
    assert!(!error.is_cancelled() && !error.is_timeout() && !error.is_closed());
}

async fn a_panic_comes_with_its_place(cluster: &Cluster) {
    let future = cluster.client.submit(panics, "no luck");
    let error = future.result().await.unwrap_err();
    let task = error.task_error().unwrap();
    assert_eq!(task.kind, TaskErrorKind::Panicked);
    assert_eq!(task.message, "no luck");
    let location = task.location.clone().unwrap();
    assert!(location.contains("fault_tasks.rs:"), "{location}");
    let traceback = future.traceback().await.unwrap();
    assert!(traceback.is_some());
}

async fn what_depends_on_a_failed_task_fails_with_the_first_error(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let first = client.submit(perform, (stage.address(), "first"));
    let second = client.submit(inc, &first);
    let third = client.submit(sum, [&second, &client.submit(inc, 1)]);
    stage.entrance().await.fail("out of paper").await;
    let error = third.result().await.unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!(error.key, *first.key());
    assert_eq!(error.message, "first failed");
    assert_eq!(error.causes, ["out of paper"]);
    let other = second.exception().await.unwrap().unwrap();
    assert_eq!(other, *error);
    assert_eq!(third.status(), Status::Error);
}

async fn what_is_submitted_on_a_failed_task_fails_at_once(cluster: &Cluster) {
    let failed = cluster.client.submit(panics, "too early");
    failed.wait().await;
    let after = cluster.client.submit(inc, &failed);
    let error = after.result().await.unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!((error.message.as_str(), &error.key), ("too early", failed.key()));
}

async fn a_task_that_depends_on_several_fails_with_the_first(cluster: &Cluster) {
    let stage = Stage::new().await;
    let slow = cluster.client.submit(perform, (stage.address(), "slow"));
    let performer = stage.entrance().await;
    let failed = cluster.client.submit(panics, "the quick one");
    let both = cluster.client.submit(add, (&slow, &failed));
    // It does not wait for the other.
    let error = both.result().await.unwrap_err();
    assert_eq!(error.task_error().unwrap().key, *failed.key());
    assert_eq!(slow.status(), Status::Pending);
    performer.give(1).await;
    assert_eq!(slow.await.unwrap(), 1);
}

async fn a_failed_task_runs_again_when_it_is_told_to(cluster: &Cluster) {
    let stage = Stage::new().await;
    let future = cluster.client.submit(perform, (stage.address(), "a"));
    stage.entrance().await.fail("not yet").await;
    assert!(future.exception().await.unwrap().is_some());
    future.retry().await.unwrap();
    assert_eq!(future.status(), Status::Pending);
    stage.entrance().await.give(5).await;
    assert_eq!(future.result().await.unwrap(), 5);
    // To retry what did not fail changes nothing.
    cluster.client.retry(&future).await.unwrap();
    assert_eq!(future.await.unwrap(), 5);
}

async fn a_retry_runs_what_depends_on_it_again(cluster: &Cluster) {
    let stage = Stage::new().await;
    let client = &cluster.client;
    let first = client.submit(perform, (stage.address(), "first"));
    let second = client.submit(inc, &first);
    let needed = [&first];
    let third = client.submit(perform_after, (stage.address(), "third", needed));
    stage.entrance().await.fail("not yet").await;
    let error = second.result().await.unwrap_err();
    assert_eq!(error.task_error().unwrap().key, *first.key());
    third.result().await.unwrap_err();

    // The failed tasks that they depend on are run again too.
    client.retry([&second, &third.clone()]).await.unwrap();
    stage.entrance().await.give(1).await;
    assert_eq!(second.await.unwrap(), 2);
    let performer = stage.entrance().await;
    assert_eq!(performer.name, "third");
    performer.give(9).await;
    assert_eq!(third.await.unwrap(), 9);
    assert_eq!(first.await.unwrap(), 1);
}

async fn a_gather_fails_as_soon_as_one_does(cluster: &Cluster) {
    let client = &cluster.client;
    let good = client.map(inc, 0..3);
    let bad = client.submit(panics, "it had to happen");
    let mixed = [&good[0], &bad, &good[1], &good[2]];
    let error = client.gather(mixed).await.unwrap_err();
    assert_eq!(error.task_error().unwrap().message, "it had to happen");
    let rest = client.gather(mixed).errors(Errors::Skip).await.unwrap();
    assert_eq!(rest, [1, 2, 3]);
    let alone = client.gather(&bad).errors(Errors::Skip).await.unwrap_err();
    assert!(!alone.is_task_error(), "{alone}");
}

async fn a_task_that_fails_leaves_the_others_alone(cluster: &Cluster) {
    let client = &cluster.client;
    let failures = client.map(panics, (0..20).map(|i| format!("failure {i}")));
    let others = client.map(inc, 0..20);
    assert_eq!(client.gather(&others).await.unwrap().len(), 20);
    for (i, failure) in failures.iter().enumerate() {
        let error = failure.exception().await.unwrap().unwrap();
        assert_eq!(error.message, format!("failure {i}"));
    }
}

#[tokio::test]
async fn a_backtrace_shows_the_frames_of_the_user_alone() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        for (style, is_whole) in [("1", false), ("full", true)] {
            let mut worker = Program::worker_with(&address, style, &[("RUST_BACKTRACE", style)]);
            worker.says("Worker at: ").await;
            let client = connect(&address).await.unwrap();
            let options = client.options().pure(false).workers([style]);
            let failed = options.submit(panics, "no luck");
            assert!(failed.result().await.is_err());
            let backtrace = failed.traceback().await.unwrap().unwrap();
            assert!(backtrace.contains("fault_tasks.rs:"), "{backtrace}");
            for machinery in ["core::panicking::panic_fmt", "dask_worker::", "dask_task::"] {
                assert_eq!(backtrace.contains(machinery), is_whole, "{backtrace}");
            }
        }
    })
    .await;
}
