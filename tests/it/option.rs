//! What Dask takes as keyword arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use dask_client::{Address, Client, Future, Program, Status, wait};
use support::cluster::{Cluster, ONE_THREAD, Over, TWO_WORKERS, connect, within};
use support::stage::{Stage, perform, perform_after};
use support::tasks::{inc, process};
use tokio::sync::oneshot;

on_every_transport! {
    TWO_WORKERS:
    a_task_is_retried_as_often_as_it_may_be,
    a_task_that_fails_more_often_fails,
    a_task_runs_only_where_it_may,
    a_task_whose_worker_is_not_there_waits,
    a_task_whose_worker_is_not_there_runs_elsewhere_if_it_may,
}

on_every_transport! { ONE_THREAD: higher_priorities_run_first }

async fn a_task_is_retried_as_often_as_it_may_be(cluster: &Cluster) {
    let stage = Stage::new().await;
    let options = cluster.client.options().retries(2);
    let future = options.submit(perform, (stage.address(), "third time lucky"));
    stage.entrance().await.fail("the first").await;
    stage.entrance().await.panic("the second").await;
    stage.entrance().await.give(3).await;
    assert_eq!(future.await.unwrap(), 3);
}

async fn a_task_that_fails_more_often_fails(cluster: &Cluster) {
    let stage = Stage::new().await;
    let options = cluster.client.options().retries(1);
    let future = options.submit(perform, (stage.address(), "unlucky"));
    stage.entrance().await.fail("once").await;
    stage.entrance().await.fail("twice").await;
    let error = future.result().await.unwrap_err();
    let error = error.task_error().unwrap();
    assert_eq!(error.causes, ["twice"]);
}

async fn a_task_runs_only_where_it_may(cluster: &Cluster) {
    let client = &cluster.client;
    let workers = cluster.workers().await;
    for (index, address) in workers.iter().enumerate() {
        let name = index.to_string();
        for restriction in [name.as_str(), address.as_str()] {
            let options = client.options().workers([restriction]).pure(false);
            let futures = options.map(inc, 0..4);
            wait(&futures).await.unwrap();
            let holders = client.who_has(&futures).await.unwrap();
            assert_eq!(holders.len(), 4);
            let here = |holders: &Vec<Address>| *holders == [address.clone()];
            assert!(holders.values().all(here), "{restriction}: {holders:?}");
        }
    }
    // Of two workers that are named, either may run it.
    let both = client.options().workers(["0", "1"]).submit(inc, 7);
    assert_eq!(both.await.unwrap(), 8);
}

async fn a_task_whose_worker_is_not_there_waits(cluster: &Cluster) {
    let client = &cluster.client;
    let options = client.options().workers(["alice"]);
    let future = options.submit(inc, 1);
    // It stays where it is while others run.
    assert_eq!(client.submit(inc, 2).await.unwrap(), 3);
    assert_eq!(future.status(), Status::Pending);
    let tasks = client.scheduler_info().await.unwrap().tasks;
    assert_eq!(tasks.get("no-worker"), Some(&1), "{tasks:?}");

    let alice = Extra::join(client, "alice", &[]).await;
    assert_eq!(future.result().await.unwrap(), 2);
    let holders = client.who_has(&future).await.unwrap();
    assert!(holders[future.key()].iter().eq([&alice.address]));
    alice.leave().await;
}

async fn a_task_whose_worker_is_not_there_runs_elsewhere_if_it_may(cluster: &Cluster) {
    let options = cluster.client.options().workers(["alice"]);
    let future = options.allow_other_workers(true).submit(inc, 1);
    assert_eq!(future.await.unwrap(), 2);
}

async fn higher_priorities_run_first(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let call = |name| (stage.address(), name);
    let start = client.submit(perform, call("occupies the thread"));
    let first = stage.entrance().await;
    // They need it, so that none is handed out before all are there.
    let mut futures = Vec::new();
    for (priority, name) in [(0, "third"), (-5, "fourth"), (10, "first"), (5, "second")] {
        let options = client.options().priority(priority);
        futures.push(options.submit(perform_after, (stage.address(), name, [&start])));
    }
    client.scheduler_info().await.unwrap();
    first.give(0).await;
    for expected in ["first", "second", "third", "fourth"] {
        let performer = stage.entrance().await;
        assert_eq!(performer.name, expected);
        performer.give(0).await;
    }
    wait(&futures).await.unwrap();
}

#[tokio::test]
async fn a_task_waits_for_its_resources() {
    let cluster = Cluster::start(Over::Inproc, ONE_THREAD).await;
    resources(&cluster).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_task_waits_for_its_resources_over_tcp() {
    let cluster = Cluster::start(Over::Tcp, ONE_THREAD).await;
    resources(&cluster).await;
    cluster.stop().await;
}

async fn resources(cluster: &Cluster) {
    let client = &cluster.client;
    let stage = Stage::new().await;
    let options = client.options().resources([("GPU", 1.0)]);
    let calls = ["a", "b", "c"].map(|name| (stage.address(), name));
    let futures: Vec<Future<i64>> = options.map(perform, calls);
    // Nobody has one.
    assert_eq!(client.submit(inc, 1).await.unwrap(), 2);
    let tasks = client.scheduler_info().await.unwrap().tasks;
    assert_eq!(tasks.get("no-worker"), Some(&3), "{tasks:?}");
    let painter = Extra::join(client, "painter", &[("GPU", 2.0)]).await;

    // Two have one each while they run; the third waits though a thread is free.
    let (one, other) = (stage.entrance().await, stage.entrance().await);
    let workers = client.options().workers(["painter"]).pure(false);
    workers.submit(process, "on the third thread").await.unwrap();
    assert!(futures.iter().all(|future| !future.done()));
    let early = tokio::time::timeout(Duration::ZERO, stage.entrance()).await;
    assert!(early.is_err(), "{early:?}");
    one.give(1).await;
    let third = stage.entrance().await;
    third.give(1).await;
    other.give(1).await;
    assert_eq!(client.gather(&futures).await.unwrap(), [1, 1, 1]);
    let holders = client.who_has(&futures).await.unwrap();
    let there = |holders: &Vec<Address>| *holders == [painter.address.clone()];
    assert!(holders.values().all(there), "{holders:?}");
    painter.leave().await;
}

/// A worker in this process that joins later than those of the cluster.
pub(crate) struct Extra {
    pub(crate) address: Address,
    leave: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

impl Extra {
    pub(crate) async fn join(client: &Client, name: &str, resources: &[(&str, f64)]) -> Self {
        let mut config = dask_worker::Config::new(client.address().clone());
        config.name = Some(name.to_owned());
        config.nthreads = 3;
        let resources = resources.iter().map(|(name, n)| ((*name).to_owned(), *n));
        config.resources = resources.collect::<BTreeMap<_, _>>();
        Self::run(config).await
    }

    /// A worker that says to be a part of this program.
    pub(crate) async fn join_as(client: &Client, name: &str, program: Program) -> Self {
        let mut config = dask_worker::Config::new(client.address().clone());
        config.name = Some(name.to_owned());
        config.program = program;
        Self::run(config).await
    }

    async fn run(config: dask_worker::Config) -> Self {
        let worker = dask_worker::Worker::connect(config, Default::default());
        let worker = within("a worker to join", worker).await.unwrap();
        let address = worker.address().clone();
        let (leave, left) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let ended = worker.run(async { drop(left.await) }).await;
            assert!(ended.is_ok(), "{ended:?}");
        });
        Self { address, leave, running }
    }

    pub(crate) async fn leave(self) {
        drop(self.leave);
        within("a worker to leave", self.running).await.unwrap();
    }
}

#[tokio::test]
async fn clients_of_an_extra_worker_find_it() {
    let cluster = Cluster::start(Over::Tcp, ONE_THREAD).await;
    let extra = Extra::join(&cluster.client, "extra", &[]).await;
    let other = connect(cluster.client.address()).await;
    let future = other.options().workers(["extra"]).submit(inc, 1);
    assert_eq!(future.await.unwrap(), 2);
    other.close().await.unwrap();
    extra.leave().await;
    cluster.stop().await;
}
