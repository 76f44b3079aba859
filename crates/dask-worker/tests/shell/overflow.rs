//! A task that overflows its stack kills the worker process, which says so first.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use dask_proto::id::{RequestId, RunId, TaskId};
use dask_proto::message::{Question, SchedulerToWorker, WorkerToScheduler};
use dask_transport::Transports;
use dask_worker::{Config, Worker};

use crate::fake::{FakeScheduler, call};

const SCHEDULER: &str = "DASK_WORKER_TEST_SCHEDULER";

#[tokio::test]
async fn a_task_that_overflows_its_stack_is_named_before_the_process_dies() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let program = std::env::current_exe().expect("the test program");
    let mut child = Command::new(program)
        .args(["--exact", "overflow::a_worker_process", "--nocapture"])
        .env(SCHEDULER, scheduler.address.as_str())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut worker = scheduler.next_worker(60_000).await;
    worker.compute(1, "shell::deep", call(&[100]), &[]);
    let message = worker.hear().await;
    assert!(matches!(message, WorkerToScheduler::Finished { .. }), "{message:?}");

    // The task is interrupted all the while, to see its stack.
    let question = Question::Sample { duration_ns: 60_000_000_000, interval_ns: 1_000_000 };
    worker.say(SchedulerToWorker::Ask { id: RequestId(1), question: Box::new(question) });
    worker.compute(2, "shell::sink", call(&[0]), &[]);
    let message = worker.hear().await;
    let WorkerToScheduler::Dying { task, run, reason } = message else {
        panic!("expected a last word, got {message:?}");
    };
    assert_eq!((task, run), (TaskId(2), RunId(0)));
    assert!(reason.contains("overflowed the stack"), "{reason}");
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    assert!(!ended.expect("no panic").expect("it is a child").success());
}

/// The worker process of the test above; nothing without a scheduler in the environment.
#[tokio::test]
async fn a_worker_process() {
    let Ok(scheduler) = std::env::var(SCHEDULER) else {
        return;
    };
    let mut config = Config::new(scheduler.parse().expect("an address"));
    config.report_stack_overflow = true;
    config.stack_bytes = 1 << 20;
    let joined = Worker::connect(config, Transports::default()).await;
    let worker = joined.expect("the test's scheduler");
    // The test's scheduler hangs up when it has seen enough.
    let _ = worker.run(std::future::pending()).await;
}
