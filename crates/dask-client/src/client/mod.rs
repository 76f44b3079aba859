//! The client and its verbs.

pub(crate) mod amm;
pub(crate) mod benchmark;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod builder;
pub(crate) mod control;
pub(crate) mod copies;
mod dashboard;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod dataset;
pub(crate) mod dump;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod executor;
pub(crate) mod explanation;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod metadata;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod options;
pub(crate) mod plugin;
pub(crate) mod profile;
pub(crate) mod program;
pub(crate) mod question;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod restart;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
pub(crate) mod run;
pub(crate) mod task_stream;
pub(crate) mod topic;
pub(crate) mod upload;
pub(crate) mod versions;

use std::fmt;
use std::sync::Arc;

use dask_proto::Address;
use dask_task::{TaskFn, Value};

use crate::client::builder::ClientBuilder;
use crate::client::options::Options;
use crate::driver::Link;
use crate::graph::Graph;
use crate::submit::argument::IntoArgs;
use crate::{Future, Result, default};

/// A connection to a scheduler, and so to a cluster: Dask's `Client`.
///
/// Clones share the connection. It ends when the client is [closed](Client::close), or when the
/// last clone and the last of its futures are dropped.
#[derive(Clone)]
pub struct Client {
    link: Arc<Link>,
}

impl Client {
    pub(crate) fn from_link(link: Arc<Link>) -> Self {
        Self { link }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Connects to the scheduler at this address: `tcp://host:port`, or `host:port` for short, or
    /// the address of another transport. The client becomes the [default](crate::default_client).
    ///
    /// Where workers are hosts that run `dask worker`, this program travels to them, and its tasks
    /// wait until it runs there: its main function must be marked
    /// [`#[dask_client::main]`](macro@crate::main). What is computed stays the same task when the
    /// body of a function changes: [`program_in_keys`](ClientBuilder::program_in_keys) says how to
    /// avoid that.
    /// To get there it is hashed, which takes some seconds for each 100 MB in a debug build where
    /// `sha256sum` is not installed, unless its `Cargo.toml` has `opt-level = 3` under
    /// `[profile.dev.package.sha2]`.
    ///
    /// # Errors
    /// When there is no scheduler at the address within the connect timeout, 10 s, or what is there
    /// is something else; when no host of the cluster runs this program, because it is for another
    /// target, say.
    pub async fn connect(address: impl AsRef<str>) -> Result<Self> {
        Self::builder().address(address).connect().await
    }

    /// A builder, for a connection that needs more than an address.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A cluster in this process and a client of it: no server, and no serialization between its
    /// threads. It lives as long as the client. For more than one worker, or processes:
    /// [`LocalCluster`](crate::LocalCluster).
    ///
    /// # Errors
    /// When threads cannot be started, or the linker dropped the program's tasks.
    #[cfg(feature = "local")]
    pub async fn local() -> Result<Self> {
        crate::local::client().await
    }

    /// Options for the verb that follows: what Dask takes as keyword arguments.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn sample(n: i64) -> i64 { n }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let options = client.options().pure(false).retries(3).priority(10);
    /// let (a, b) = (options.submit(sample, 1000), options.submit(sample, 1000));
    /// assert_ne!(a.key(), b.key());
    /// # client.close().await
    /// # }
    /// ```
    pub fn options(&self) -> Options {
        Options::new(self.clone())
    }

    /// Calls a task function on the cluster: Dask's `Client.submit`. Never blocks and never fails
    /// here: what is wrong with the call is reported by the future.
    ///
    /// One argument is passed as it is, several in a tuple, none as `()`. Each is a value, or a
    /// future, in which case the function runs where the data is.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[task] fn sum(xs: &[i64]) -> i64 { xs.iter().sum() }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let x = client.submit(inc, 10);
    /// let y = client.submit(add, (&x, 5));
    /// let total = client.submit(sum, [&x, &y]);
    /// assert_eq!(total.result().await?, 27);
    /// # client.close().await
    /// # }
    /// ```
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        self.options().submit(function, args)
    }

    /// Calls a task function once for each item: Dask's `Client.map`. For a function of several
    /// parameters the items are tuples: `xs.iter().zip(ys)`.
    ///
    /// ```
    /// # use dask_client::{Client, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let xs = client.map(inc, 0..3);
    /// let sums = client.map(add, xs.iter().zip([10, 20, 30]));
    /// assert_eq!(client.gather(&sums).await?, [11, 22, 33]);
    /// # client.close().await
    /// # }
    /// ```
    pub fn map<F: TaskFn, I>(&self, function: F, items: I) -> Vec<Future<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        self.options().map(function, items)
    }

    /// Computes a raw graph and gathers the results of these keys: Dask's `Client.get`.
    ///
    /// ```
    /// # use dask_client::{Client, Graph, Result, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let mut graph = Graph::new();
    /// let x = graph.insert("x", inc, 1)?;
    /// graph.insert("y", add, (&x, 10))?;
    /// let values: Vec<i64> = client.get(&graph, ["x", "y"]).await?;
    /// assert_eq!(values, [2, 12]);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the graph depends on itself, or does not have a key that is asked for, a task fails, or
    /// the scheduler is gone.
    pub async fn get<T: Value, K: AsRef<str>>(
        &self,
        graph: &Graph,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<T>> {
        self.options().get(graph, keys).await
    }

    /// Puts a value on a worker: Dask's `Client.scatter` for one value.
    ///
    /// ```
    /// # use dask_client::{Client, Future, Result, task};
    /// # #[task] fn sum(xs: &[i64]) -> i64 { xs.iter().sum() }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let data: Future<Vec<i64>> = client.scatter(vec![1, 2, 3]).await?;
    /// assert_eq!(client.submit(sum, &data).await?, 6);
    /// let blocks = client.options().broadcast(true).scatter_many([vec![1], vec![2]]).await?;
    /// assert_eq!(client.gather(client.map(sum, &blocks)).await?, [1, 2]);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be serialized, no worker is there, or the scheduler is gone.
    pub async fn scatter<T: Value>(&self, value: T) -> Result<Future<T>> {
        self.options().scatter(value).await
    }

    /// Puts values on workers, spread over them by their threads: Dask's `Client.scatter` for a
    /// list.
    ///
    /// # Errors
    /// As [`Client::scatter`].
    pub async fn scatter_many<T: Value>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Future<T>>> {
        self.options().scatter_many(values).await
    }

    /// The client of the task that calls this, else the [default](crate::default_client): Dask's
    /// `Client.current`. The same as [`get_client`](crate::get_client).
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// assert_eq!(Client::current()?.name(), client.name());
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`get_client`](crate::get_client).
    pub fn current() -> Result<Self> {
        crate::get_client()
    }

    /// The address of the cluster's dashboard: Dask's `dashboard_link`. `None` if the scheduler had
    /// none when this client connected.
    ///
    /// The link is `{scheme}://{host}:{port}/status`, unless the variable
    /// `DASK_DISTRIBUTED__DASHBOARD__LINK` has another form. Names in braces that are none of these
    /// three stand for variables of the environment, as in Dask.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// match client.dashboard_link() {
    ///     Some(link) => println!("see {link}"),
    ///     None => println!("this cluster has no dashboard"),
    /// }
    /// # client.close().await
    /// # }
    /// ```
    #[must_use]
    pub fn dashboard_link(&self) -> Option<String> {
        let port = *self.link.identity.services.get("dashboard")?;
        Some(dashboard::link(&self.link.address, port))
    }

    /// The address of the scheduler.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.link.address
    }

    /// The client's name, as the scheduler knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.link.identity.name
    }

    /// Ends the connection: Dask's `Client.close`. Its futures are cancelled and their keys
    /// released. A cluster that [`Client::local`] started ends with it.
    ///
    /// # Errors
    /// None today; closing a closed client does nothing.
    pub async fn close(&self) -> Result<()> {
        default::unregister(&self.link);
        self.link.close().await;
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = if self.link.is_over() { ", closed" } else { "" };
        write!(f, "<Client: {}{closed}>", self.link.address)
    }
}
