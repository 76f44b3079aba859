//! Programs come to agents, share them, and go.

use std::path::Path;

use super::{LONG, Place, Site, fixture_at, observe, scheduler, short, traveller};
use crate::child::{FIXTURE, Program, bounded};
use support::cluster::eventually;

/// Who works for the cluster.
async fn workers(address: &str) -> Vec<String> {
    let client = observe(address).await;
    let info = client.scheduler_info().await.unwrap();
    client.close().await.unwrap();
    info.workers.into_iter().map(|worker| worker.name).collect()
}

#[tokio::test]
async fn agents_that_have_never_seen_a_program_run_it() {
    bounded(async {
        let site = Site::start(&[]).await;
        let _bob = site.place.agent(&site.address, "bob", &[]).await;
        let fixture = Path::new(FIXTURE);
        let mut client = traveller(fixture, &site.address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        client.asked("wait 2", "waited").await;
        assert_eq!(client.asked("programs 40", "programs: ").await, short(fixture));
        assert_eq!(client.asked("run", "ran: ").await, "2");
        let observer = observe(&site.address).await;
        let agents = observer.scheduler_info().await.unwrap().agents;
        let names: Vec<_> = agents.iter().map(|agent| &*agent.name).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert!(agents.iter().all(|agent| agent.programs == ["fixture"]), "{agents:?}");
        // A client that was asked which program it is was not turned away.
        let logs = observer.get_scheduler_logs(None).await.unwrap();
        assert!(logs.iter().all(|line| !line.message.contains("rejected")), "{logs:?}");
        observer.close().await.unwrap();
        // Fetched by one from the client, and by the other from that one.
        let expected = [dask_program::identify(fixture).unwrap().0.to_string()];
        assert_eq!(site.place.cached("alice"), expected);
        assert_eq!(site.place.cached("bob"), expected);
    })
    .await;
}

#[tokio::test]
async fn what_is_scattered_at_once_waits_for_the_program() {
    bounded(async {
        let site = Site::start(&[]).await;
        let mut client = site.client().await;
        assert_eq!(client.asked("scatter 100000", "scattered: ").await, "100000");
    })
    .await;
}

#[tokio::test]
async fn two_programs_at_once_each_run_their_own_code() {
    bounded(async {
        let site = Site::start(&[]).await;
        let _bob = site.place.agent(&site.address, "bob", &[]).await;
        let builds = [site.place.build(1), site.place.build(2)];
        let mut one = traveller(&builds[0], &site.address).await;
        let mut two = traveller(&builds[1], &site.address).await;
        one.asked("wait 2", "waited").await;
        two.asked("wait 2", "waited").await;
        for _ in 0..3 {
            one.tell("programs 40").await;
            two.tell("programs 40").await;
            // The functions of both have the same names and signatures.
            assert_eq!(one.says("programs: ").await, short(&builds[0]));
            assert_eq!(two.says("programs: ").await, short(&builds[1]));
        }
        let mut names = workers(&site.address).await;
        names.sort();
        assert_eq!(names, ["alice", "alice", "bob", "bob"]);
        // What is called on every worker is so on those of the client's program.
        assert_eq!(one.asked("run", "ran: ").await, "2");
        assert_eq!(two.asked("run", "ran: ").await, "2");
    })
    .await;
}

#[tokio::test]
async fn a_changed_program_runs_its_new_code_and_the_same_program_shares_workers() {
    bounded(async {
        let site = Site::start(&[]).await;
        let builds = [site.place.build(1), site.place.build(2)];
        let mut client = traveller(&builds[0], &site.address).await;
        let first = client.asked("pids 4", "pids: ").await;
        client.orphan();
        client.ended().await;
        let mut client = traveller(&builds[0], &site.address).await;
        assert_eq!(client.asked("pids 4", "pids: ").await, first);
        client.orphan();
        client.ended().await;
        let mut client = traveller(&builds[1], &site.address).await;
        assert_eq!(client.asked("programs 4", "programs: ").await, short(&builds[1]));
    })
    .await;
}

#[tokio::test]
async fn a_program_that_nobody_needs_is_stopped_and_comes_again_from_the_cache() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(100).await;
        let _alice = place.agent(&address, "alice", &["workers=2"]).await;
        for _ in 0..2 {
            let mut client = fixture_at(&address).await;
            client.asked("wait 2", "waited").await;
            assert_eq!(workers(&address).await.len(), 2);
            client.orphan();
            client.ended().await;
            eventually("the workers to end", async || {
                workers(&address).await.is_empty().then_some(())
            })
            .await;
        }
        assert_eq!(place.cached("alice").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_agent_without_code_runs_what_is_installed_and_refuses_the_rest() {
    bounded(async {
        let (site, installed) = Site::installed().await;
        let mut client = traveller(&installed, &site.address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        let mut refused = Program::of(&site.place.build(2), &["traveller", &site.address]);
        let reason = refused.says("refused: ").await;
        for word in ["alice", "--no-code", "rejected the connection"] {
            assert!(reason.contains(word), "{word} is not in {reason}");
        }
        assert_eq!(site.place.cached("alice"), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn an_agent_whose_life_is_over_hands_over_and_ends() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let _bob = place.agent(&address, "bob", &[]).await;
        let mut client = fixture_at(&address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        // However far it comes in its life.
        let mut alice = place.agent(&address, "alice", &["lifetime=500"]).await;
        assert_eq!(alice.says("ended: ").await, "Ok(Expired)");
        client.asked("wait 1", "waited").await;
        assert_eq!(client.asked("inc 2", "result: ").await, "3");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_was_there_before_the_first_agent_runs_its_own_program() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let builds = [place.build(1), place.build(2)];
        let mut early = traveller(&builds[0], &address).await;
        // On their way, or with the scheduler, while nobody knows which program it is.
        early.tell("programs 20").await;
        let _alice = place.agent(&address, "alice", &[]).await;
        let mut late = traveller(&builds[1], &address).await;
        assert_eq!(early.says("programs: ").await, short(&builds[0]));
        assert_eq!(late.asked("programs 20", "programs: ").await, short(&builds[1]));
        assert_eq!(early.asked("programs 20", "programs: ").await, short(&builds[0]));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_has_submitted_nothing_yet_waits_for_the_first_agent() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let mut client = fixture_at(&address).await;
        let _alice = place.agent(&address, "alice", &[]).await;
        client.asked("wait 1", "waited").await;
        assert_eq!(client.asked("scatter 1000", "scattered: ").await, "1000");
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
    })
    .await;
}
