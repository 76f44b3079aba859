//! What happens to a scheduler process is recorded, and happens again from the file.

use std::path::PathBuf;

use dask_client::{Client, Future, wait};
use dask_scheduler::record::{Ending, Recording, Replay};
use support::fault_tasks::{blob, double, gated, panics, total};
use support::gate::Gate;

use crate::child::{Program, bounded, connect, goes_on};

/// A file that is gone after its test.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("{}-{name}.recording", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Replays it with every check; how it ends.
    fn replay(&self) -> (Replay, Ending) {
        let mut recording = Recording::open(&self.0).unwrap();
        let mut replay = Replay::new(recording.header());
        while let Some(recorded) = recording.read().unwrap() {
            if let Err(difference) = replay.step(recorded) {
                panic!("{difference}");
            }
            replay.state().check_invariants().unwrap();
        }
        let ending = recording.ending().unwrap().clone();
        (replay, ending)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Maps, dependencies, a failure with retries, a cancelled task, data, and a worker that is killed.
async fn all_sorts(client: &Client, address: &str, workers: &mut Vec<Program>) {
    let doubled: Vec<Future<i64>> = client.map(double, 0..100);
    let blobs: Vec<Future<Vec<u8>>> = client.map(blob, (0..20).map(|i| 20_000 + i));
    let sums: Vec<Future<u64>> = blobs.iter().map(|bytes| client.submit(total, bytes)).collect();
    let failing = client.options().retries(2).submit(panics, "as it should".to_owned());
    assert!(failing.result().await.unwrap_err().is_task_error());
    let data: Future<Vec<u8>> = client.scatter(vec![3; 50_000]).await.unwrap();
    assert_eq!(client.submit(total, &data).result().await.unwrap(), 150_000);
    wait(&sums).await.unwrap();
    let gate = Gate::new().await;
    let cancelled: Future<i64> = client.submit(gated, (gate.address(), 1));
    let started = gate.arrival().await;
    cancelled.cancel().await.unwrap();
    started.release().await;
    let gate = Gate::new().await;
    let again: Future<i64> = client.submit(gated, (gate.address(), 2));
    let first = gate.arrival().await;
    let killed = workers.iter_mut().find(|worker| worker.pid() == first.pid);
    killed.unwrap().kill();
    workers.push(Program::worker(address, "three"));
    gate.arrival().await.release().await;
    assert_eq!(again.result().await.unwrap(), 2);
    assert_eq!(client.gather(&doubled).await.unwrap()[99], 198);
    assert_eq!(client.gather(&sums).await.unwrap().len(), 20);
    goes_on(client).await;
}

#[tokio::test]
async fn a_session_of_all_sorts_replays_to_the_same_instructions() {
    bounded(async {
        let file = File::new("all-sorts");
        let (mut scheduler, address) = Program::recording(&file.0).await;
        let mut workers = vec![Program::worker(&address, "one"), Program::worker(&address, "two")];
        let client = connect(&address).await.unwrap();
        client.wait_for_workers(2).await.unwrap();
        all_sorts(&client, &address, &mut workers).await;
        client.shutdown().await.unwrap();
        let (status, errors) = scheduler.ended().await;
        assert!(status.success(), "{errors}");
        let (replay, ending) = file.replay();
        assert_eq!(ending, Ending::Finished);
        assert!(replay.events() > 50, "{} events", replay.events());
        assert!(replay.state().submitted() >= 164, "{} tasks", replay.state().submitted());
    })
    .await;
}

#[tokio::test]
async fn a_scheduler_that_is_killed_leaves_what_happened_until_a_second_before() {
    bounded(async {
        let file = File::new("killed");
        let (mut scheduler, address) = Program::recording(&file.0).await;
        let _worker = Program::worker(&address, "one");
        let client = connect(&address).await.unwrap();
        goes_on(&client).await;
        // Once it has grown, something of what came before is in it: what is asked is recorded.
        let len = || std::fs::metadata(&file.0).unwrap().len();
        let before = len();
        while len() == before {
            client.scheduler_info().await.unwrap();
        }
        scheduler.kill();
        scheduler.ended().await;
        let (replay, ending) = file.replay();
        assert_eq!(ending, Ending::Missing);
        assert!(replay.events() > 2, "{} events", replay.events());
    })
    .await;
}
