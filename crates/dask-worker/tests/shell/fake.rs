//! A scheduler played by the test.

use std::time::Duration;

use dask_proto::codec::Carriage;
use dask_proto::graph::{Function, Priority};
use dask_proto::id::{FunctionId, RunId, TaskId, WorkerId};
use dask_proto::map::SmallList;
use dask_proto::message::{
    Compute, Dependency, Hello, Role, SchedulerToWorker, Welcome, WorkerJoin, WorkerToScheduler,
};
use dask_proto::{Address, Key, Payload};
use dask_task::CallWriter;
use dask_transport::{
    Connection, Inbox, Listener, Outbox, Transports, channel, receive_hello, send_welcome,
};
use dask_worker::{Config, Ended, Error, Worker};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SCHEMES: [&str; 2] = ["inproc", "tcp"];

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.expect("it does not hang")
}

pub(crate) fn key(task: u64) -> Key {
    Key::new(format!("key-{task}")).expect("a short key")
}

/// A call with these numbers.
pub(crate) fn call(arguments: &[i64]) -> Payload {
    let mut writer = CallWriter::encoded();
    for argument in arguments {
        writer.value(*argument).expect("it encodes");
    }
    writer.finish()
}

/// A call with the results of these dependencies.
pub(crate) fn call_on(dependencies: &[u32]) -> Payload {
    let mut writer = CallWriter::encoded();
    for dependency in dependencies {
        writer.dependency(*dependency);
    }
    writer.finish()
}

/// Where to listen with a scheme.
pub(crate) fn any_address(scheme: &str) -> Address {
    let address = if scheme == "tcp" { "tcp://127.0.0.1:0" } else { "inproc://0" };
    address.parse().expect("an address")
}

pub(crate) struct FakeScheduler {
    pub(crate) address: Address,
    pub(crate) transports: Transports,
    listener: Box<dyn Listener>,
    next: u32,
}

/// A worker and its link to the scheduler.
pub(crate) struct Fleet {
    pub(crate) id: WorkerId,
    pub(crate) join: Box<WorkerJoin>,
    pub(crate) address: Address,
    pub(crate) transports: Transports,
    outbox: Outbox<SchedulerToWorker>,
    inbox: Inbox<WorkerToScheduler>,
    heard: std::collections::VecDeque<WorkerToScheduler>,
    functions: u32,
    running: Option<JoinHandle<Result<Ended, Error>>>,
    shutdown: Option<oneshot::Sender<()>>,
}

impl FakeScheduler {
    pub(crate) async fn listen(scheme: &str) -> Self {
        let transports = Transports::default();
        let address = any_address(scheme);
        let listener = transports.listen(&address).await.expect("it listens");
        Self { address: listener.address().clone(), transports, listener, next: 0 }
    }

    /// Accepts one connection and answers its hello.
    pub(crate) async fn admit(&mut self, welcome: Welcome) -> (Connection, Hello) {
        let accepted = within(self.listener.accept()).await;
        let mut connection = accepted.expect("somebody connects");
        let hello = receive_hello(&mut connection, PATIENCE).await.expect("a hello");
        send_welcome(&mut connection, &welcome).await.expect("it is there");
        (connection, hello)
    }

    pub(crate) async fn start_worker(&mut self, configure: impl FnOnce(&mut Config)) -> Fleet {
        self.start(configure, 60_000).await
    }

    pub(crate) async fn start_worker_beating(&mut self, heartbeat_ms: u64) -> Fleet {
        self.start(|_| {}, heartbeat_ms).await
    }

    /// The link of a worker that was started elsewhere.
    pub(crate) async fn next_worker(&mut self, heartbeat_ms: u64) -> Fleet {
        let id = WorkerId(self.next);
        self.next += 1;
        let (connection, hello) = self.admit(Welcome::Worker { id, heartbeat_ms }).await;
        let Role::Worker(join) = hello.role else {
            panic!("{:?} is no worker", hello.role);
        };
        let (outbox, inbox) = channel(connection);
        Fleet {
            id,
            address: join.address.clone(),
            join,
            transports: self.transports.clone(),
            outbox,
            inbox,
            heard: std::collections::VecDeque::new(),
            functions: 0,
            running: None,
            shutdown: None,
        }
    }

    async fn start(&mut self, configure: impl FnOnce(&mut Config), heartbeat_ms: u64) -> Fleet {
        let mut config = Config::new(self.address.clone());
        configure(&mut config);
        let joining = tokio::spawn(Worker::connect(config, self.transports.clone()));
        let mut fleet = self.next_worker(heartbeat_ms).await;
        let worker = within(joining).await.expect("no panic").expect("it joins");
        assert_eq!(worker.address(), &fleet.address);
        let (shutdown, is_shut_down) = oneshot::channel::<()>();
        fleet.running = Some(tokio::spawn(worker.run(async {
            // A test that drops the worker does not shut it down.
            if is_shut_down.await.is_err() {
                std::future::pending().await
            }
        })));
        fleet.shutdown = Some(shutdown);
        fleet
    }
}

impl Fleet {
    pub(crate) fn carriage(&self) -> Carriage {
        self.outbox.carriage()
    }

    pub(crate) fn say(&self, message: SchedulerToWorker) {
        self.outbox.send([message]).expect("the worker is there");
    }

    /// The next thing the worker says that is no heartbeat, and not how many threads linger.
    pub(crate) async fn hear(&mut self) -> WorkerToScheduler {
        loop {
            let message = self.hear_any().await;
            match message {
                WorkerToScheduler::Heartbeat(_) | WorkerToScheduler::Lingering { .. } => {}
                message => return message,
            }
        }
    }

    pub(crate) async fn hear_any(&mut self) -> WorkerToScheduler {
        while self.heard.is_empty() {
            let batch = within(self.inbox.receive()).await.expect("a good link");
            self.heard.extend(batch.expect("the worker is there"));
        }
        self.heard.pop_front().expect("it was just filled")
    }

    pub(crate) fn compute(
        &mut self,
        task: u64,
        path: &str,
        body: Payload,
        dependencies: &[Dependency],
    ) {
        self.compute_run((task, 0), path, body, dependencies);
    }

    pub(crate) fn compute_run(
        &mut self,
        (task, run): (u64, u32),
        path: &str,
        body: Payload,
        dependencies: &[Dependency],
    ) {
        let function = FunctionId(self.functions);
        self.functions += 1;
        let id = function;
        let named = Function { path: path.to_owned(), signature: "fn()".to_owned() };
        self.say(SchedulerToWorker::Define { id, function: named });
        self.say(SchedulerToWorker::Compute(Box::new(Compute {
            task: TaskId(task),
            run: RunId(run),
            key: key(task),
            function,
            priority: Priority::new(0, task),
            dependencies: dependencies.to_vec(),
            resources: Vec::new(),
            body,
        })));
    }

    /// Tells the worker of a peer and of a result there.
    pub(crate) fn knows(&self, peer: &Self, task: u64, nbytes: u64) -> Dependency {
        let address = peer.address.clone();
        self.say(SchedulerToWorker::Peer { id: peer.id, address });
        Dependency { task: TaskId(task), nbytes, holders: SmallList::One(peer.id), value: None }
    }

    pub(crate) fn shut_down(&mut self) {
        let shutdown = self.shutdown.take().expect("it was started here");
        shutdown.send(()).expect("it runs");
    }

    /// Closes the link without a farewell.
    pub(crate) fn hang_up(&self) {
        self.outbox.close();
    }

    pub(crate) async fn ended(mut self) -> Result<Ended, Error> {
        let running = self.running.take().expect("it was started here");
        within(running).await.expect("no panic")
    }
}
