//! Processes that die, freeze and vanish: what is computed again, who hears of it, and that the
//! rest goes on.

use std::time::Duration;

use dask_client::{Client, Error, Future, Status, TaskErrorKind, as_completed, wait};
use support::cluster::eventually;
use support::fault_tasks::{
    abort, blob, byte, double, exit, gated, overflow, pid, stays_at_zero, total,
};
use support::gate::Gate;

use crate::child::{Processes, Program, SECONDS, bounded, cluster, connect, goes_on, says, signal};

/// The number of bytes of a result that stays on its worker.
const LARGE: u64 = 100_000;

fn large_total() -> u64 {
    (0..LARGE).map(|i| u64::from(byte(i))).sum()
}

/// The process of the worker with this name.
async fn pid_of(client: &Client, name: &str) -> u32 {
    let options = client.options().workers([name]).pure(false);
    options.submit(pid, ()).result().await.unwrap()
}

#[tokio::test]
async fn a_stack_overflow_ends_its_process_and_no_other_task() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let gate = Gate::new().await;
        let other: Future<i64> = client.submit(gated, (gate.address(), 1));
        let waiting = gate.arrival().await;
        let futures: Vec<Future<i64>> = client.map(double, 0..50);
        let fatal = client.submit(overflow, 1);
        let error = fatal.result().await.unwrap_err();
        says(&error, &["killed its worker", "overflowed the stack", "tcp://127.0.0.1:"]);
        let task = error.task_error().unwrap();
        assert_eq!(task.kind, TaskErrorKind::KilledWorker);
        assert_eq!(task.key, *fatal.key());
        assert_eq!(task.function, "support::fault_tasks::overflow");
        waiting.release().await;
        assert_eq!(other.result().await.unwrap(), 1);
        let expected: Vec<i64> = (0..50).map(|x| 2 * x).collect();
        assert_eq!(client.gather(&futures).await.unwrap(), expected);
        // Its successor has joined.
        client.wait_for_workers(2).await.unwrap();
        goes_on(&client).await;
    })
    .await;
}

/// Both kinds of death, one after the other: each costs as many processes as are allowed.
#[tokio::test]
async fn a_task_that_ends_its_process_is_given_up_with_the_names_of_the_workers() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        for fatal in [client.submit(abort, ()), client.submit(exit, 7)] {
            let error = fatal.result().await.unwrap_err();
            let task = error.task_error().unwrap();
            assert_eq!(task.kind, TaskErrorKind::KilledWorker, "{error}");
            says(&error, &["4 workers died while they had this task", fatal.key().as_str()]);
            // How the last link broke may name an address as well.
            let text = error.to_string();
            let (workers, _) = text.split_once("; the last").unwrap();
            assert_eq!(workers.matches("tcp://127.0.0.1:").count(), 5, "{error}");
        }
        client.wait_for_workers(2).await.unwrap();
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn the_only_copy_of_a_result_is_computed_again_when_its_process_is_killed() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let on_zero = client.options().workers(["0"]).allow_other_workers(true);
        let held = on_zero.submit(blob, LARGE);
        wait(&held).await.unwrap();
        let holders = client.who_has(&held).await.unwrap();
        assert_eq!(holders[held.key()].len(), 1);
        let killed = pid_of(&client, "0").await;
        signal(killed, libc::SIGKILL);
        // Whoever asks, client or task, gets it.
        let sum = client.submit(total, &held);
        assert_eq!(sum.result().await.unwrap(), large_total());
        assert_eq!(held.result().await.unwrap().len(), 100_000);
        let story = client.story(held.key().as_str()).await.unwrap();
        assert!(!story.is_empty());
        goes_on(&client).await;
        assert_ne!(pid_of(&client, "0").await, killed);
    })
    .await;
}

#[tokio::test]
async fn a_process_killed_in_the_middle_of_many_tasks_costs_none() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let killed = pid_of(&client, "1").await;
        let blobs: Vec<Future<Vec<u8>>> = client.map(blob, (0..60).map(|i| LARGE / 10 + i));
        let sums: Vec<Future<u64>> =
            blobs.iter().map(|bytes| client.submit(total, bytes)).collect();
        let mut done = as_completed(&sums);
        for _ in 0..10 {
            done.next().await.unwrap();
        }
        signal(killed, libc::SIGKILL);
        let sums = client.gather(&sums).await.unwrap();
        let blobs = client.gather(&blobs).await.unwrap();
        for (i, (sum, bytes)) in sums.into_iter().zip(blobs).enumerate() {
            assert_eq!(bytes.len() as u64, LARGE / 10 + i as u64);
            assert_eq!(sum, bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        }
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_running_task_starts_again_elsewhere_when_its_process_is_killed() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let gate = Gate::new().await;
        let future: Future<i64> = client.submit(gated, (gate.address(), 9));
        let dependent = client.submit(double, &future);
        let mut first = gate.arrival().await;
        signal(first.pid, libc::SIGKILL);
        first.gone().await;
        let second = gate.arrival().await;
        assert_ne!(second.pid, first.pid);
        second.release().await;
        assert_eq!(dependent.result().await.unwrap(), 18);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn scattered_data_that_dies_with_its_worker_is_an_error_that_says_so() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let options = client.options().workers(["0"]);
        let data: Future<Vec<u8>> = options.scatter(vec![1; 5000]).await.unwrap();
        let before = client.submit(total, &data);
        assert_eq!(before.result().await.unwrap(), 5000);
        // With a copy elsewhere nothing is lost.
        let copied: Future<Vec<u8>> =
            client.options().broadcast(true).scatter(vec![2; 5000]).await.unwrap();
        // The scheduler hears of the copies one after the other.
        while client.who_has(&copied).await.unwrap()[copied.key()].len() < 2 {}
        let killed = pid_of(&client, "0").await;
        signal(killed, libc::SIGKILL);
        let error = loop {
            // It is lost when the scheduler hears of the death.
            match data.result().await {
                Err(error) => break error,
                Ok(value) => assert_eq!(value.len(), 5000),
            }
        };
        let task = error.task_error().unwrap();
        assert_eq!(task.kind, TaskErrorKind::LostData, "{error}");
        says(&error, &["scattered data is gone", data.key().as_str()]);
        let error = client.options().pure(false).submit(total, &data).result().await;
        assert_eq!(error.unwrap_err().task_error().unwrap(), task);
        assert_eq!(client.submit(total, &copied).result().await.unwrap(), 10_000);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_a_client_that_is_killed_are_released() {
    bounded(async {
        let processes = Processes::start().await;
        let client = processes.client().await;
        let mut vanishing = Program::start(&["client", &processes.address], &[]);
        vanishing.says("ready").await;
        // One of its keys is ours too, by nothing but its name.
        let shared = client.options().key("vanishing-3").submit(double, 3);
        assert_eq!(shared.result().await.unwrap(), 6);
        let keys = async || {
            let all = client.who_has(()).await.unwrap();
            all.into_keys().map(|key| key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(keys().await.len(), 10);
        vanishing.kill();
        vanishing.ended().await;
        // The scheduler hears of it soon.
        while keys().await.len() > 1 {}
        assert_eq!(keys().await, ["vanishing-3"]);
        assert_eq!(shared.result().await.unwrap(), 6);
        let again = client.options().key("vanishing-4").submit(double, 50);
        assert_eq!(again.result().await.unwrap(), 100);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_killed_scheduler_ends_every_wait_by_its_name_and_the_workers() {
    bounded(async {
        let mut processes = Processes::start().await;
        let client = processes.client().await;
        let gate = Gate::new().await;
        let large = client.submit(blob, LARGE);
        wait(&large).await.unwrap();
        let pending: Future<i64> = client.submit(gated, (gate.address(), 3));
        let _waiting = gate.arrival().await;
        let mut asking = Box::pin(client.wait_for_workers(3));
        let early = tokio::time::timeout(Duration::ZERO, &mut asking).await;
        assert!(early.is_err());
        let mut done = as_completed([&pending]);
        processes.scheduler.kill();
        assert_eq!(done.next().await.unwrap().status(), Status::Cancelled);
        let gone = |error: Error| {
            assert!(error.is_disconnected(), "{error:?}");
            says(&error, &["the connection to the scheduler", "is gone", &processes.address]);
        };
        gone(pending.result().await.unwrap_err());
        gone(wait(&pending).await.unwrap_err());
        gone(asking.await.unwrap_err());
        assert_eq!(pending.status(), Status::Cancelled);
        gone(large.result().await.unwrap_err());
        gone(client.submit(double, 1).result().await.unwrap_err());
        gone(client.scatter(1_i64).await.unwrap_err());
        gone(client.scheduler_info().await.unwrap_err());
        gone(client.gather(&client.map(double, 0..3)).await.unwrap_err());
        client.close().await.unwrap();
        for worker in &mut processes.workers {
            let (status, errors) = worker.ended().await;
            assert_eq!(status.code(), Some(1), "{errors}");
            assert!(errors.contains(&processes.address), "{errors}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_ends_all_processes_as_they_should_and_tells_other_clients() {
    bounded(async {
        let mut processes = Processes::start().await;
        let (one, two) = (processes.client().await, processes.client().await);
        let gate = Gate::new().await;
        let pending: Future<i64> = two.submit(gated, (gate.address(), 4));
        let _waiting = gate.arrival().await;
        one.shutdown().await.unwrap();
        let error = pending.result().await.unwrap_err();
        assert!(error.is_disconnected(), "{error:?}");
        says(&error, &[&processes.address]);
        // Whether it closed first, or heard first that the scheduler ends.
        let error = one.submit(double, 1).result().await.unwrap_err();
        assert!(error.is_closed() || error.is_disconnected(), "{error:?}");
        assert!(one.shutdown().await.is_err());
        for worker in &mut processes.workers {
            let (status, errors) = worker.ended().await;
            assert_eq!(status.code(), Some(dask_proto::role::exit::CLOSED), "{errors}");
        }
        let (status, errors) = processes.scheduler.ended().await;
        assert_eq!(status.code(), Some(0), "{errors}");
    })
    .await;
}

#[tokio::test]
async fn a_frozen_scheduler_runs_into_timeouts_and_goes_on_when_it_wakes() {
    bounded(async {
        let processes = Processes::start().await;
        let client = processes.client().await;
        goes_on(&client).await;
        signal(processes.scheduler.pid(), libc::SIGSTOP);
        let soon = Duration::from_millis(100);
        let future = client.submit(double, 21);
        let error = future.try_result(soon).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        let builder = Client::builder().address(&processes.address).timeout(soon);
        let error = builder.set_as_default(false).connect().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        says(&error, &[&processes.address, "said nothing within 100ms"]);
        signal(processes.scheduler.pid(), libc::SIGCONT);
        assert_eq!(future.result().await.unwrap(), 42);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn tasks_wait_for_a_worker_to_come_and_come_back() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let client = connect(&address).await.unwrap();
        let first: Vec<Future<i64>> = client.map(double, 0..10);
        let brief = client.options().timeout(Duration::from_millis(50));
        let error = brief.wait_for_workers(1).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert!(first.iter().all(|future| future.status() == Status::Pending));
        let mut worker = Program::worker(&address, "one");
        assert_eq!(client.gather(&first).await.unwrap()[9], 18);
        worker.kill();
        worker.ended().await;
        // All it held is gone, and is computed again by the next one.
        let sum = client.submit(total, client.submit(blob, LARGE));
        let _worker = Program::worker(&address, "one");
        assert_eq!(sum.result().await.unwrap(), large_total());
        assert_eq!(client.gather(&first).await.unwrap()[9], 18);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_frozen_worker_delays_its_tasks_and_loses_none() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let frozen = pid_of(&client, "1").await;
        let there = client.options().workers(["1"]).submit(blob, LARGE);
        wait(&there).await.unwrap();
        signal(frozen, libc::SIGSTOP);
        let futures: Vec<Future<i64>> = client.map(double, 0..200);
        let needed = client.options().workers(["0"]).submit(total, &there);
        // The other worker gets on with what it has.
        let mut done = as_completed(&futures);
        for _ in 0..100 {
            done.next().await.unwrap();
        }
        assert_eq!(needed.status(), Status::Pending);
        signal(frozen, libc::SIGCONT);
        assert_eq!(needed.result().await.unwrap(), large_total());
        let expected: Vec<i64> = (0..200).map(|x| 2 * x).collect();
        assert_eq!(client.gather(&futures).await.unwrap(), expected);
        // It is the same process: it was not taken for dead.
        assert_eq!(pid_of(&client, "1").await, frozen);
        goes_on(&client).await;
    })
    .await;
}

/// A worker that can be reached by nobody any more, while a client reads from it.
#[tokio::test]
async fn a_client_that_reads_from_a_worker_that_dies_gets_the_value_from_the_next() {
    bounded(async {
        let (_cluster, client) = cluster().await;
        let on_zero = client.options().workers(["0"]).allow_other_workers(true);
        let held = on_zero.submit(blob, LARGE);
        wait(&held).await.unwrap();
        let frozen = pid_of(&client, "0").await;
        signal(frozen, libc::SIGSTOP);
        // The question is on its way to a worker that does not answer, and then dies.
        let mut reading = Box::pin(held.result());
        let early = tokio::time::timeout(Duration::from_millis(50), &mut reading).await;
        assert!(early.is_err());
        signal(frozen, libc::SIGKILL);
        let value = tokio::time::timeout(SECONDS, reading).await.unwrap();
        assert_eq!(value.unwrap().len(), 100_000);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn workers_end_with_who_started_them_joined_or_not() {
    bounded(async {
        let mut processes = Processes::start().await;
        let [one, _] = &mut processes.workers;
        one.orphan();
        assert_eq!(one.ended().await.0.code(), Some(0));
        processes.scheduler.kill();
        processes.scheduler.ended().await;
        let mut alone = Program::worker(&processes.address, "alone");
        alone.orphan();
        let ended = tokio::time::timeout(Duration::from_secs(20), alone.ended()).await;
        assert_eq!(ended.unwrap().0.code(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_to_the_second_worker() {
    bounded(async {
        let processes = Processes::start().await;
        let mut second = Program::worker(&processes.address, "one");
        let (status, errors) = second.ended().await;
        assert_eq!(status.code(), Some(1));
        assert!(errors.contains("another worker is already connected as one"), "{errors}");
        goes_on(&connect(&processes.address).await.unwrap()).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_ends_though_a_task_that_was_short_before_does_not() {
    bounded(async {
        let mut processes = Processes::start().await;
        let client = processes.client().await;
        let one = client.options().workers(["one"]);
        // So that the thread that drives the worker's connections runs them itself.
        for x in 1..50 {
            assert_eq!(one.submit(stays_at_zero, x).result().await.unwrap(), x);
        }
        let stays = one.submit(stays_at_zero, 0);
        eventually("it runs", async || {
            let running = client.call_stack(&stays).await.unwrap();
            running.into_values().any(|tasks| !tasks.is_empty()).then_some(())
        })
        .await;
        client.shutdown().await.unwrap();
        for worker in &mut processes.workers {
            let (status, errors) = worker.ended().await;
            assert_eq!(status.code(), Some(dask_proto::role::exit::CLOSED), "{errors}");
        }
    })
    .await;
}
