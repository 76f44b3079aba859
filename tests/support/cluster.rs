//! Clusters of every kind to run the same test on.

use std::time::Duration;

use dask_client::{Address, Client, LocalCluster};

/// What scheduler, workers and clients talk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Workers are threads of this process, and values pass between them by reference.
    Inproc,
    /// Workers are threads of this process that speak TCP.
    Tcp,
    /// Workers are processes of this program that speak TCP.
    Processes(&'static str),
}

/// How large a cluster is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many workers it has, named `0`, `1` and so on.
    pub workers: u32,
    /// How many tasks each of them runs at once.
    pub threads: u32,
}

/// Two workers with a thread each.
pub const TWO_WORKERS: Shape = Shape { workers: 2, threads: 1 };

/// One worker that runs a task at a time.
pub const ONE_THREAD: Shape = Shape { workers: 1, threads: 1 };

/// A cluster and a client of it, none of them the default client.
#[derive(Debug)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// What it talks over.
    pub over: Over,
    local: LocalCluster,
}

impl Cluster {
    /// Starts a cluster.
    pub async fn start(over: Over, shape: Shape) -> Self {
        let builder =
            LocalCluster::builder().workers(shape.workers).threads_per_worker(shape.threads);
        let builder = match over {
            Over::Inproc => builder,
            Over::Tcp => builder.scheduler_address("tcp://127.0.0.1:0"),
            Over::Processes(program) => builder.program(program),
        };
        let local = within("the start of a cluster", builder.build()).await;
        let local = local.expect("a cluster starts");
        let client = connect(local.address()).await;
        Self { client, over, local }
    }

    /// Another client.
    pub async fn another_client(&self) -> Client {
        connect(self.local.address()).await
    }

    /// The cluster itself.
    #[must_use]
    pub fn local(&self) -> &LocalCluster {
        &self.local
    }

    /// The addresses of the workers, in the order of their names.
    pub async fn workers(&self) -> Vec<Address> {
        let info = self.client.scheduler_info().await;
        let mut workers = info.expect("the scheduler answers").workers;
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers.into_iter().map(|worker| worker.address).collect()
    }

    /// How many tasks have been finished whose keys start with this prefix.
    pub async fn finished(&self, prefix: &str) -> u64 {
        let counts = self.client.finished_counts().await;
        let counts = counts.expect("the scheduler answers");
        let of_prefix = counts.values().filter_map(|counts| counts.get(prefix));
        of_prefix.sum()
    }

    /// Resolves when the scheduler has forgotten these keys' results.
    pub async fn forgotten(&self, keys: &[dask_client::Key]) {
        eventually("results to be dropped", async || {
            let held = self.client.has_what().await.expect("it answers");
            let mut held = held.into_values().flatten();
            (!held.any(|key| keys.contains(&key))).then_some(())
        })
        .await;
    }

    /// Ends it.
    pub async fn stop(self) {
        let closed = within("the client to close", self.client.close()).await;
        closed.expect("a client can be closed");
        within("the cluster to end", self.local.close()).await;
    }
}

/// A client that is not the default client.
pub async fn connect(address: &Address) -> Client {
    let builder = Client::builder().address(address).set_as_default(false);
    let client = within("a client to connect", builder.connect()).await;
    client.expect("a client connects")
}

/// Runs a test on a cluster of its own.
pub async fn run(over: Over, shape: Shape, body: impl AsyncFnOnce(&Cluster)) {
    let cluster = Cluster::start(over, shape).await;
    within("the end of the whole test", body(&cluster)).await;
    cluster.stop().await;
}

/// How long any step of a test may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits, but not for ever.
///
/// # Panics
/// After two minutes, saying what was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let output = tokio::time::timeout(PATIENCE, future).await;
    output.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Asks again and again until there is an answer, where nothing tells that it is time to ask.
///
/// # Panics
/// After two minutes, saying what was waited for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    within(what, asking).await
}
