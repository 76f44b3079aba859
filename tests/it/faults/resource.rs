//! A worker whose disk is full.

use std::path::PathBuf;
use std::time::Instant;

use dask_client::{Future, wait};
use support::cluster::eventually;
use support::memory_tasks::{count, fill};
use support::tally::costs;

use super::{seconds, takes, workers};
use crate::child::{Program, bounded, connect, goes_on};

const LIMIT: u64 = 128 << 20;
const BLOCK: usize = 8 << 20;

/// A directory for the files of workers, gone with its owner.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("dask-it-full-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_worker_with_a_full_disk_keeps_its_results_and_computes() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let directory = Directory::new();
        let mut full = Program::worker_with_full_disk(&address, "full", (LIMIT, &directory.0));
        full.says("Worker at: ").await;
        let _other = Program::workers(&address, ["other"]).await;
        let client = connect(&address).await.unwrap();
        let started = Instant::now();
        let pinned = client.options().workers(["full"]);
        // More than it keeps in memory where it can help it, and less than makes it pause.
        let blocks: Vec<Future<Vec<u8>>> = pinned.map(fill, (0..10).map(|byte| (byte, BLOCK)));
        wait(&blocks).await.unwrap();
        let counts: Vec<Future<usize>> = (0_u8..)
            .zip(&blocks)
            .map(|(byte, block)| client.submit(count, (block, byte)))
            .collect();
        assert_eq!(client.gather(&counts).await.unwrap(), [BLOCK; 10]);
        takes("seconds", seconds(started), 20.0);
        let spilled = client.scheduler_info().await.unwrap().workers[0].metrics.spilled;
        costs("bytes on the disk", spilled, 0);
        // Enough for a file, at last: it had not given up.
        full.free_its_disk();
        eventually("what does not fit to go to the disk", async || {
            let info = client.scheduler_info().await.unwrap();
            info.workers.iter().any(|worker| worker.metrics.spilled > 0).then_some(())
        })
        .await;
        assert_eq!(client.submit(count, (&blocks[0], 0_u8)).result().await.unwrap(), BLOCK);
        workers(&client, 2).await;
        goes_on(&client).await;
    })
    .await;
}
