//! Agents that run programs only for those that know a token.

use std::path::{Path, PathBuf};

use dask_agent::Tokens;
use dask_proto::message::{Code, ProgramNews, SchedulerToClient};
use dask_proto::program::Voucher;

use super::raw::{Raw, executable};
use super::{LONG, Place, scheduler, traveller};
use crate::child::{FIXTURE, Program, bounded};

const TOKEN: &str = "correct-horse-battery-staple";

impl Place {
    /// A file with this token and another.
    fn tokens(&self) -> PathBuf {
        let path = self.0.path().join("tokens");
        std::fs::write(&path, format!("another\n{TOKEN}\n")).unwrap();
        path
    }

    /// An agent that allows them.
    async fn guarded(&self, scheduler: &str, name: &str) -> Program {
        let option = format!("tokens={}", self.tokens().display());
        self.agent(scheduler, name, &[&option]).await
    }
}

fn with_token(scheduler: &str, token: &str) -> Program {
    Program::start(&["traveller", scheduler], &[("DASK_TOKEN", token)])
}

#[tokio::test]
async fn a_program_runs_only_for_those_that_know_a_token_and_nobody_hears_it() {
    bounded(async {
        let place = Place::new();
        let file = place.0.path().join("recording");
        let (mut scheduler, address) = Program::recording(&file).await;
        let mut alice = place.guarded(&address, "alice").await;
        let mut refused = traveller_refused(Program::start(&["traveller", &address], &[])).await;
        for word in ["alice", "--allow-token-file", "DASK_TOKEN", "Client::builder().token("] {
            assert!(refused.contains(word), "{word} is not in {refused}");
        }
        refused = traveller_refused(with_token(&address, "a-guess")).await;
        for word in ["alice", "does not allow the token of this client"] {
            assert!(refused.contains(word), "{word} is not in {refused}");
        }
        assert!(!refused.contains("a-guess"), "{refused}");
        let mut client = with_token(&address, TOKEN);
        client.says("connected").await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        client.orphan();
        client.ended().await;
        alice.orphan();
        scheduler.orphan();
        let logs = [alice.ended().await.1, scheduler.ended().await.1];
        assert!(logs.iter().all(|log| !log.contains(TOKEN)), "{logs:?}");
        let recorded = std::fs::read(&file).unwrap();
        assert!(!recorded.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes()));
    })
    .await;
}

async fn traveller_refused(mut client: Program) -> String {
    client.says("refused: ").await
}

#[tokio::test]
async fn a_token_is_given_to_the_builder_of_an_async_client_and_of_one_that_blocks() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let _alice = place.guarded(&address, "alice").await;
        // What the builder has counts.
        let variables = [("DASK_TOKEN", "a-guess")];
        let mut clients = Program::start(&["guarded", &address, TOKEN], &variables);
        assert_eq!(clients.says("async: ").await, "2");
        assert_eq!(clients.says("blocking: ").await, "3");
    })
    .await;
}

#[tokio::test]
async fn a_client_runs_where_its_token_is_allowed_or_none_is_asked_for() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        // Before the first agent: it is asked for its program, and shows its token then.
        let mut early = with_token(&address, TOKEN);
        early.says("connected").await;
        let _alice = place.guarded(&address, "alice").await;
        early.asked("wait 1", "waited").await;
        let _bob = place.agent(&address, "bob", &[]).await;
        early.asked("wait 2", "waited").await;
        // Another build, which only one of them runs.
        let mut client = traveller(&place.build(1), &address).await;
        client.asked("wait 1", "waited").await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        assert_eq!(place.cached("alice").len(), 1);
        assert_eq!(place.cached("bob").len(), 2);
    })
    .await;
}

#[tokio::test]
async fn tasks_have_a_client_where_all_agents_want_to_see_a_token() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let _alice = place.guarded(&address, "alice").await;
        let mut client = with_token(&address, TOKEN);
        client.says("connected").await;
        assert_eq!(client.asked("have-inc 1", "result: ").await, "2");
    })
    .await;
}

#[tokio::test]
async fn an_agent_sees_itself_that_a_voucher_is_forged() {
    bounded(async {
        let place = Place::new();
        let (_scheduler, address) = scheduler(LONG).await;
        let _alice = place.guarded(&address, "alice").await;
        // What somebody knows who has read what went over the network.
        let token = Tokens::read(&place.tokens()).unwrap().ids()[1];
        let executable = executable(Path::new(FIXTURE));
        let voucher = Some(Voucher { token, tag: [7; 32] });
        let code = Code::Offered { executable, voucher };
        let mut forger = Raw::connect_with(&address, code).await.unwrap();
        let reason = 'outer: loop {
            for message in forger.hears().await {
                if let SchedulerToClient::Program(ProgramNews::Trouble { reason, .. }) = message {
                    break 'outer reason;
                }
            }
        };
        assert!(reason.contains("--allow-token-file"), "{reason}");
        assert_eq!(place.cached("alice"), Vec::<String>::new());
        // It does not stand in the way of who knows the token.
        let mut client = with_token(&address, TOKEN);
        client.says("connected").await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
    })
    .await;
}
