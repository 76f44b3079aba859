//! How a worker joins, and how it ends.

use std::time::Duration;

use dask_proto::message::{
    Hello, Program, Rejection, Role, SchedulerToWorker, Welcome, WorkerToScheduler,
};
use dask_transport::{ConnectError, Transports, connect};
use dask_worker::{Config, Ended, Error, Worker};

use crate::fake::{FakeScheduler, SCHEMES, call, within};
use crate::{finished, task};

#[tokio::test]
async fn only_peers_may_connect_to_a_worker() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let worker = scheduler.start_worker(|_| {}).await;
        let hello = Hello {
            role: Role::Client { name: "Client-1".to_owned() },
            program: Program::default(),
        };
        let timeout = Duration::from_secs(60);
        let outcome = connect(&worker.transports, &worker.address, &hello, timeout).await;
        let Err(ConnectError::Rejected { rejection, .. }) = outcome.map(|_| ()) else {
            panic!("{scheme}: it was let in");
        };
        assert_eq!(
            rejection.to_string(),
            "it is a worker, which does not accept a client of a scheduler"
        );
    }
}

#[tokio::test]
async fn a_worker_that_is_not_wanted_says_why() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let config = Config::new(scheduler.address.clone());
        let joining = tokio::spawn(Worker::connect(config, scheduler.transports.clone()));
        let name = "w".to_owned();
        let rejected = Welcome::Rejected(Rejection::NameTaken { name });
        scheduler.admit(rejected).await;
        let error = within(joining).await.expect("no panic").expect_err("no admission");
        let Error::Join(cause) = error else {
            panic!("{scheme}: {error:?}");
        };
        let why = std::error::Error::source(&cause).expect("a rejection").to_string();
        assert!(why.contains("already connected as w"), "{cause}: {why}");
    }
}

#[tokio::test]
async fn a_worker_without_a_scheduler_gives_up_in_time() {
    let scheduler = "inproc://no-scheduler-here".parse().expect("an address");
    let mut config = Config::new(scheduler);
    config.connect_timeout = Duration::from_millis(50);
    let error = within(Worker::connect(config, Transports::default())).await;
    let Error::Join(cause) = error.expect_err("nobody is there") else {
        panic!("another error");
    };
    assert!(cause.to_string().contains("no-scheduler-here"), "{cause}");
}

#[tokio::test]
async fn a_worker_whose_scheduler_is_lost_ends_and_says_so() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
        // Also while a task runs that nobody can stop.
        worker.compute(1, "shell::forever", call(&[]), &[]);
        within(task::FOREVER.notified()).await;
        worker.hang_up();
        let error = worker.ended().await.expect_err("a lost scheduler");
        assert!(error.to_string().contains(scheduler.address.as_str()), "{error}");
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_close_ends_well() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let worker = scheduler.start_worker(|_| {}).await;
        let reason = "the cluster shuts down".to_owned();
        worker.say(SchedulerToWorker::Close { reason: reason.clone() });
        worker.hang_up();
        assert_eq!(worker.ended().await.expect("a good end"), Ended::Closed { reason });
    }
}

#[tokio::test]
async fn a_worker_sends_heartbeats() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker_beating(10).await;
    for _ in 0..2 {
        let message = worker.hear_any().await;
        let WorkerToScheduler::Heartbeat(metrics) = message else {
            panic!("expected a heartbeat, got {message:?}");
        };
        assert_eq!(metrics.executing, 0);
        assert!(metrics.memory > 0 || !cfg!(target_os = "linux"));
    }
}

#[tokio::test]
async fn hundreds_of_workers_live_in_one_process() {
    let mut scheduler = FakeScheduler::listen("inproc").await;
    let mut workers = Vec::new();
    for _ in 0..300 {
        workers.push(scheduler.start_worker(|config| config.nthreads = 1).await);
    }
    for (worker, i) in workers.iter_mut().zip(0..) {
        worker.compute(i, "shell::inc", call(&[1]), &[]);
    }
    for worker in &mut workers {
        assert!(finished(&worker.hear().await).is_some());
        worker.shut_down();
    }
    for worker in workers {
        assert_eq!(worker.ended().await.expect("a good end"), Ended::Shutdown);
    }
}
