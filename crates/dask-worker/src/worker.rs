use std::sync::Arc;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::{Hello, Role, SchedulerToWorker, Welcome, WorkerJoin, WorkerToScheduler};
use dask_task::context::CurrentWorker;
use dask_task::registry;
use dask_transport::{
    Inbox, Listener, Outbox, Peers, Transports, channel, connect, contact_address, local_address,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::driver::{Driver, News};
use crate::executor::{Executor, Setup, Volunteer};
use crate::locker::Locker;
use crate::overflow::Reporter;
use crate::plugins::Plugins;
use crate::question::Desk;
use crate::serve::Service;
use crate::spill::{Directory, Storage};
use crate::state::StateConfig;
use crate::{Config, Error};

/// A worker that has joined its scheduler and listens to its peers. It does nothing until it is
/// [run](Worker::run), and leaves when it is dropped.
pub struct Worker {
    config: Config,
    address: Address,
    name: String,
    state: StateConfig,
    /// With a memory limit: where results go that do not fit.
    directory: Option<Directory>,
    scheduler: Outbox<WorkerToScheduler>,
    from_scheduler: Inbox<SchedulerToWorker>,
    listener: Box<dyn Listener>,
    peers: Peers,
}

/// Why a worker came to its end as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The scheduler told it to close.
    Closed {
        /// Why, for people.
        reason: String,
    },
    /// It was shut down here.
    Shutdown,
    /// A client asked for it: whoever [said](Config::restarts) so starts it again.
    Restarting,
}

/// How long a peer may take to accept a connection. Peers of a cluster are up already, and another
/// holder or the scheduler may know better.
const PEER_TIMEOUT: Duration = Duration::from_secs(3);

impl Worker {
    /// Starts to listen and joins the scheduler.
    ///
    /// # Errors
    /// When the scheduler cannot be reached in time or does not want it, when the worker cannot
    /// listen, when there is no place for results that do not fit in memory, or when this program's
    /// task functions are not registered.
    pub async fn connect(config: Config, transports: Transports) -> Result<Self, Error> {
        registry::check()?;
        let nthreads = config.nthreads.max(1);
        let directory = local_directory(&config).await.map_err(Error::LocalDirectory)?;
        let wanted = match &config.listen {
            Some(address) => address.clone(),
            None => {
                let scheduler = config.scheduler.clone();
                let local = local_address(&scheduler).await;
                local.map_err(|source| Error::NoRoute { scheduler, source })?
            }
        };
        let listener = transports.listen(&wanted).await;
        let listener = listener.map_err(|source| Error::Listen { address: wanted, source })?;
        let mut address = contact_address(listener.address(), Some(&config.scheduler)).await;
        if let Some(host) = &config.contact_host {
            address = address.with_host(host).map_err(Error::ContactHost)?;
        }
        let name = config.name.clone();
        let name = name.unwrap_or_else(|| address.to_string());
        let hello = Hello {
            role: Role::Worker(Box::new(WorkerJoin {
                address: address.clone(),
                name: name.clone(),
                nthreads,
                memory_limit: config.memory_limit,
                resources: config.resources.clone(),
                functions: registry::functions(),
                pid: std::process::id(),
                program: config.program_id,
            })),
            program: config.program.clone(),
        };
        let timeout = config.connect_timeout;
        let joined = connect(&transports, &config.scheduler, &hello, timeout).await;
        let (connection, welcome) = joined.map_err(Error::Join)?;
        let Welcome::Worker { id, heartbeat_ms } = welcome else {
            let scheduler = config.scheduler;
            return Err(Error::NoScheduler { scheduler });
        };
        let (scheduler, from_scheduler) = channel(connection);
        let peers = Peers::new(transports, config.program.clone(), timeout.min(PEER_TIMEOUT));
        let state = StateConfig {
            id,
            address: address.clone(),
            nthreads,
            resources: config.resources.clone(),
            // A scheduler that asks for none at all would get nothing else.
            heartbeat: Duration::from_millis(heartbeat_ms.max(10)),
            memory: config.memory_limits(),
        };
        Ok(Self {
            config,
            address,
            name,
            state,
            directory,
            scheduler,
            from_scheduler,
            listener,
            peers,
        })
    }

    /// Where its peers reach it.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its name: the one in its configuration, or its address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many tasks it runs at once.
    #[must_use]
    pub fn nthreads(&self) -> u32 {
        self.state.nthreads
    }

    /// Works until the scheduler closes it, or `shutdown` resolves: then it tells the scheduler
    /// that it leaves. Tasks that run go on to their end, and their results are dropped.
    ///
    /// # Errors
    /// When the connection to the scheduler breaks, or the threads cannot be started.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Ended, Error> {
        self.run_with(shutdown, None).await
    }

    /// [`Worker::run`], with a thread that takes short tasks.
    pub(crate) async fn run_with(
        self,
        shutdown: impl Future<Output = ()>,
        volunteer: Option<Volunteer>,
    ) -> Result<Ended, Error> {
        let stack_bytes = self.config.stack_bytes;
        let storage = Storage::open(self.directory, stack_bytes).map_err(Error::Threads)?;
        let (overflowed, overflows) = mpsc::unbounded_channel();
        let overflow = if self.config.report_stack_overflow {
            Some(Reporter::new(overflowed).map_err(Error::Handler)?)
        } else {
            None
        };
        let worker = Arc::new(CurrentWorker {
            address: self.address,
            name: self.name,
            nthreads: self.state.nthreads,
            memory_limit: self.config.memory_limit,
            resources: self.config.resources.clone(),
            scheduler: self.config.scheduler.clone(),
            companion: self.config.companion.clone(),
        });
        let locker = Arc::new(Locker::new(self.config.local_directory.clone()));
        let plugins = Arc::new(Plugins::new(Arc::clone(&worker), self.config.log.clone()));
        let setup = Setup {
            nthreads: self.state.nthreads,
            stack_bytes,
            seceded_limit: self.config.seceded_limit,
            worker: Arc::clone(&worker),
            carriage: self.scheduler.carriage(),
            store: Arc::clone(&storage.store),
            locker: Arc::clone(&locker),
            plugins: Arc::clone(&plugins),
            log: self.config.log.clone(),
            overflow,
            volunteer,
        };
        let executor = Executor::start(setup, &Handle::current()).map_err(Error::Threads)?;
        let belongings = (locker, plugins, self.peers.clone());
        let desk = Desk::new(self.scheduler.clone(), worker, belongings, &self.config);
        let work = (executor, desk);
        let driver = Driver::new(self.state, self.scheduler, work, storage, self.peers);
        let service = Service { listener: self.listener, transfers: self.config.transfers };
        let scheduler = self.config.scheduler;
        driver
            .busy_poll(self.config.busy_poll)
            .run(self.from_scheduler, service, overflows, shutdown)
            .await
            .ok_or(Error::SchedulerLost { scheduler })
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("address", &self.address)
            .field("name", &self.name)
            .field("nthreads", &self.state.nthreads)
            .finish_non_exhaustive()
    }
}

/// Where results go that do not fit in memory.
async fn local_directory(config: &Config) -> std::io::Result<Option<Directory>> {
    let spills = config.memory_limits().is_some_and(|limits| limits.spills());
    if !spills {
        return Ok(None);
    }
    let parent = config.local_directory.clone();
    // What dead workers left may be large.
    let made = tokio::task::spawn_blocking(move || match parent {
        Some(parent) => Directory::create(&parent),
        None => Directory::create_temporary(),
    });
    made.await.map_err(std::io::Error::other)?.map(Some)
}

impl From<crate::serve::Put> for News {
    fn from(put: crate::serve::Put) -> Self {
        Self::Put(put)
    }
}
