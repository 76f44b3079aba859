//! The worker's shell over every transport, against a scheduler played by the test.

mod busy;
mod fake;
mod link;
mod log;
mod overflow;
mod pool;
mod stack;
mod task;

use std::collections::BTreeMap;
use std::time::Duration;

use dask_proto::codec::Carriage;
use dask_proto::id::{RunId, TaskId, WorkerId};
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::message::{
    Dependency, Program, SchedulerToWorker, StoredValue, ValueAt, WorkerToScheduler,
};
use dask_proto::{Payload, TaskError, TaskErrorKind};
use dask_task::{encode, live, take};
use dask_transport::Peers;
use dask_worker::Ended;

use fake::{FakeScheduler, Fleet, SCHEMES, call, key, within};

fn finished(message: &WorkerToScheduler) -> Option<(TaskId, RunId)> {
    match message {
        WorkerToScheduler::Finished { task, run, .. } => Some((*task, *run)),
        _ => None,
    }
}

fn erred(message: WorkerToScheduler) -> TaskError {
    match message {
        WorkerToScheduler::Erred { error, .. } => *error,
        other => panic!("expected an error, got {other:?}"),
    }
}

/// The value in the store of a worker.
async fn value_at(fleet: &Fleet, task: TaskId) -> ValueAt {
    let transports = fleet.transports.clone();
    let peers = Peers::new(transports, Program::default(), Duration::from_secs(60));
    let values = within(peers.get(&fleet.address, vec![task])).await;
    let (found, value) = values.expect("the worker answers").remove(0);
    assert_eq!(found, task);
    value
}

#[tokio::test]
async fn a_worker_joins_computes_and_leaves() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|config| config.nthreads = 3).await;
        assert_eq!((worker.join.nthreads, &worker.join.address), (3, &worker.address));
        let offered = &worker.join.functions;
        assert!(offered.iter().any(|function| function.path == "shell::inc"));

        worker.compute(1, "shell::inc", call(&[41]), &[]);
        let message = worker.hear().await;
        let WorkerToScheduler::Finished { task, nbytes, value, .. } = message else {
            panic!("{scheme}: expected a result, got {message:?}");
        };
        assert_eq!((task, nbytes), (TaskId(1), 8));
        assert_eq!(take::<i64>(value.expect("a small result rides along")), Ok(42));

        worker.shut_down();
        assert!(matches!(worker.hear().await, WorkerToScheduler::Leaving));
        assert_eq!(worker.ended().await.expect("a good end"), Ended::Shutdown);
    }
}

#[tokio::test]
async fn a_worker_fetches_the_dependency_of_a_task_from_its_peer() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut first = scheduler.start_worker(|_| {}).await;
        let mut second = scheduler.start_worker(|_| {}).await;
        first.compute(1, "shell::inc", call(&[1]), &[]);
        assert_eq!(finished(&first.hear().await), Some((TaskId(1), RunId(0))));

        let dependency = second.knows(&first, 1, 8);
        second.compute(2, "shell::add", fake::call_on(&[0, 0]), &[dependency]);
        let added = second.hear().await;
        assert_eq!(added, WorkerToScheduler::Added { tasks: vec![(TaskId(1), 8)] });
        assert_eq!(finished(&second.hear().await), Some((TaskId(2), RunId(0))));
        let ValueAt::Found(value) = value_at(&second, TaskId(2)).await else {
            panic!("{scheme}: the result is not there");
        };
        assert_eq!(take::<i64>(value), Ok(4));

        second.say(SchedulerToWorker::Free { tasks: vec![TaskId(1), TaskId(2)] });
        second.compute(3, "shell::inc", call(&[1]), &[]);
        second.hear().await;
        assert_eq!(value_at(&second, TaskId(1)).await, ValueAt::Missing);
        assert_eq!(value_at(&second, TaskId(2)).await, ValueAt::Missing);
    }
}

#[tokio::test]
async fn a_dependency_that_no_peer_has_is_reported() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let first = scheduler.start_worker(|_| {}).await;
        let mut second = scheduler.start_worker(|_| {}).await;
        let dependency = second.knows(&first, 7, 8);
        second.compute(2, "shell::add", fake::call_on(&[0, 0]), &[dependency]);
        let expected = WorkerToScheduler::MissingDependencies {
            task: TaskId(2),
            run: RunId(0),
            missing: vec![(TaskId(7), first.id)],
        };
        assert_eq!(second.hear().await, expected, "{scheme}");
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_counts_as_one_that_lacks_the_result() {
    let mut scheduler = FakeScheduler::listen("inproc").await;
    let mut worker = scheduler.start_worker(|_| {}).await;
    let gone = WorkerId(99);
    let address = "inproc://nobody-is-here".parse().expect("an address");
    worker.say(SchedulerToWorker::Peer { id: gone, address });
    let holders = vec![gone];
    let holders = holders.into_iter().collect();
    let dependency = Dependency { task: TaskId(7), nbytes: 8, holders, value: None };
    worker.compute(2, "shell::add", fake::call_on(&[0, 0]), &[dependency]);
    let message = worker.hear().await;
    assert!(matches!(message, WorkerToScheduler::MissingDependencies { .. }));
}

#[tokio::test]
async fn a_task_that_fails_says_how() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
        worker.compute(1, "shell::boom", call(&[]), &[]);
        let error = erred(worker.hear().await);
        assert_eq!((error.kind, error.message.as_str()), (TaskErrorKind::Panicked, "boom"));
        assert!(error.location.expect("a location").contains("task.rs"));

        worker.compute(2, "shell::fail", call(&[]), &[]);
        let error = erred(worker.hear().await);
        assert_eq!(error.kind, TaskErrorKind::Returned);
        assert_eq!(
            (error.function.as_str(), error.worker),
            ("shell::fail", Some(worker.address.clone()))
        );

        worker.compute(3, "shell::inc", call(&[]), &[]);
        let error = erred(worker.hear().await);
        assert_eq!((error.kind, error.key), (TaskErrorKind::Serialization, key(3)));

        worker.compute(4, "shell::nothing_of_the_kind", call(&[]), &[]);
        let error = erred(worker.hear().await);
        assert_eq!(error.kind, TaskErrorKind::NoFunction);
        assert!(error.message.contains("shell::nothing_of_the_kind"), "{error}");

        worker.compute(5, "shell::inc", call(&[1]), &[]);
        assert!(finished(&worker.hear().await).is_some(), "{scheme}: it goes on");
    }
}

#[tokio::test]
async fn an_async_task_uses_the_timers_of_the_runtime() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|_| {}).await;
        worker.compute(1, "shell::nap", call(&[]), &[]);
        assert_eq!(finished(&worker.hear().await), Some((TaskId(1), RunId(0))));
    }
}

#[tokio::test]
async fn a_cancelled_task_is_told_and_its_result_dropped() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
        worker.compute(1, "shell::spin", call(&[]), &[]);
        within(task::STARTED.notified()).await;
        worker.say(SchedulerToWorker::Free { tasks: vec![TaskId(1)] });
        // The only thread is free again once the first task has seen that it is cancelled.
        worker.compute(2, "shell::inc", call(&[1]), &[]);
        assert_eq!(finished(&worker.hear().await), Some((TaskId(2), RunId(0))));
        assert_eq!(value_at(&worker, TaskId(1)).await, ValueAt::Missing);
    }
}

#[tokio::test]
async fn a_task_that_is_cancelled_while_it_starts_hears_of_it() {
    for scheme in SCHEMES {
        // The first batch of a connection has this many messages at most: the word to compute is in
        // one batch and the word to drop it in the next, and the worker has both at once.
        for others in [253, 254, 255] {
            let mut scheduler = FakeScheduler::listen(scheme).await;
            let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
            worker.compute(1, "shell::obedient", call(&[]), &[]);
            (0..others).for_each(|_| worker.say(SchedulerToWorker::Free { tasks: Vec::new() }));
            worker.say(SchedulerToWorker::Free { tasks: vec![TaskId(1)] });
            worker.compute(2, "shell::inc", call(&[1]), &[]);
            assert_eq!(finished(&worker.hear().await), Some((TaskId(2), RunId(0))));
        }
    }
}

#[tokio::test]
async fn a_task_that_is_cancelled_and_wanted_again_runs_again() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.nthreads = 2).await;
    worker.compute(1, "shell::spin_once", call(&[]), &[]);
    within(task::STARTED_ONCE.notified()).await;
    worker.say(SchedulerToWorker::Free { tasks: vec![TaskId(1)] });
    worker.compute_run((1, 1), "shell::spin_once", call(&[]), &[]);
    assert_eq!(finished(&worker.hear().await), Some((TaskId(1), RunId(1))));
}

#[tokio::test]
async fn a_result_that_cannot_be_serialized_fails_its_task_at_once() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|_| {}).await;
    worker.compute(1, "shell::stubborn", call(&[]), &[]);
    let error = erred(worker.hear().await);
    assert_eq!(error.kind, TaskErrorKind::Serialization);
    assert!(error.message.contains("result"), "{error}");
    assert!(error.message.contains("never"), "{error}");
}

#[tokio::test]
async fn a_result_that_panics_while_it_is_serialized_fails_its_task() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
    worker.compute(1, "shell::explosive", call(&[]), &[]);
    let error = erred(worker.hear().await);
    assert_eq!(error.kind, TaskErrorKind::Serialization);
    worker.compute(2, "shell::inc", call(&[1]), &[]);
    assert!(finished(&worker.hear().await).is_some());
}

#[tokio::test]
async fn a_large_result_stays_where_it_is() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|_| {}).await;
    worker.compute(1, "shell::zeros", call(&[100_000]), &[]);
    let message = worker.hear().await;
    let WorkerToScheduler::Finished { nbytes, value: None, .. } = message else {
        panic!("expected a result without its value, got {message:?}");
    };
    assert!(nbytes > INLINE_RESULT_BYTES);
    let ValueAt::Found(value) = value_at(&worker, TaskId(1)).await else {
        panic!("the result is not there");
    };
    assert_eq!(take::<Vec<i64>>(value).expect("a list").len(), 100_000);
}

#[tokio::test]
async fn values_are_put_and_got_back() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|_| {}).await;
        let transports = worker.transports.clone();
        let peers = Peers::new(transports, Program::default(), Duration::from_secs(60));
        let values = (0..3000).map(|i| StoredValue {
            task: TaskId(i),
            key: key(i),
            value: live(i.cast_signed()),
        });
        within(peers.put(&worker.address, values.collect())).await.expect("they are held");
        let mut added = 0;
        while added < 3000 {
            let WorkerToScheduler::Added { tasks } = worker.hear().await else {
                panic!("{scheme}: something else was said");
            };
            assert!(tasks.iter().all(|(_, nbytes)| *nbytes == 8));
            added += tasks.len();
        }
        let asked = (0..3001).map(TaskId).collect();
        let mut got = within(peers.get(&worker.address, asked)).await.expect("an answer");
        assert_eq!(got.pop(), Some((TaskId(3000), ValueAt::Missing)));
        for (i, (task, value)) in got.into_iter().enumerate() {
            let ValueAt::Found(value) = value else {
                panic!("{task} is not there");
            };
            assert_eq!(take::<i64>(value), Ok(i64::try_from(i).expect("small")));
        }
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_fails_the_task_that_needs_it() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut first = scheduler.start_worker(|_| {}).await;
    let mut second = scheduler.start_worker(|_| {}).await;
    first.compute(1, "shell::moody", call(&[]), &[]);
    assert!(finished(&first.hear().await).is_some());
    let dependency = second.knows(&first, 1, 4096);
    second.compute(2, "shell::add", fake::call_on(&[0, 0]), &[dependency]);
    let error = erred(second.hear().await);
    assert_eq!((error.kind, error.key.clone()), (TaskErrorKind::Serialization, key(2)));
    assert!(error.causes[0].contains("not today"), "{error:?}");
}

#[tokio::test]
async fn many_short_tasks_run_once_each() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|config| config.nthreads = 2).await;
        let mut results = BTreeMap::new();
        for i in 0..5000 {
            worker.compute(i, "shell::inc", call(&[i.cast_signed()]), &[]);
        }
        while results.len() < 5000 {
            let message = worker.hear().await;
            let WorkerToScheduler::Finished { task, value, .. } = message else {
                panic!("{scheme}: {message:?}");
            };
            let value = take::<i64>(value.expect("small")).expect("an i64");
            assert_eq!(results.insert(task, value), None, "{task} ran twice");
        }
        assert!(results.iter().all(|(task, value)| task.0.cast_signed() + 1 == *value));
    }
}

#[tokio::test]
async fn a_dependency_in_bytes_is_decoded_once_and_kept_live() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.nthreads = 1).await;
    let peers = Peers::new(worker.transports.clone(), Program::default(), Duration::from_secs(60));
    let value = StoredValue {
        task: TaskId(9),
        key: key(9),
        value: Payload::Bytes(encode(&5_i64).expect("it encodes")),
    };
    within(peers.put(&worker.address, vec![value])).await.expect("held");
    worker.hear().await;
    let holders = vec![worker.id];
    let holders = holders.into_iter().collect();
    let dependency = Dependency { task: TaskId(9), nbytes: 8, holders, value: None };
    worker.compute(1, "shell::add", fake::call_on(&[0, 0]), &[dependency]);
    let message = worker.hear().await;
    let WorkerToScheduler::Finished { value: Some(value), .. } = message else {
        panic!("{message:?}");
    };
    assert_eq!(take::<i64>(value), Ok(10));
    assert_eq!(worker.carriage(), Carriage::Bytes);
}
