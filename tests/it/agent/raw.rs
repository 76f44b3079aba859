//! Clients that say of their program what they like.

use std::io::Write;
use std::path::Path;

use dask_client::transport::Transports;
use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId};
use dask_proto::message::{
    ClientToScheduler, Code, Hello, Program as ProgramName, ProgramLink, ProgramNews, Rejection,
    Role, SchedulerToClient, Submit, Welcome,
};
use dask_proto::program::{Executable, ProgramId, target};
use dask_proto::{Address, Frames, TaskError};
use dask_transport::{
    ConnectError, Connection, Inbox, Outbox, channel, connect, receive_hello, send_welcome,
};

use super::{Place, Site, fixture_at};
use crate::child::{FIXTURE, Program, SECONDS, bounded};
use support::cluster::eventually;

/// A client that a test plays.
pub(super) struct Raw {
    address: Address,
    outbox: Outbox<ClientToScheduler>,
    inbox: Inbox<SchedulerToClient>,
}

async fn hello(
    address: &Address,
    role: Role,
    code: Code,
) -> Result<(Connection, Welcome), ConnectError> {
    let program = ProgramName { code, ..ProgramName::named("raw") };
    let hello = Hello { role, program };
    connect(&Transports::default(), address, &hello, SECONDS).await
}

fn offered(executable: Executable) -> Code {
    Code::Offered { executable, voucher: None }
}

impl Raw {
    async fn connect(address: &str, executable: Executable) -> Result<Self, ConnectError> {
        Self::connect_with(address, offered(executable)).await
    }

    /// A client that says this of its program.
    pub(super) async fn connect_with(address: &str, code: Code) -> Result<Self, ConnectError> {
        let address: Address = address.parse().unwrap();
        let role = Role::Client { name: "raw".to_owned() };
        let (connection, _) = hello(&address, role, code).await?;
        let (outbox, inbox) = channel(connection);
        Ok(Self { address, outbox, inbox })
    }

    /// The next message.
    pub(super) async fn hears(&mut self) -> Vec<SchedulerToClient> {
        self.inbox.receive().await.unwrap().expect("the scheduler is there")
    }

    /// The ticket for the upload that the scheduler asks for next.
    async fn wanted(&mut self) -> u64 {
        loop {
            for message in self.hears().await {
                if let SchedulerToClient::Program(ProgramNews::Wanted { ticket }) = message {
                    return ticket;
                }
            }
        }
    }

    /// A connection for an upload.
    async fn upload(&self, ticket: u64) -> Connection {
        let role = Role::Program(ProgramLink::Upload { ticket });
        hello(&self.address, role, Code::Withheld).await.unwrap().0
    }

    fn submit(&self) {
        let function = Function { path: "app::inc".to_owned(), signature: "fn()".to_owned() };
        let task = TaskSpec {
            future: FutureId(1),
            key: "inc-1".try_into().unwrap(),
            function: FunctionId(1),
            content: Some([1; 16]),
            dependencies: Vec::new(),
            body: bytes::Bytes::new().into(),
        };
        let submit = Submit { options: TaskOptions::default(), tasks: vec![task] };
        let define = ClientToScheduler::Define { id: FunctionId(1), function };
        self.outbox.send([define, ClientToScheduler::Submit(submit)]).unwrap();
    }
}

pub(super) fn executable(path: &Path) -> Executable {
    let (id, bytes) = dask_program::identify(path).unwrap();
    Executable { id, bytes, name: "raw".to_owned(), target: target() }
}

#[tokio::test]
async fn a_program_of_another_target_is_refused_at_connect() {
    bounded(async {
        let site = Site::start(&[]).await;
        let foreign = "riscv64-linux-gnu".to_owned();
        let executable = Executable { target: foreign, ..executable(Path::new(FIXTURE)) };
        let Err(error) = Raw::connect(&site.address, executable).await else {
            panic!("it was welcomed");
        };
        let reason = std::error::Error::source(&error).unwrap().to_string();
        for word in ["alice", "riscv64-linux-gnu", &target(), "--target"] {
            assert!(reason.contains(word), "{word} is not in {reason}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_program_with_another_hash_than_announced_is_never_started() {
    bounded(async {
        let site = Site::start(&[]).await;
        // Its real size, so that only the hash tells.
        let announced = Executable { id: ProgramId([7; 32]), ..executable(Path::new(FIXTURE)) };
        let mut client = Raw::connect(&site.address, announced).await.unwrap();
        client.submit();
        let mut trouble = Vec::new();
        let error: TaskError = 'outer: loop {
            for message in client.hears().await {
                match message {
                    SchedulerToClient::Program(ProgramNews::Wanted { ticket }) => {
                        let mut connection = client.upload(ticket).await;
                        let file = std::fs::File::open(FIXTURE).unwrap();
                        dask_program::send(&mut connection, file, |_| {}).await.unwrap();
                    }
                    SchedulerToClient::Program(ProgramNews::Trouble { reason, .. }) => {
                        trouble.push(reason);
                    }
                    SchedulerToClient::Erred { error, .. } => break 'outer *error,
                    _ => {}
                }
            }
        };
        assert_eq!(trouble.len(), 3, "{trouble:?}");
        let text = error.to_string();
        for word in ["inc-1", "alice", "SHA-256", &ProgramId([7; 32]).to_string(), "not started"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        assert_eq!(site.place.cached("alice"), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_killed_while_it_fetches_fetches_anew() {
    bounded(async {
        let mut site = Site::start(&[]).await;
        let fixture = Path::new(FIXTURE);
        let mut client = Raw::connect(&site.address, executable(fixture)).await.unwrap();
        let ticket = client.wanted().await;
        let mut connection = client.upload(ticket).await;
        // The first piece of the program, and no more.
        let piece = vec![0_u8; 1 << 16];
        let mut packed = u32::try_from(piece.len()).unwrap().to_le_bytes().to_vec();
        // A block of LZ4 that is all literals: their number, then they.
        packed.push(0xf0);
        let mut more = piece.len() - 15;
        while more >= 255 {
            packed.push(255);
            more -= 255;
        }
        packed.push(u8::try_from(more).unwrap());
        packed.write_all(&piece).unwrap();
        connection.sender.send(Frames::new(vec![packed.into()])).await.unwrap();
        eventually("something of the program to be on disk", async || {
            let cached = site.place.cached("alice");
            let name = cached.first().filter(|name| name.ends_with(".partial"))?;
            let file = site.place.cache("alice").join(name);
            (std::fs::metadata(file).ok()?.len() > 0).then_some(())
        })
        .await;
        site.alice.kill();
        site.alice.ended().await;
        assert_eq!(site.place.cached("alice").len(), 1);
        drop(connection);
        drop(client);
        // What was left is gone, and the program comes whole.
        let _alice = site.place.agent(&site.address, "alice", &[]).await;
        let mut client = site.client().await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        let id = dask_program::identify(fixture).unwrap().0;
        assert_eq!(site.place.cached("alice"), [id.to_string()]);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_loses_its_turn_to_another() {
    bounded(async {
        let place = Place::new();
        // Longer than the agent is silent while it does get on.
        let mut scheduler = Program::start(&["scheduler-for", "8000"], &[]);
        let address = scheduler.says("Scheduler at: ").await;
        let _alice = place.agent(&address, "alice", &[]).await;
        let fixture = Path::new(FIXTURE);
        let mut silent = Raw::connect(&address, executable(fixture)).await.unwrap();
        let ticket = silent.wanted().await;
        let _connection = silent.upload(ticket).await;
        let mut client = fixture_at(&address).await;
        assert_eq!(client.asked("inc 1", "result: ").await, "2");
        let reason = 'outer: loop {
            for message in silent.hears().await {
                if let SchedulerToClient::Program(ProgramNews::Trouble { reason, .. }) = message {
                    break 'outer reason;
                }
            }
        };
        assert!(reason.contains("nothing of it has come for 8s"), "{reason}");
    })
    .await;
}

#[tokio::test]
async fn a_client_reads_its_executable_only_where_there_are_agents() {
    bounded(async {
        let transports = Transports::default();
        let mut listener = transports.listen(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().to_string();
        let mut client = Program::of(Path::new(FIXTURE), &["traveller", &address]);
        let mut codes = Vec::new();
        for rejection in [Rejection::Identify, Rejection::Closing] {
            let mut connection = listener.accept().await.unwrap();
            codes.push(receive_hello(&mut connection, SECONDS).await.unwrap().program.code);
            send_welcome(&mut connection, &Welcome::Rejected(rejection)).await.unwrap();
        }
        assert_eq!(codes[0], Code::Unidentified);
        let (id, bytes) = dask_program::identify(Path::new(FIXTURE)).unwrap();
        let expected = Executable { id, bytes, name: "fixture".to_owned(), target: target() };
        assert_eq!(codes[1], offered(expected));
        assert!(client.says("refused: ").await.contains("shutting down"));
    })
    .await;
}
