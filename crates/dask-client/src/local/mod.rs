//! Clusters that this process starts: on its own threads, or as processes of its own program.

pub(crate) mod adapt;
mod crew;
mod process;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dask_program::{Prints, WorkerSetup};
use dask_proto::{Address, Resources};
use dask_scheduler::Scheduler;
use dask_task::plugin::SchedulerPlugin;
use dask_tokenize::unique_key_name;
use dask_transport::{Transport, Transports};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;

use crate::error::Kind;
use crate::{Client, Result, role};
use crew::{Crew, SharedCrew};

/// The stack of the cluster's threads, which handle values as tasks do.
const STACK_BYTES: usize = 16 << 20;

/// How long workers may take to join.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A scheduler and workers that this process started: Dask's `LocalCluster`.
///
/// Workers are threads of this process, between which values pass by reference, or processes of
/// their own that run this very program in its worker role, over TCP. The cluster ends when it is
/// [closed](LocalCluster::close) or dropped.
///
/// ```
/// # use dask_client::{LocalCluster, Result, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// let cluster = LocalCluster::builder().workers(2).threads_per_worker(1).build().await?;
/// let client = cluster.client().await?;
/// assert_eq!(client.nthreads().await?.len(), 2);
/// assert_eq!(client.submit(inc, 1).await?, 2);
/// client.close().await?;
/// cluster.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalCluster {
    address: Address,
    transports: Transports,
    stop: watch::Sender<bool>,
    scheduler: Option<JoinHandle<()>>,
    crew: SharedCrew,
    /// Set as soon as it has started.
    threads: Option<Threads>,
}

/// Plugins of a scheduler that has not started, which takes them.
type Plugins = Arc<Mutex<Vec<(String, Box<dyn SchedulerPlugin>)>>>;

/// A runtime of its own. Dropping it waits for nothing, so that it may be dropped on any thread.
#[derive(Debug)]
struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

/// Settings for a cluster, made by [`LocalCluster::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct LocalClusterBuilder {
    workers: u32,
    threads_per_worker: Option<u32>,
    resources: BTreeMap<String, f64>,
    memory_limit: Option<u64>,
    local_directory: Option<PathBuf>,
    processes: bool,
    program: Option<PathBuf>,
    scheduler_address: Option<String>,
    transports: Transports,
    plugins: Plugins,
}

impl LocalCluster {
    /// A builder of clusters: by default one worker with a thread for each core, in this process.
    pub fn builder() -> LocalClusterBuilder {
        LocalClusterBuilder {
            workers: 1,
            threads_per_worker: None,
            resources: BTreeMap::new(),
            memory_limit: None,
            local_directory: None,
            processes: false,
            program: None,
            scheduler_address: None,
            transports: Transports::default(),
            plugins: Plugins::default(),
        }
    }

    /// Where the scheduler listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A new client of this cluster, which becomes the default client.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn client(&self) -> Result<Client> {
        self.connect(true).await
    }

    async fn connect(&self, set_as_default: bool) -> Result<Client> {
        connect(&self.address, &self.transports, set_as_default).await
    }

    /// Starts or lets go of workers until the cluster has so many: Dask's `cluster.scale(n)`.
    /// Returns once they have joined or left. Workers that leave finish what they were given and
    /// hand over what only they hold; those first that have nothing to do.
    ///
    /// A worker whose results no other can take ends all the same, as all do when the cluster is
    /// scaled to 0: they are gone, with what it runs. What is still wanted, and what is submitted
    /// in the meantime, is computed once there are workers again; scattered data cannot be.
    ///
    /// ```
    /// # use dask_client::{LocalCluster, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// let cluster = LocalCluster::builder().workers(1).threads_per_worker(1).build().await?;
    /// let client = cluster.client().await?;
    /// cluster.scale(3).await?;
    /// assert_eq!(client.nthreads().await?.len(), 3);
    /// cluster.scale(0).await?;
    /// let future = client.submit(inc, 1);
    /// cluster.scale(1).await?;
    /// assert_eq!(future.await?, 2);
    /// # client.close().await?;
    /// # cluster.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a worker cannot start or join, or the scheduler is gone.
    pub async fn scale(&self, n: u32) -> Result<()> {
        let crew = self.crew.clone();
        let scaled = self.spawn(async move { crew.scale(n).await });
        scaled.await.map_err(std::io::Error::other)?
    }

    /// Runs on the cluster's own threads, which outlive the runtime of whoever asks.
    fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.threads {
            Some(threads) => threads.handle.spawn(future),
            None => tokio::spawn(future),
        }
    }

    /// What has to end before the cluster has.
    fn end(&mut self) -> Vec<JoinHandle<()>> {
        self.stop.send_replace(true);
        let mut tasks = self.crew.close();
        tasks.extend(self.scheduler.take());
        tasks
    }

    /// A client that the cluster lives as long as. The cluster's threads drive it: they are there
    /// when the runtime of whoever asked for the client has ended.
    async fn into_client(self, set_as_default: bool) -> Result<Client> {
        let threads = self.threads.as_ref().map(|threads| threads.handle.clone());
        let threads = threads.unwrap_or_else(Handle::current);
        let cluster = self;
        let connected = threads.spawn(async move {
            let client = cluster.connect(set_as_default).await?;
            client.link().own(cluster);
            Ok(client)
        });
        connected.await.map_err(std::io::Error::other)?
    }

    /// Stops the workers and the scheduler and waits until they have ended.
    pub async fn close(mut self) {
        for task in self.end() {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

/// Stops everything in the background; processes that do not end are killed.
impl Drop for LocalCluster {
    fn drop(&mut self) {
        let tasks = self.end();
        if let Some(threads) = self.threads.take() {
            if tasks.iter().all(JoinHandle::is_finished) {
                return;
            }
            // Not on this thread, which may be one of a runtime and must not block.
            std::thread::spawn(move || {
                threads.handle.block_on(async {
                    for task in tasks {
                        let _ = task.await;
                    }
                });
            });
        }
    }
}

impl Threads {
    fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dask-local")
            // As in the worker role: values are encoded and dropped outside of their tasks too.
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl LocalClusterBuilder {
    /// How many workers to start; 1 by default.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// How many tasks each worker runs at once; by default the workers share the cores.
    pub fn threads_per_worker(mut self, threads: u32) -> Self {
        self.threads_per_worker = Some(threads.max(1));
        self
    }

    /// The abstract resources of each worker, such as `[("GPU", 1.0)]`: a task that asks for some
    /// holds them while it runs.
    ///
    /// Amounts are finite and not below zero; names have no spaces, commas or equals signs.
    pub fn resources<N: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        self.resources = resources.into_iter().map(|(name, n)| (name.into(), n)).collect();
        self
    }

    /// Bytes of memory that each worker may use; unless set, or for 0, there is no limit. Beyond
    /// 60 % of it a worker's results go to disk, and at 80 % it starts nothing. Workers that are
    /// threads of one process each count the memory of all of it.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = (bytes > 0).then_some(bytes);
        self
    }

    /// Where results go that do not fit in memory: unless set, below the system's directory for
    /// temporary files.
    pub fn local_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.local_directory = Some(directory.into());
        self
    }

    /// Whether workers are processes of their own. They run this program, whose main function must
    /// be marked `#[dask_client::main]`.
    pub fn processes(mut self, processes: bool) -> Self {
        self.processes = processes;
        self
    }

    /// The program that worker processes run in place of this one.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self.processes = true;
        self
    }

    /// Where the scheduler listens: unless set, inside this process for threads, and a free port of
    /// the loopback interface for processes.
    pub fn scheduler_address(mut self, address: impl Into<String>) -> Self {
        self.scheduler_address = Some(address.into());
        self
    }

    /// Adds a transport for scheduler, workers in this process, and clients.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports = self.transports.with(transport);
        self
    }

    /// Adds a scheduler plugin under a name, which hears everything from the start.
    pub fn scheduler_plugin(self, name: impl Into<String>, plugin: impl SchedulerPlugin) -> Self {
        let plugins = self.plugins.lock();
        plugins.unwrap_or_else(PoisonError::into_inner).push((name.into(), Box::new(plugin)));
        self
    }

    /// Starts the cluster; returns when all workers have joined.
    ///
    /// # Errors
    /// When the scheduler cannot listen, a worker cannot start or join, or its resources make no
    /// sense.
    pub async fn build(self) -> Result<LocalCluster> {
        if self.processes && self.program.is_none() && !role::has_roles() {
            return Err(Kind::NoRole.into());
        }
        let mut resources = self.resources.iter();
        if let Some((name, amount)) = resources.find(|(name, n)| !Resources::is_valid(name, **n)) {
            return Err(Kind::Resource { name: name.clone(), amount: *amount }.into());
        }
        let threads = Threads::start()?;
        let started = threads.handle.spawn(self.start()).await;
        let mut cluster = started.map_err(std::io::Error::other)??;
        cluster.threads = Some(threads);
        Ok(cluster)
    }

    async fn start(self) -> Result<LocalCluster> {
        dask_task::registry::check()?;
        let default = if self.processes { "tcp://127.0.0.1:0" } else { "inproc://0" };
        let address: Address = self.scheduler_address.as_deref().unwrap_or(default).parse()?;
        let config = dask_scheduler::Config {
            id: unique_key_name("Scheduler"),
            ..dask_scheduler::Config::default()
        };
        let mut scheduler = Scheduler::bind(config, &address, &self.transports).await?;
        let plugins =
            std::mem::take(&mut *self.plugins.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, plugin) in plugins {
            scheduler = scheduler.plugin(name, plugin)?;
        }
        let (stop, stopped) = watch::channel(false);
        let workers = self.workers;
        let mut cluster = LocalCluster {
            address: scheduler.address().clone(),
            transports: self.transports.clone(),
            stop,
            scheduler: None,
            crew: Arc::new(Crew::new(self, scheduler.address().clone())),
            threads: None,
        };
        cluster.scheduler = Some(tokio::spawn(async move {
            if let Err(error) = scheduler.run(until(stopped)).await {
                tracing::error!(%error, "the scheduler of a local cluster ended");
            }
        }));
        cluster.crew.scale(workers).await?;
        Ok(cluster)
    }

    fn threads(&self) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        self.threads_per_worker.unwrap_or_else(|| (cores / self.workers.max(1)).max(1))
    }

    fn process(&self, scheduler: &Address, name: String) -> Result<WorkerSetup> {
        let path = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        Ok(WorkerSetup {
            path,
            scheduler: scheduler.clone(),
            name,
            nthreads: self.threads(),
            resources: self.resources.clone(),
            memory_limit: self.memory_limit,
            local_directory: self.local_directory.clone(),
            listen: None,
            contact_host: None,
            program: None,
            environ: BTreeMap::new(),
            prints: Prints::Plain,
        })
    }
}

/// A client of this scheduler.
async fn connect(
    scheduler: &Address,
    transports: &Transports,
    set_as_default: bool,
) -> Result<Client> {
    let builder = Client::builder().address(scheduler).set_as_default(set_as_default);
    // What the workers print is on the output of this process already, and they run this program.
    let builder = builder.forward_output(false).send_program(false);
    builder.transports(transports.clone()).connect().await
}

/// Resolves when the cluster, or the worker, is to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // Without a sender the cluster is gone.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// A client of a cluster of its own: [`Client::local`].
pub(crate) async fn client() -> Result<Client> {
    LocalCluster::builder().build().await?.into_client(true).await
}

/// The cluster in which collections are computed where no client is connected: Dask's threaded
/// scheduler. It is started once and lives as long as the process.
pub(crate) async fn in_process() -> Result<Client> {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    let start = || async {
        let cluster = LocalCluster::builder().build().await?;
        cluster.into_client(false).await
    };
    CLIENT.get_or_try_init(start).await.cloned()
}
