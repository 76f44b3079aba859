//! Very many clients and workers at once.

use std::time::Instant;

use dask_client::{Future, wait};
use support::fault_tasks::double;
use support::tally::{Tally, costs, slow_double};

use super::{seconds, takes, until, workers};
use crate::child::{Program, bounded, connect, goes_on};

/// Open descriptors of a process, and its resident memory in MiB.
fn taken(pid: u32) -> (usize, f64) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: f64 = line.trim_end_matches("kB").trim().parse().unwrap();
    (descriptors, kilobytes / 1024.0)
}

#[tokio::test]
async fn two_hundred_clients_that_vanish_leave_nothing_behind() {
    bounded(async {
        let (scheduler, address) = Program::scheduler().await;
        let _workers = Program::workers(&address, ["0", "1"]).await;
        let client = connect(&address).await.unwrap();
        let tally = Tally::new();
        let mut after = Vec::new();
        let before = taken(scheduler.pid());
        // What the first ones leave is memory that the others use again.
        for _ in 0..2 {
            let ours: Vec<Future<i64>> = client
                .options()
                .pure(false)
                .map(slow_double, (0..20).map(|x| (tally.path(), 1, x)));
            let arguments = ["clients", &address, "200", &tally.path()];
            let mut clients = Program::start(&arguments, &[]);
            clients.says("ready").await;
            let vanished = Instant::now();
            clients.kill();
            clients.ended().await;
            let expected: Vec<i64> = (0..20).map(|x| 2 * x).collect();
            assert_eq!(client.gather(&ours).await.unwrap(), expected);
            drop(ours);
            until(&client, "all to be forgotten", |info| {
                info.clients == 1 && info.tasks.is_empty()
            })
            .await;
            takes("seconds until they were forgotten", seconds(vanished), 15.0);
            after.push(taken(scheduler.pid()));
        }
        costs("more descriptors", after[1].0.saturating_sub(before.0), 2);
        costs("MiB more after the first", after[0].1 - before.1, 100.0);
        costs("MiB more after the second", after[1].1 - after[0].1, 40.0);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn three_hundred_workers_run_thirty_thousand_tasks() {
    const WORKERS: u32 = 300;
    const TASKS: i64 = 30_000;
    bounded(async {
        let (scheduler, address) = Program::scheduler().await;
        let client = connect(&address).await.unwrap();
        let (descriptors, _) = taken(scheduler.pid());
        let started = Instant::now();
        let mut crowd = Program::start(&["workers", &address, &WORKERS.to_string()], &[]);
        client.wait_for_workers(WORKERS).await.unwrap();
        takes("seconds until all had joined", seconds(started), 10.0);
        let started = Instant::now();
        let futures: Vec<Future<i64>> = client.map(double, 0..TASKS);
        wait(&futures).await.unwrap();
        takes("seconds for 30,000 tasks", seconds(started), 15.0);
        let results = client.gather(&futures).await.unwrap();
        assert!(results.into_iter().eq((0..TASKS).map(|x| 2 * x)));
        let counts = client.finished_counts().await.unwrap();
        let most = counts.values().flat_map(|counts| counts.values()).max();
        costs("tasks on the busiest worker", *most.unwrap(), TASKS as u64 / 2);
        drop(futures);
        let leaving = Instant::now();
        crowd.orphan();
        workers(&client, 0).await;
        assert_eq!(crowd.ended().await.0.code(), Some(0));
        takes("seconds until all had left", seconds(leaving), 10.0);
        until(&client, "all to be forgotten", |info| info.tasks.is_empty()).await;
        costs("descriptors left", taken(scheduler.pid()).0 - descriptors, 2);
    })
    .await;
}
