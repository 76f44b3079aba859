//! Workers that stop for longer than the scheduler waits for them, and wake up.

use std::time::{Duration, Instant};

use dask_client::{Future, Lock, as_completed};
use support::coordination_tasks::locked;
use support::stage::Stage;
use support::tally::{Tally, costs, leaf, merge, merged};

use super::{seconds, takes, workers};
use crate::child::{Program, bounded, connect, goes_on, signal};

#[tokio::test]
async fn a_worker_frozen_past_its_time_is_done_without_and_ends_when_it_wakes() {
    const PAIRS: u64 = 200;
    const TTL: Duration = Duration::from_secs(2);
    bounded(async {
        let (_scheduler, address) = Program::scheduler_with_ttl(TTL).await;
        let _others = Program::workers(&address, ["0", "1"]).await;
        let mut worker = Program::worker_of_its_own(&address, "2");
        worker.says("Worker at: ").await;
        let client = connect(&address).await.unwrap();
        let tally = Tally::new();
        let leaves: Vec<Future<Vec<u64>>> =
            client.map(leaf, (0..2 * PAIRS).map(|x| (tally.path(), 5, x)));
        let sums: Vec<Future<Vec<u64>>> = leaves
            .chunks(2)
            .map(|pair| client.submit(merge, (tally.path(), 5, &pair[0], &pair[1])))
            .collect();
        let mut done = as_completed(&sums);
        for _ in 0..PAIRS / 3 {
            done.next().await.unwrap();
        }
        let frozen = Instant::now();
        signal(worker.pid(), libc::SIGSTOP);
        // What it holds and what it runs is computed again, while it stands still.
        let expected: Vec<Vec<u64>> = (0..PAIRS).map(|i| merged(2 * i, 2)).collect();
        assert_eq!(client.gather(&sums).await.unwrap(), expected);
        assert_eq!(client.gather(&leaves).await.unwrap()[9], merged(9, 1));
        workers(&client, 2).await;
        takes("seconds until all results were there", seconds(frozen), 15.0);
        let woken = Instant::now();
        signal(worker.pid(), libc::SIGCONT);
        let (status, errors) = worker.ended().await;
        assert!(status.code().is_some(), "{status}");
        // Whether it still gets to read why, or only that nobody is there.
        assert!(errors.contains("nothing was heard") || errors.contains(&address), "{errors}");
        takes("seconds until the worker that woke up had ended", seconds(woken), 5.0);
        costs("tasks run again", tally.runs() - 3 * PAIRS, 2 * PAIRS);
        // What it was in the middle of changed nothing, and its name is free.
        assert_eq!(client.gather(&sums).await.unwrap(), expected);
        let _successor = Program::workers(&address, ["2"]).await;
        workers(&client, 3).await;
        goes_on(&client).await;
    })
    .await;
}

/// Its links stay up all the time.
#[tokio::test]
async fn a_lock_that_a_frozen_worker_holds_is_free_when_the_worker_is_given_up() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler_with_ttl(Duration::from_secs(1)).await;
        let mut worker = Program::worker_of_its_own(&address, "0");
        worker.says("Worker at: ").await;
        let client = connect(&address).await.unwrap();
        let stage = Stage::new().await;
        let holder = client.submit(locked, ("lock", stage.address(), "holder"));
        let _holding = stage.entrance().await;
        let lock = Lock::new(&client, "lock");
        assert!(lock.locked().await.unwrap());
        signal(worker.pid(), libc::SIGSTOP);
        let held = lock.acquire().await.unwrap();
        workers(&client, 0).await;
        signal(worker.pid(), libc::SIGCONT);
        worker.ended().await;
        assert!(lock.locked().await.unwrap());
        held.release().await.unwrap();
        drop(holder);
    })
    .await;
}
