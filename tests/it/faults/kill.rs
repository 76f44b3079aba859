//! Workers that are killed, once, in turn, and by the same task each time.

use std::time::Instant;

use dask_client::{Client, Future, TaskErrorKind, as_completed, wait};
use support::fault_tasks::{allocate, gated};
use support::gate::Gate;
use support::tally::{Tally, costs, leaf, merge, merged, slow_double};

use super::{seconds, takes};
use crate::child::{Program, bounded, cluster, connect, goes_on, says};

#[tokio::test]
async fn a_worker_killed_amid_two_thousand_tasks_costs_no_more_than_its_share() {
    const TASKS: i64 = 2000;
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let mut workers =
            Program::workers(&address, ["0", "1", "2", "3", "4", "5", "6", "7"]).await;
        let client = connect(&address).await.unwrap();
        let tally = Tally::new();
        let futures: Vec<Future<i64>> =
            client.map(slow_double, (0..TASKS).map(|x| (tally.path(), 10, x)));
        let mut done = as_completed(&futures);
        for _ in 0..TASKS / 2 {
            done.next().await.unwrap();
        }
        let killed = Instant::now();
        workers[3].kill();
        workers[3].ended().await;
        let results = client.gather(&futures).await.unwrap();
        let took = seconds(killed);
        assert_eq!(results, (0..TASKS).map(|x| 2 * x).collect::<Vec<_>>());
        // Half of what one of eight workers had done, and what it was fed ahead.
        costs("tasks run again", tally.runs() - TASKS as u64, TASKS as u64 / 4);
        takes("seconds from the death to the last result", took, 15.0);
        goes_on(&client).await;
    })
    .await;
}

/// All levels of a tree of sums, the leaves first.
fn tree(client: &Client, tally: &Tally, leaves: u64) -> Vec<Vec<Future<Vec<u64>>>> {
    let calls = (0..leaves).map(|x| (tally.path(), 10, x));
    let mut levels: Vec<Vec<Future<Vec<u64>>>> = vec![client.map(leaf, calls)];
    while levels.last().unwrap().len() > 1 {
        let pairs = levels.last().unwrap().chunks(2);
        let sums = pairs.map(|pair| client.submit(merge, (tally.path(), 10, &pair[0], &pair[1])));
        levels.push(sums.collect());
    }
    levels
}

#[tokio::test]
async fn every_worker_killed_in_turn_leaves_a_tree_of_held_results_whole() {
    const LEAVES: u64 = 256;
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let names = ["0", "1", "2", "3"];
        let mut workers = Program::workers(&address, names).await;
        let client = connect(&address).await.unwrap();
        let tally = Tally::new();
        let levels = tree(&client, &tally, LEAVES);
        let tasks = 2 * LEAVES - 1;
        let mut done = as_completed(levels.iter().flatten().collect::<Vec<_>>());
        let mut away = 0.0;
        for (worker, name) in workers.iter_mut().zip(names) {
            for _ in 0..tasks / 6 {
                done.next().await.unwrap();
            }
            let killed = Instant::now();
            worker.kill();
            worker.ended().await;
            *worker = Program::worker(&address, name);
            worker.says("Worker at: ").await;
            away += seconds(killed);
        }
        for (level, sums) in levels.iter().enumerate() {
            let width = 1 << level;
            let expected = (0..sums.len() as u64).map(|i| merged(i * width, width));
            assert_eq!(client.gather(sums).await.unwrap(), expected.collect::<Vec<_>>());
        }
        // Each death loses what a worker holds, a quarter of what is there.
        costs("tasks run again", tally.runs() - tasks, tasks * 2);
        takes("seconds until the four were replaced", away, 15.0);
        goes_on(&client).await;
    })
    .await;
}

/// It asks for more memory than there are addresses, which ends its process: what a worker that is
/// out of memory looks like.
#[tokio::test]
async fn a_task_that_kills_each_of_its_workers_harms_no_neighbour() {
    const NEIGHBOURS: i64 = 200;
    bounded(async {
        let (_cluster, client) = cluster().await;
        let (gate, tally) = (Gate::new().await, Tally::new());
        let calls = (0..NEIGHBOURS).map(|x| (tally.path(), 1, x));
        let before: Vec<Future<i64>> = client.map(slow_double, calls);
        wait(&before).await.unwrap();
        // The worker that it keeps busy cannot die.
        let beside: Future<i64> = client.submit(gated, (gate.address(), 5));
        let first = gate.arrival().await;
        let started = Instant::now();
        let fatal = client.submit(allocate, 1_u64 << 47);
        let error = fatal.result().await.unwrap_err();
        let took = seconds(started);
        let task = error.task_error().unwrap();
        assert_eq!(task.kind, TaskErrorKind::KilledWorker, "{error}");
        says(&error, &["4 workers died while they had this task", fatal.key().as_str()]);
        assert_eq!(error.to_string().matches("tcp://127.0.0.1:").count(), 5, "{error}");
        let expected: Vec<i64> = (0..NEIGHBOURS).map(|x| 2 * x).collect();
        assert_eq!(client.gather(&before).await.unwrap(), expected);
        first.release().await;
        assert_eq!(beside.result().await.unwrap(), 5);
        costs("processes", error.to_string().matches("tcp://").count() - 1, 4);
        takes("seconds until it was given up", took, 15.0);
        costs("tasks run again", tally.runs() - NEIGHBOURS as u64, 4 * NEIGHBOURS as u64);
        client.wait_for_workers(2).await.unwrap();
        goes_on(&client).await;
    })
    .await;
}
