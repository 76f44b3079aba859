//! A scheduler that a test answers for.
//!
//! ```
//! use dask_client::testing::MockScheduler;
//! # use dask_client::{task, Result};
//! # #[task] fn inc(x: i64) -> i64 { x + 1 }
//! # #[dask_client::main]
//! # async fn main() -> Result<()> {
//! let mut scheduler = MockScheduler::start().await?;
//! let client = scheduler.client().await?;
//! let future = client.submit(inc, 10);
//!
//! let task = scheduler.task().await?;
//! assert_eq!((task.function(), task.arg::<i64>(0)?), ("inc", 10));
//! scheduler.finish(&task, 99_i64)?;
//! assert_eq!(future.result().await?, 99);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId};
use dask_proto::message::{ClientToScheduler, Hello, Role, SchedulerToClient, Welcome};
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind};
use dask_task::{Inputs, Value};
use dask_transport::{Connection, Inbox, Listener, Outbox, Transports};

use crate::error::Kind;
use crate::{Client, ClientBuilder, Error, Result};

/// A scheduler for one client over an in-process transport. What the client says comes out of
/// [`next`](MockScheduler::next) and [`task`](MockScheduler::task); the test answers.
pub struct MockScheduler {
    address: Address,
    transports: Transports,
    listener: Box<dyn Listener>,
    link: Option<(Outbox<SchedulerToClient>, Inbox<ClientToScheduler>)>,
    heard: VecDeque<ClientToScheduler>,
    tasks: VecDeque<MockTask>,
    functions: HashMap<FunctionId, Function>,
    services: BTreeMap<String, u16>,
}

/// A task that the client submitted.
#[derive(Debug, Clone)]
pub struct MockTask {
    spec: TaskSpec,
    options: TaskOptions,
    function: Function,
}

/// How long a mock waits for the client before it takes the test for stuck.
const PATIENCE: Duration = Duration::from_secs(30);

impl MockScheduler {
    /// A mock that listens on an address of its own.
    ///
    /// # Errors
    /// When the in-process transport has no free address.
    pub async fn start() -> Result<Self> {
        Self::listen("inproc://0", Transports::default()).await
    }

    /// A mock that listens here, on one of these transports.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn listen(address: impl AsRef<str>, transports: Transports) -> Result<Self> {
        let address: Address = address.as_ref().parse()?;
        let listener = transports.listen(&address).await.map_err(io)?;
        Ok(Self {
            address: listener.address().clone(),
            transports,
            listener,
            link: None,
            heard: VecDeque::new(),
            tasks: VecDeque::new(),
            functions: HashMap::new(),
            services: BTreeMap::new(),
        })
    }

    /// Where the mock listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Tells clients that connect from now on what else the process serves, such as a `dashboard`,
    /// and on which port.
    pub fn serve(&mut self, service: impl Into<String>, port: u16) {
        self.services.insert(service.into(), port);
    }

    /// Connects a client to the mock. It does not become the default client.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn client(&mut self) -> Result<Client> {
        let builder = Client::builder().transports(self.transports.clone());
        self.connect(builder.set_as_default(false)).await
    }

    /// Connects a client as the builder says, but to the mock.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn connect(&mut self, builder: ClientBuilder) -> Result<Client> {
        let client = tokio::spawn(builder.address(&self.address).connect());
        let mut connection = self.listener.accept().await.map_err(io)?;
        let hello = dask_transport::receive_hello(&mut connection, PATIENCE).await?;
        self.admit(connection, &hello).await?;
        client.await.map_err(io)?
    }

    async fn admit(&mut self, mut connection: Connection, hello: &Hello) -> Result<()> {
        if !matches!(hello.role, Role::Client { .. }) {
            return Err(Kind::Answer.into());
        }
        let welcome = Welcome::Client { id: ClientId(0), services: self.services.clone() };
        dask_transport::send_welcome(&mut connection, &welcome).await?;
        self.link = Some(dask_transport::channel(connection));
        Ok(())
    }

    /// The next message of the client.
    ///
    /// # Errors
    /// When the client is gone ([`Error::is_disconnected`]), or says nothing for 30 s
    /// ([`Error::is_timeout`]).
    pub async fn next(&mut self) -> Result<ClientToScheduler> {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Ok(message);
            }
            let address = self.address.clone();
            let gone = |reason: String| {
                let reason = reason.into();
                Error::from(Kind::Disconnected { address, reason })
            };
            let Some((_, inbox)) = &mut self.link else {
                return Err(gone("no client has connected".to_owned()));
            };
            let batch = tokio::time::timeout(PATIENCE, inbox.receive()).await;
            match batch.map_err(|_| Error::timeout("a message of the client", PATIENCE))? {
                Ok(Some(messages)) => self.heard.extend(messages),
                Ok(None) => return Err(gone("the client closed it".to_owned())),
                Err(error) => return Err(gone(error.to_string())),
            }
        }
    }

    /// The next task of the client; messages of other kinds are passed over.
    ///
    /// # Errors
    /// As [`MockScheduler::next`].
    pub async fn task(&mut self) -> Result<MockTask> {
        loop {
            if let Some(task) = self.tasks.pop_front() {
                return Ok(task);
            }
            match self.next().await? {
                ClientToScheduler::Define { id, function } => {
                    self.functions.insert(id, function);
                }
                ClientToScheduler::Submit(submit) => {
                    for spec in submit.tasks {
                        let function = self.functions.get(&spec.function).cloned();
                        let function = function.ok_or(Error::from(Kind::Answer))?;
                        let options = submit.options.clone();
                        self.tasks.push_back(MockTask { spec, options, function });
                    }
                }
                _ => {}
            }
        }
    }

    /// Says that a task is finished, with this result.
    ///
    /// # Errors
    /// When the value cannot be serialized or the client is gone.
    pub fn finish<T: Value>(&self, task: &MockTask, value: T) -> Result<()> {
        let bytes = dask_task::encode(&value);
        let bytes = bytes.map_err(|source| Kind::Value { key: task.key().clone(), source })?;
        let (future, nbytes) = (task.future(), bytes.len() as u64);
        self.send(SchedulerToClient::InMemory {
            future,
            nbytes,
            value: Some(Payload::Bytes(bytes)),
        })
    }

    /// Says that a task failed.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn fail(&self, task: &MockTask, message: &str) -> Result<()> {
        let error = TaskError::new(TaskErrorKind::Returned, task.key().clone(), message);
        let error = Box::new(TaskError { function: task.function.path.clone(), ..error });
        self.send(SchedulerToClient::Erred { futures: vec![task.future()], error })
    }

    /// Says that a task was cancelled.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn cancel(&self, task: &MockTask, reason: &str) -> Result<()> {
        let (futures, reason) = (vec![task.future()], reason.to_owned());
        self.send(SchedulerToClient::Cancelled { futures, reason })
    }

    /// Says anything at all.
    ///
    /// # Errors
    /// When the client is gone.
    pub fn send(&self, message: SchedulerToClient) -> Result<()> {
        let sent = self.link.as_ref().map(|(outbox, _)| outbox.send([message]));
        let sent = sent.is_some_and(|sent| sent.is_ok());
        if sent { Ok(()) } else { Err(Kind::Closed.into()) }
    }

    /// Cuts the connection without a word, as a scheduler that dies does.
    pub fn disconnect(&mut self) {
        self.link = None;
    }
}

impl MockTask {
    /// The key of the task.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.spec.key
    }

    /// The client's hold on the key.
    #[must_use]
    pub fn future(&self) -> FutureId {
        self.spec.future
    }

    /// The name of the function, without the path.
    #[must_use]
    pub fn function(&self) -> &str {
        self.function.name()
    }

    /// The client's holds on the results that the task needs.
    #[must_use]
    pub fn dependencies(&self) -> &[FutureId] {
        &self.spec.dependencies
    }

    /// The options that the task was submitted with.
    #[must_use]
    pub fn options(&self) -> &TaskOptions {
        &self.options
    }

    /// An argument that is a value, not a future.
    ///
    /// # Errors
    /// When there is no such argument, or it is of another type.
    pub fn arg<T: Value>(&self, index: usize) -> Result<T> {
        // The results are not here: every dependency stands for nothing.
        let results = vec![Payload::default(); self.spec.dependencies.len()];
        let inputs = Inputs::new(&self.spec.body, &results).map_err(io);
        inputs?.owned(index).map_err(io)
    }
}

fn io(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    std::io::Error::other(error).into()
}
