//! What goes wrong with agents and with the programs that they run.

use std::path::Path;

use dask_client::Error;

use super::{LONG, Place, Site, fixture_at, observe, scheduler, short, traveller};
use crate::child::{FIXTURE, Program, bounded};
use support::cluster::eventually;

/// The program that cannot be started as a worker.
const CRASHING: &str = env!("CARGO_BIN_EXE_crashing");

#[tokio::test]
async fn a_program_that_crashes_at_start_fails_its_tasks_with_what_it_said_last() {
    bounded(async {
        let site = Site::start(&[]).await;
        let mut client = Program::of(Path::new(CRASHING), &[&site.address]);
        let error = client.says("error: ").await;
        for word in ["alice", "127", "looking for libfrob.so.7", "no such file"] {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        // The host goes on.
        let mut other = site.client().await;
        assert_eq!(other.asked("inc 1", "result: ").await, "2");
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_fails_the_tasks_and_leaves_nothing() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let cache = place.cache("alice");
        let arguments = ["agent", &address, "alice", cache.to_str().unwrap()];
        let mut alice = Program::with_full_disk(&arguments);
        alice.says("Agent at: ").await;
        let mut client = fixture_at(&address).await;
        let error = client.asked("inc 1", "failed: ").await;
        for word in ["alice", "cannot be written to the cache", "File too large"] {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        assert_eq!(place.cached("alice"), Vec::<String>::new());
        // A client that comes later makes it try again, and there is room now.
        alice.free_its_disk();
        let mut client = fixture_at(&address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_dies_is_replaced() {
    bounded(async {
        let mut site = Site::start(&[]).await;
        let mut client = site.client().await;
        // Whatever the task says how it ends: no code of its own is a retirement.
        for code in [7, 0] {
            let before = client.asked("pids 1", "pids: ").await;
            let error = client.asked(&format!("exit {code}"), "failed: ").await;
            assert!(error.contains("workers died"), "{error}");
            let after = client.asked("pids 1", "pids: ").await;
            assert_ne!(before, after);
        }
        site.alice.orphan();
        let (_, log) = site.alice.ended().await;
        assert!(log.contains("exit status: 7") && log.contains("exit status: 0"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_takes_too_much_memory_is_killed_and_replaced() {
    bounded(async {
        let mut site = Site::start(&["memory=200000000"]).await;
        let mut client = site.client().await;
        let error = client.asked("allocate 400000000", "failed: ").await;
        assert!(error.contains("workers died"), "{error}");
        assert_eq!(client.asked("programs 1", "programs: ").await, short(Path::new(FIXTURE)));
        site.alice.orphan();
        let (_, log) = site.alice.ended().await;
        assert!(log.contains("memory limit"), "{log}");
    })
    .await;
}

/// The memory that a process has.
fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn two_programs_together_have_no_more_memory_than_one() {
    bounded(async {
        let mut site = Site::start(&["memory=400000000"]).await;
        let mut one = traveller(&site.place.build(1), &site.address).await;
        let mut two = traveller(&site.place.build(2), &site.address).await;
        let pids = [one.asked("pids 1", "pids: ").await, two.asked("pids 1", "pids: ").await];
        // Each is far below the limit, also the one below which it writes to disk, and both are
        // beyond it together; not before the second is by far the larger, although it grows by and
        // by. It may be killed before it has answered.
        let more = |pid: &str, bytes: u64| bytes.checked_sub(resident(pid)).unwrap();
        one.asked(&format!("keep {}", more(&pids[0], 165_000_000)), "kept").await;
        two.tell(&format!("keep {}", more(&pids[1], 245_000_000))).await;
        eventually("the larger to be replaced", async || {
            (two.asked("pids 1", "pids: ").await != pids[1]).then_some(())
        })
        .await;
        assert_eq!(one.asked("pids 1", "pids: ").await, pids[0]);
        site.alice.orphan();
        let (_, log) = site.alice.ended().await;
        assert!(log.contains("the workers of all programs had"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn an_agent_whose_workers_were_retired_starts_others_for_the_next_client() {
    bounded(async {
        let site = Site::start(&[]).await;
        let mut client = site.client().await;
        let before = client.asked("pids 1", "pids: ").await;
        client.asked("retire alice", "retired").await;
        let mut next = site.client().await;
        assert_ne!(next.asked("pids 1", "pids: ").await, before);
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
    })
    .await;
}

#[tokio::test]
async fn an_installed_program_that_changes_is_not_started() {
    bounded(async {
        let (site, installed) = Site::installed().await;
        let same = site.place.0.path().join("same");
        std::fs::copy(&installed, &same).unwrap();
        std::fs::rename(site.place.build(2), &installed).unwrap();
        let mut client = traveller(&same, &site.address).await;
        let error = client.asked("inc 1", "failed: ").await;
        for word in ["alice", "--program", "start the agent anew"] {
            assert!(error.contains(word), "{word} is not in {error}");
        }
        // Nor is it fetched, where only installed programs run.
        assert_eq!(site.place.cached("alice"), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn an_agent_comes_back_to_a_scheduler_that_was_lost() {
    bounded(async {
        let place = Place::new();
        let (mut lost, address) = scheduler(LONG).await;
        let mut alice = place.agent(&address, "alice", &[]).await;
        let mut client = fixture_at(&address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        lost.kill();
        lost.ended().await;
        let mut next = Program::start(&["scheduler-at", &address, &LONG.to_string()], &[]);
        next.says("Scheduler at: ").await;
        let mut client = fixture_at(&address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        // One that says goodbye is not waited for.
        let closing = observe(&address).await;
        closing.shutdown().await.unwrap();
        let ended = alice.says("ended: ").await;
        assert!(ended.contains("Closed"), "{ended}");
    })
    .await;
}

#[tokio::test]
async fn a_killed_agent_leaves_no_workers() {
    bounded(async {
        let mut site = Site::start(&[]).await;
        let mut client = site.client().await;
        let pid: u32 = client.asked("pids 1", "pids: ").await.parse().unwrap();
        site.alice.kill();
        site.alice.ended().await;
        support::cluster::eventually("the worker to end", async || {
            (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        })
        .await;
        // Its tasks wait for the next.
        client.tell("inc 5").await;
        let _bob = site.place.agent(&site.address, "bob", &[]).await;
        assert_eq!(client.says("result: ").await, "6");
    })
    .await;
}

#[tokio::test]
async fn two_agents_of_one_name_are_told_apart() {
    bounded(async {
        let site = Site::start(&[]).await;
        let cache = site.place.cache("other");
        let arguments = ["agent", &site.address, "alice", cache.to_str().unwrap()];
        let mut other = Program::start(&arguments, &[]);
        let (status, log) = other.ended().await;
        assert!(!status.success() && log.contains("NameTaken"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn agents_start_again_the_workers_that_a_client_restarts() {
    bounded(async {
        let site = Site::start(&[]).await;
        let mut client = site.client().await;
        let before = client.asked("pids 1", "pids: ").await;
        client.asked("restart", "restarted").await;
        let after = client.asked("pids 1", "pids: ").await;
        assert_ne!(before, after);
    })
    .await;
}

/// All of them have the name of the agent.
#[tokio::test]
async fn a_restart_waits_for_the_workers_of_every_program_of_an_agent() {
    bounded(async {
        let site = Site::start(&[]).await;
        let mut one = traveller(&site.place.build(1), &site.address).await;
        let mut two = traveller(&site.place.build(2), &site.address).await;
        one.asked("wait 1", "waited").await;
        two.asked("wait 1", "waited").await;
        let observer = observe(&site.address).await;
        one.asked("restart", "restarted").await;
        let workers = observer.scheduler_info().await.unwrap().workers;
        assert_eq!(workers.len(), 2, "{workers:?}");
        assert!(workers[0].program.is_some() && workers[0].program != workers[1].program);
    })
    .await;
}

/// A client without a worker role is told what to do.
#[tokio::test]
async fn a_program_without_a_role_is_refused_at_connect() {
    bounded(async {
        let site = Site::start(&[]).await;
        // This test is one.
        let error: Error = dask_client::Client::builder()
            .address(&site.address)
            .set_as_default(false)
            .connect()
            .await
            .unwrap_err();
        crate::child::says(&error, &["#[dask_client::main]"]);
    })
    .await;
}
