//! Workers whose memory is limited: what does not fit goes to disk, and nothing is lost or stuck.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dask_client::{Client, Future, LocalCluster, wait};
use dask_proto::message::WorkerStatus;
use support::cluster::{connect, eventually};
use support::fault_tasks::double;
use support::gate::Gate;
use support::memory_tasks::{block, count, fill, hog, merge, word};

use crate::child::{FIXTURE, bounded};

const LIMIT: u64 = 96 << 20;

/// Worker processes with this much memory each, and a directory for their files.
struct Small {
    cluster: LocalCluster,
    client: Client,
    directory: PathBuf,
}

impl Small {
    async fn start(workers: u32, threads: u32) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("dask-it-memory-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let builder = LocalCluster::builder().workers(workers).threads_per_worker(threads);
        let builder = builder.memory_limit(LIMIT).local_directory(&directory).program(FIXTURE);
        let cluster = builder.build().await.unwrap();
        let client = connect(cluster.address()).await;
        Self { cluster, client, directory }
    }

    async fn pids(&self) -> BTreeSet<u32> {
        let info = self.client.scheduler_info().await.unwrap();
        info.workers.iter().map(|worker| worker.pid).collect()
    }

    /// Bytes on the disks of all workers, once there are any.
    async fn spilled(&self) -> u64 {
        eventually("a worker to tell that it spilled", async || {
            let info = self.client.scheduler_info().await.unwrap();
            let spilled = info.workers.iter().map(|worker| worker.metrics.spilled).sum();
            (spilled > 0).then_some(spilled)
        })
        .await
    }

    async fn become_status(&self, status: WorkerStatus) {
        eventually(&format!("the worker to be {status}"), async || {
            let info = self.client.scheduler_info().await.unwrap();
            (info.workers[0].status == status).then_some(())
        })
        .await;
    }

    /// Ends it; nothing of it stays on the disk.
    async fn stop(self) {
        self.client.close().await.unwrap();
        self.cluster.close().await;
        assert_eq!(entries(&self.directory), ["global.lock"]);
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn twice_the_memory_of_all_workers_passes_through_a_tree() {
    bounded(async {
        const LENGTH: u64 = 512 << 10;
        let small = Small::start(2, 1).await;
        let pids = small.pids().await;
        let blocks = 2 * 2 * LIMIT / (8 * LENGTH);
        let calls = (0..blocks).map(|seed| (seed, LENGTH));
        let held: Vec<Future<Vec<u64>>> = small.client.map(block, calls);
        wait(&held).await.unwrap();
        assert!(small.spilled().await > LIMIT);

        let mut level = held.clone();
        while level.len() > 1 {
            let pairs = level.chunks(2).map(|pair| match pair {
                [a, b] => small.client.submit(merge, (a, b)),
                rest => rest[0].clone(),
            });
            level = pairs.collect();
        }
        let sums = level[0].result().await.unwrap();
        let seeds: u64 = (0..blocks).sum();
        assert_eq!(sums.len() as u64, LENGTH);
        for (i, sum) in sums.iter().enumerate() {
            let zeros = word(0, i as u64).wrapping_mul(blocks);
            assert_eq!(*sum, zeros.wrapping_add(word(seeds, 0)), "{i}");
        }
        // What was held all the time is what it was.
        for (seed, value) in held.iter().enumerate().step_by(17) {
            let value = value.result().await.unwrap();
            assert!((0..LENGTH).step_by(4099).all(|i| value[i as usize] == word(seed as u64, i)));
        }
        assert_eq!(small.pids().await, pids, "a worker died");
        drop((held, level));
        small.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_value_larger_than_the_memory_of_a_worker_passes() {
    bounded(async {
        let small = Small::start(1, 1).await;
        let pids = small.pids().await;
        let length = LIMIT as usize + (8 << 20);
        let large: Future<Vec<u8>> = small.client.submit(fill, (7, length));
        wait(std::slice::from_ref(&large)).await.unwrap();
        assert!(small.spilled().await >= LIMIT);
        assert_eq!(small.client.submit(count, (&large, 7)).result().await.unwrap(), length);
        assert_eq!(large.result().await.unwrap().len(), length);
        assert_eq!(small.pids().await, pids, "the worker died");
        drop(large);
        small.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_without_memory_pauses_and_goes_on_when_there_is_some() {
    bounded(async {
        let small = Small::start(1, 2).await;
        let gate = Gate::new().await;
        let hogging: Future<usize> = small.client.submit(hog, (gate.address(), LIMIT as usize));
        let waiting = gate.arrival().await;
        small.become_status(WorkerStatus::Paused).await;
        // A thread is free, and memory is not.
        let others: Vec<Future<i64>> = small.client.map(double, 0..20);
        let info = small.client.scheduler_info().await.unwrap();
        assert_eq!(info.workers[0].metrics.executing.max(1), 1);
        assert!(others.iter().all(|other| !other.done()));
        waiting.release().await;
        assert_eq!(hogging.result().await.unwrap() as u64, LIMIT);
        small.become_status(WorkerStatus::Running).await;
        let doubled = small.client.gather(&others).await.unwrap();
        assert_eq!(doubled, (0..20).map(|x| 2 * x).collect::<Vec<i64>>());
        drop((hogging, others));
        small.stop().await;
    })
    .await;
}

#[tokio::test]
async fn files_that_vanish_cost_their_results_and_nothing_else() {
    bounded(async {
        const LENGTH: u64 = 512 << 10;
        let small = Small::start(1, 1).await;
        let blocks: Vec<Future<Vec<u64>>> =
            small.client.map(block, (0..40).map(|seed| (seed, LENGTH)));
        wait(&blocks).await.unwrap();
        small.spilled().await;
        let mut lost = 0;
        for name in entries(&small.directory) {
            let Ok(files) = std::fs::read_dir(small.directory.join(name)) else { continue };
            for file in files {
                std::fs::write(file.unwrap().path(), "not what it was").unwrap();
                lost += 1;
            }
        }
        assert!(lost > 0);
        for (seed, held) in blocks.iter().enumerate() {
            let sum = small.client.submit(merge, (held, held)).result().await.unwrap();
            assert!(
                (0..LENGTH)
                    .step_by(4099)
                    .all(|i| { sum[i as usize] == word(seed as u64, i).wrapping_mul(2) })
            );
        }
        let value = blocks[3].result().await.unwrap();
        assert_eq!(value[5], word(3, 5));
        drop(blocks);
        small.stop().await;
    })
    .await;
}
