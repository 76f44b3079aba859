//! Clients and workers that a test plays.

use std::time::Duration;

use bytes::Bytes;
use dask_proto::graph::{Function, TaskSpec};
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{
    Answer, ClientToScheduler, Compute, Hello, Program, Request, Role, SchedulerToClient,
    SchedulerToWorker, Submit, WorkerJoin, WorkerToScheduler,
};
use dask_proto::{Address, Frames, Key, Payload};
use dask_scheduler::{Config, Error, Scheduler};
use dask_transport::{ConnectError, Connection, Inbox, Outbox, Transports, channel, connect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Whatever takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The id that the clients of these tests give to the only function.
const INC: FunctionId = FunctionId(1);

/// Defines a test per transport.
macro_rules! on_every_transport {
    ($($name:ident => $test:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn inproc() {
                let test = $test;
                test(Cluster::start("inproc://0", Config::default()).await).await;
            }

            #[tokio::test]
            async fn tcp() {
                let test = $test;
                test(Cluster::start("tcp://127.0.0.1:0", Config::default()).await).await;
            }
        }
    )*};
}
pub(crate) use on_every_transport;

/// A scheduler that runs.
pub(crate) struct Cluster {
    pub(crate) address: Address,
    transports: Transports,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), Error>>,
}

impl Cluster {
    pub(crate) async fn start(address: &str, config: Config) -> Self {
        let transports = Transports::default();
        let address = address.parse().expect("an address");
        let bound = Scheduler::bind(config, &address, &transports).await;
        let scheduler = bound.expect("a scheduler");
        let address = scheduler.address().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(scheduler.run(async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { address, transports, stop, run }
    }

    /// Stops the scheduler and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the scheduler runs");
        within(self.run).await.expect("no panic").expect("no error");
    }

    /// Waits for the scheduler to end of its own accord.
    pub(crate) async fn ended(self) {
        within(self.run).await.expect("no panic").expect("no error");
    }

    pub(crate) async fn client(&self, name: &str) -> ClientPeer {
        let role = Role::Client { name: name.to_owned() };
        let connection = self.hello(role).await.expect("a welcome");
        let mut client = Played::new(connection);
        let function = function();
        client.say([ClientToScheduler::Define { id: INC, function }]);
        client
    }

    pub(crate) async fn worker(&self, name: &str) -> WorkerPeer {
        self.try_worker(name).await.expect("a welcome")
    }

    pub(crate) async fn try_worker(&self, name: &str) -> Result<WorkerPeer, ConnectError> {
        let join = WorkerJoin {
            address: format!("inproc://{name}").parse().expect("an address"),
            name: name.to_owned(),
            nthreads: 1,
            memory_limit: None,
            resources: std::collections::BTreeMap::new(),
            functions: vec![function()],
            pid: 1,
            program: None,
        };
        let connection = self.hello(Role::Worker(Box::new(join))).await;
        connection.map(Played::new)
    }

    pub(crate) async fn try_peer(&self) -> Result<(), ConnectError> {
        self.hello(Role::Peer).await.map(drop)
    }

    pub(crate) async fn connect_silently(&self) -> Connection {
        let connected = self.transports.connect(&self.address).await;
        connected.expect("a connection")
    }

    pub(crate) async fn connect_with_garbage(&self) -> Connection {
        let mut connection = self.connect_silently().await;
        let garbage = Frames::new(vec![Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")]);
        connection.sender.send(garbage).await.expect("sent");
        connection
    }

    async fn hello(&self, role: Role) -> Result<Connection, ConnectError> {
        let hello = Hello { role, program: Program::default() };
        let connected = connect(&self.transports, &self.address, &hello, PATIENCE).await;
        connected.map(|(connection, _)| connection)
    }
}

/// One side of a connection to the scheduler.
pub(crate) struct Played<Out, In> {
    outbox: Outbox<Out>,
    inbox: Inbox<In>,
    received: std::collections::VecDeque<In>,
}

pub(crate) type ClientPeer = Played<ClientToScheduler, SchedulerToClient>;
pub(crate) type WorkerPeer = Played<WorkerToScheduler, SchedulerToWorker>;

impl<Out, In> Played<Out, In>
where
    Out: Serialize + Send + 'static,
    In: DeserializeOwned + std::fmt::Debug,
{
    fn new(connection: Connection) -> Self {
        let (outbox, inbox) = channel(connection);
        Self { outbox, inbox, received: std::collections::VecDeque::new() }
    }

    pub(crate) fn say(&mut self, messages: impl IntoIterator<Item = Out>) {
        self.outbox.send(messages).expect("the link is up");
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> In {
        self.end().await.expect("one more message")
    }

    /// The next message, or none once the connection is closed.
    pub(crate) async fn end(&mut self) -> Option<In> {
        while self.received.is_empty() {
            let batch = within(self.inbox.receive()).await.expect("a batch");
            self.received.extend(batch?);
        }
        self.received.pop_front()
    }
}

impl ClientPeer {
    /// Waits until the scheduler has handled all that was said.
    pub(crate) async fn sync(&mut self) {
        let id = RequestId(u64::MAX);
        let request = Request::WaitForWorkers { n: 0 };
        self.say([ClientToScheduler::Request { id, request }]);
        let answer = Answer::Done;
        assert_eq!(self.next().await, SchedulerToClient::Answer { id, answer });
    }
}

impl WorkerPeer {
    pub(crate) async fn until_compute(&mut self) -> Compute {
        loop {
            if let SchedulerToWorker::Compute(compute) = self.next().await {
                return *compute;
            }
        }
    }
}

/// A submission of one task.
pub(crate) fn submit(future: u64, key: &str, dependencies: &[u64]) -> ClientToScheduler {
    let task = TaskSpec {
        future: FutureId(future),
        key: Key::new(key).expect("a short key"),
        function: INC,
        content: None,
        dependencies: dependencies.iter().map(|f| FutureId(*f)).collect(),
        body: Payload::default(),
    };
    ClientToScheduler::Submit(Submit {
        options: dask_proto::graph::TaskOptions::default(),
        tasks: vec![task],
    })
}

/// The report that a task is done.
pub(crate) fn finish(compute: &Compute) -> WorkerToScheduler {
    WorkerToScheduler::Finished {
        task: compute.task,
        run: compute.run,
        nbytes: 8,
        duration_ns: 1_000_000,
        value: None,
    }
}

/// The reason in a message that announces the end.
pub(crate) fn close_reason(message: &SchedulerToClient) -> String {
    match message {
        SchedulerToClient::Close { reason } => reason.clone(),
        other => panic!("expected the end, not {other:?}"),
    }
}

fn function() -> Function {
    Function { path: "app::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    let timely = tokio::time::timeout(PATIENCE, future).await;
    timely.expect("an answer in time")
}
