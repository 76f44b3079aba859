//! What the cluster holds, runs, says, and which versions it has.

use dask_client::{Future, LogLevel, wait};
use support::cluster::{Cluster, TWO_WORKERS, eventually};
use support::stage::{Stage, perform};
use support::tasks::{inc, noise};

use crate::child::says;
use crate::option::Extra;

on_every_transport! {
    TWO_WORKERS:
    sizes_are_known_by_key_and_by_prefix,
    running_tasks_are_shown_with_their_functions,
    versions_are_told_and_compared,
    the_scheduler_tells_who_came_and_went,
}

async fn sizes_are_known_by_key_and_by_prefix(cluster: &Cluster) {
    let client = &cluster.client;
    let numbers = client.map(inc, 0..3);
    let noises = client.map(noise, [(1 << 20, 1), (1 << 19, 2)]);
    wait(&numbers).await.unwrap();
    wait(&noises).await.unwrap();
    let sizes = client.nbytes(&numbers).await.unwrap();
    assert_eq!(sizes.len(), 3);
    assert!(numbers.iter().all(|future| sizes[future.key()] == 8));
    let all = client.nbytes(()).await.unwrap();
    assert_eq!(all.len(), 5);
    assert!(all[noises[0].key()] >= 1 << 20);
    let by_prefix = client.nbytes_by_prefix(()).await.unwrap();
    assert_eq!(by_prefix["inc"], 24);
    assert_eq!(by_prefix["noise"], all[noises[0].key()] + all[noises[1].key()]);
    assert_eq!(client.nbytes_by_prefix(&numbers).await.unwrap().len(), 1);
    // What is not in memory has no size.
    let stuck = client.options().resources([("GPU", 1.0)]).submit(inc, 99);
    assert!(client.nbytes(&stuck).await.unwrap().is_empty());
}

async fn running_tasks_are_shown_with_their_functions(cluster: &Cluster) {
    let client = &cluster.client;
    assert!(client.call_stack(()).await.unwrap().is_empty());
    let stage = Stage::new().await;
    let options = client.options().workers(["1"]);
    let future = options.submit(perform, (stage.address(), "a"));
    let performer = stage.entrance().await;
    let workers = cluster.workers().await;
    for stack in [client.call_stack(()).await.unwrap(), client.call_stack(&future).await.unwrap()] {
        assert_eq!(stack.keys().collect::<Vec<_>>(), [&workers[1]]);
        let [task] = &stack[&workers[1]][..] else { panic!("{stack:?}") };
        assert_eq!((&task.key, task.seceded), (future.key(), false));
        assert_eq!(task.function, "support::stage::perform");
        assert_eq!(task.frames[0].function, "support::stage::perform");
        assert!(task.elapsed_ns > 0);
    }
    let none: Vec<Future<i64>> = Vec::new();
    assert!(client.call_stack(&none).await.unwrap().is_empty());
    let other = client.options().resources([("GPU", 1.0)]).submit(inc, 99);
    assert!(client.call_stack(&other).await.unwrap().is_empty());
    performer.give(1).await;
    future.wait().await;
    eventually("the thread to be done", async || {
        client.call_stack(()).await.unwrap().is_empty().then_some(())
    })
    .await;
}

async fn versions_are_told_and_compared(cluster: &Cluster) {
    let client = &cluster.client;
    let versions = client.get_versions().await.unwrap();
    let workers = cluster.workers().await;
    assert!(workers.iter().all(|worker| versions.workers[worker].dask == versions.client.dask));
    assert_eq!(versions.workers.len(), 2);
    assert_eq!(versions.scheduler.protocol, versions.client.protocol);
    versions.check().unwrap();
    // A worker of another version of the same program.
    let program = versions.client.program.clone();
    let old = dask_client::Program { version: "0.0.7".to_owned(), ..program };
    let extra = Extra::join_as(client, "old", old).await;
    let error = client.get_versions().await.unwrap().check().unwrap_err();
    says(&error, &["versions differ", "0.0.7", extra.address.as_str()]);
    extra.leave().await;
}

async fn the_scheduler_tells_who_came_and_went(cluster: &Cluster) {
    let client = &cluster.client;
    let extra = Extra::join(client, "passer-by", &[]).await;
    extra.leave().await;
    let lines = eventually("a worker to be gone", async || {
        let lines = client.get_scheduler_logs(None).await.unwrap();
        let left = lines.iter().any(|line| line.message.contains("(passer-by) disconnected"));
        left.then_some(lines)
    })
    .await;
    let joined = lines.iter().position(|line| line.message.contains("(passer-by) joined"));
    assert!(joined.is_some_and(|at| lines[at].level == LogLevel::Info));
    assert!(lines.is_sorted_by_key(|line| line.unix_ns));
    assert_eq!(client.get_scheduler_logs(Some(1)).await.unwrap(), lines[lines.len() - 1..]);
}
