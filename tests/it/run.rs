//! Functions that run in the cluster's processes, outside of tasks.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::sync::atomic::{AtomicU32, Ordering};

use dask_client::{Address, Skip};
use support::cluster::{Cluster, Over, TWO_WORKERS, eventually, within};
use support::fault_tasks::{double, panics, pid};
use support::run_tasks::claim;
use support::stage::{Stage, perform};
use support::tasks::{answer, noise};

use crate::child::{Processes, bounded, says};

on_every_transport! {
    TWO_WORKERS:
    a_function_runs_once_on_every_worker,
    a_function_runs_while_all_threads_are_busy,
    a_failure_is_raised_returned_or_left_out,
    a_panic_is_an_error_that_names_its_worker,
    who_does_not_wait_is_told_that_it_has_begun,
    a_function_runs_on_a_scheduler_of_its_own_program,
    arguments_and_results_of_every_size_travel,
}

async fn a_function_runs_once_on_every_worker(cluster: &Cluster) {
    let client = &cluster.client;
    let pids: HashMap<Address, u32> = client.run(pid, ()).await.unwrap();
    let info = client.scheduler_info().await.unwrap();
    let known: HashMap<Address, u32> =
        info.workers.into_iter().map(|worker| (worker.address, worker.pid)).collect();
    assert_eq!(pids, known);
    let workers = cluster.workers().await;
    let one = client.run(pid, ()).workers(["1"]).await.unwrap();
    assert_eq!(one.keys().collect::<Vec<_>>(), [&workers[1]]);
    let by_address = client.run(pid, ()).workers([workers[0].as_str()]).await.unwrap();
    assert_eq!(by_address.keys().collect::<Vec<_>>(), [&workers[0]]);
    let error = client.run(pid, ()).workers(["nobody"]).await.unwrap_err();
    says(&error, &["no worker nobody is connected"]);
    // It is no task.
    assert_eq!(cluster.finished("pid").await, 0);
}

async fn a_function_runs_while_all_threads_are_busy(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let options = client.options().pure(false);
    let futures = options.map(perform, [(stage.address(), "a"), (stage.address(), "b")]);
    let performers = [stage.entrance().await, stage.entrance().await];
    assert_eq!(client.run(answer, ()).await.unwrap().len(), 2);
    for performer in performers {
        performer.give(1).await;
    }
    assert_eq!(client.gather(&futures).await.unwrap(), [1, 1]);
}

async fn a_failure_is_raised_returned_or_left_out(cluster: &Cluster) {
    let client = &cluster.client;
    // The first that comes gets it, and the other fails.
    let paths = ["raise", "skip", "return", "skip as an option"].map(unclaimed);
    let error = client.run(claim, paths[0].as_str()).await.unwrap_err();
    assert!(error.is_task_error(), "{error:?}");
    let claimed = client.run(claim, paths[1].as_str()).errors(Skip).await.unwrap();
    assert_eq!(claimed.into_values().collect::<Vec<_>>(), [true]);
    let claimed = client.options().errors(Skip).run(claim, paths[3].as_str()).await.unwrap();
    assert_eq!(claimed.into_values().collect::<Vec<_>>(), [true]);
    let each = client.run(claim, paths[2].as_str()).results().await.unwrap();
    let (claimed, failed): (Vec<_>, Vec<_>) = each.into_iter().partition(|(_, r)| r.is_ok());
    assert_eq!((claimed.len(), failed.len()), (1, 1));
    let (worker, error) = failed.into_iter().next().unwrap();
    says(&error.unwrap_err(), &[worker.as_str(), "exists"]);
    for path in paths {
        std::fs::remove_file(path).unwrap();
    }
}

/// A path where nothing is.
fn unclaimed(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("claim-{}-{count}-{name}", std::process::id()));
    path.to_str().unwrap().to_owned()
}

async fn a_panic_is_an_error_that_names_its_worker(cluster: &Cluster) {
    let client = &cluster.client;
    let workers = cluster.workers().await;
    let error = client.run(panics, "no luck").workers(["1"]).await.unwrap_err();
    says(&error, &["panicked", workers[1].as_str(), "no luck", "fault_tasks.rs"]);
    assert_eq!(error.task_error().unwrap().worker.as_ref(), Some(&workers[1]));
    let options = client.options().workers([&workers[0]]);
    let error = options.run(panics, "its address").await.unwrap_err();
    assert_eq!(error.task_error().unwrap().worker.as_ref(), Some(&workers[0]));
    // Who names no workers has none in mind.
    assert!(client.run(panics, "nowhere").workers([""; 0]).await.unwrap().is_empty());
    // The worker is none the worse for it.
    assert_eq!(client.options().workers(["1"]).submit(double, 4).await.unwrap(), 8);
    let future = client.submit(double, 1);
    let error = client.run(double, &future).await.unwrap_err();
    says(&error, &["takes values", future.key().as_str()]);
}

async fn who_does_not_wait_is_told_that_it_has_begun(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let run = client.run(perform, (stage.address(), "a")).wait(false);
    assert!(within("the start", run.into_future()).await.unwrap().is_empty());
    for _ in 0..2 {
        stage.entrance().await.give(1).await;
    }
}

async fn a_function_runs_on_a_scheduler_of_its_own_program(cluster: &Cluster) {
    let client = &cluster.client;
    // Whatever the workers are, the scheduler is in this process.
    assert_eq!(client.run_on_scheduler(pid, ()).await.unwrap(), std::process::id());
    let error = client.run_on_scheduler(panics, "no luck").await.unwrap_err();
    says(&error, &["panicked", "no luck", client.address().as_str()]);
    let stage = Stage::new().await;
    client.run_on_scheduler(perform, (stage.address(), "a")).start().await.unwrap();
    stage.entrance().await.give(1).await;
}

async fn arguments_and_results_of_every_size_travel(cluster: &Cluster) {
    let client = &cluster.client;
    for bytes in [0, 1, 1 << 20] {
        let noises = client.run(noise, (bytes, 7)).await.unwrap();
        assert!(noises.values().all(|sound| sound.len() == bytes));
        let weights = client.run(support::tasks::weigh, vec![1_u8; bytes]).await.unwrap();
        assert!(weights.values().all(|weight| *weight == (bytes, bytes as u64)));
    }
}

#[tokio::test]
async fn a_worker_that_dies_while_a_function_runs_is_named() {
    bounded(async {
        let cluster = Processes::start().await;
        let client = cluster.client().await;
        let stage = Stage::new().await;
        let address = stage.address().to_owned();
        let running = {
            let client = client.clone();
            tokio::spawn(async move { client.run(perform, (address, "a")).results().await })
        };
        let performers = [stage.entrance().await, stage.entrance().await];
        cluster.workers[0].kill();
        eventually("the loss of a worker", async || {
            let info = client.scheduler_info().await.unwrap();
            (info.workers.len() == 1).then_some(())
        })
        .await;
        for performer in performers {
            performer.give(1).await;
        }
        let results = running.await.unwrap().unwrap();
        let lost: Vec<_> = results.iter().filter(|(_, result)| result.is_err()).collect();
        let [(worker, Err(error))] = lost[..] else { panic!("{results:?}") };
        says(error, &[worker.as_str(), "left before it replied"]);
        assert_eq!(results.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_scheduler_of_another_program_says_that_it_has_no_such_function() {
    bounded(async {
        let cluster = Processes::start().await;
        let client = cluster.client().await;
        // The fixture is another program, and has the functions of the library alone.
        let error = client.run_on_scheduler(nowhere_else, ()).await.unwrap_err();
        says(&error, &["nowhere_else", "the scheduler is another program", &cluster.address]);
        let error = client.run(nowhere_else, ()).await.unwrap_err();
        says(&error, &["no task function", "nowhere_else"]);
    })
    .await;
}

/// A function that only this program has.
#[dask_client::task]
fn nowhere_else() -> i64 {
    1
}

#[test]
fn the_verbs_block_on_a_blocking_client() {
    let client = dask_client::blocking::Client::local().unwrap();
    let here = std::process::id();
    assert_eq!(client.run(pid, ()).unwrap().into_values().collect::<Vec<_>>(), [here]);
    assert_eq!(client.options().workers(["0"]).run(pid, ()).unwrap().len(), 1);
    assert_eq!(client.asynchronous().run(pid, ()).results().block().unwrap().len(), 1);
    assert_eq!(client.run_on_scheduler(pid, ()).unwrap(), here);
    client.close().unwrap();
}

#[tokio::test]
async fn a_closed_client_runs_nothing() {
    let cluster = Cluster::start(Over::Inproc, TWO_WORKERS).await;
    let other = cluster.another_client().await;
    other.close().await.unwrap();
    assert!(other.run(pid, ()).await.unwrap_err().is_closed());
    assert!(other.run_on_scheduler(pid, ()).await.unwrap_err().is_closed());
    cluster.stop().await;
}
