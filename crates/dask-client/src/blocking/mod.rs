//! The same client for programs that are not async: the same verbs, and they block.
//!
//! ```
//! # use dask_client::{as_completed, task};
//! # #[task] fn inc(x: i64) -> i64 { x + 1 }
//! let client = dask_client::blocking::Client::local()?;        // or connect("127.0.0.1:8786")
//! assert_eq!(client.submit(inc, 10).result()?, 11);
//! for future in as_completed(client.map(inc, 0..3)) {
//!     println!("{}", future.result()?);
//! }
//! # client.close()?;
//! # Ok::<(), dask_client::Error>(())
//! ```
//!
//! Only the verbs that wait are written twice, a line each. Their options come with
//! [`Client::options`]; the few that are those of one verb alone are set on the async one, which
//! waits on this thread with `block`, as in
//! `client.asynchronous().profile().duration(second).block()?`. [`Client::asynchronous`] is the
//! same client inside async code, and everything that takes futures takes blocking ones too.
//! Called on a thread that drives an async runtime, a verb that blocks panics, as it would stop the
//! runtime.
//!
//! The thread that waits drives the connection meanwhile; while none waits, a thread of the
//! library's own does.

mod awaited;
mod coordination;
mod copies;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
mod executor;
mod future;
mod futures;
mod inspect;
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
mod options;
mod running;
mod shared;

use std::collections::HashMap;
use std::fmt;
use std::future::IntoFuture;

use dask_proto::message::SchedulerInfo;
use dask_proto::{Address, Key};
use dask_task::{TaskFn, Value};

use crate::driver::block_on;
use crate::future::gather::Gather;
use crate::future::wait::{DoneAndNotDone, Futures};
use crate::graph::Graph;
use crate::graph::collections::Collections;
use crate::submit::argument::IntoArgs;
use crate::{ClientBuilder, Explanation, Options, Result};

pub use crate::as_completed;
pub use coordination::{Event, Lease, Lock, MultiLock, Queue, Semaphore, Variable};
pub use copies::ActiveMemoryManager;
pub use executor::Executor;
pub use future::Future;
pub use inspect::performance_report;
pub use running::{WorkerClient, get_client, worker_client};

/// [`Client`](crate::Client) whose verbs block.
#[derive(Clone)]
pub struct Client(crate::Client);

impl Client {
    /// [`Client::connect`](crate::Client::connect).
    ///
    /// # Errors
    /// As there.
    pub fn connect(address: impl AsRef<str>) -> Result<Self> {
        Self::builder(crate::Client::builder().address(address))
    }

    /// [`ClientBuilder::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn builder(builder: ClientBuilder) -> Result<Self> {
        block_on(builder.connect()).map(Self)
    }

    /// [`Client::local`](crate::Client::local).
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "local")]
    pub fn local() -> Result<Self> {
        block_on(crate::Client::local()).map(Self)
    }

    /// [`Client::current`](crate::Client::current).
    ///
    /// # Errors
    /// As there.
    pub fn current() -> Result<Self> {
        get_client()
    }

    /// The same client for async code.
    #[must_use]
    pub fn asynchronous(&self) -> &crate::Client {
        &self.0
    }

    /// [`Client::address`](crate::Client::address).
    #[must_use]
    pub fn address(&self) -> &Address {
        self.0.address()
    }

    /// [`Client::name`](crate::Client::name).
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// [`Client::options`](crate::Client::options).
    pub fn options(&self) -> Options<Self> {
        Options::new(self.clone())
    }

    /// [`Client::submit`](crate::Client::submit).
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        Future(self.0.submit(function, args))
    }

    /// [`Client::map`](crate::Client::map).
    pub fn map<F: TaskFn, I>(&self, function: F, items: I) -> Vec<Future<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        blocking(self.0.map(function, items))
    }

    /// [`Client::gather`](crate::Client::gather). Without the futures that failed it is
    /// `client.options().errors(Skip).gather(…)`.
    ///
    /// # Errors
    /// As there.
    pub fn gather<G: Gather + Send>(&self, futures: G) -> Result<G::Output> {
        block_on(self.0.gather(futures).into_future())
    }

    /// [`Client::scatter`](crate::Client::scatter).
    ///
    /// # Errors
    /// As there.
    pub fn scatter<T: Value>(&self, value: T) -> Result<Future<T>> {
        block_on(self.0.scatter(value)).map(Future)
    }

    /// [`Client::scatter_many`](crate::Client::scatter_many).
    ///
    /// # Errors
    /// As there.
    pub fn scatter_many<T: Value>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Future<T>>> {
        block_on(self.0.scatter_many(values)).map(blocking)
    }

    /// [`Client::compute`](crate::Client::compute).
    pub fn compute<C: Collections>(&self, collections: C) -> C::Blocking {
        C::blocking(self.0.compute(collections))
    }

    /// [`Client::persist`](crate::Client::persist).
    pub fn persist<C: Collections>(&self, collections: C) -> C::Persisted {
        self.0.persist(collections)
    }

    /// [`Client::get`](crate::Client::get).
    ///
    /// # Errors
    /// As there.
    pub fn get<T: Value, K: AsRef<str>>(
        &self,
        graph: &Graph,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<T>> {
        block_on(self.0.get(graph, keys))
    }

    /// [`Client::cancel`](crate::Client::cancel).
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self, futures: impl Futures) -> Result<()> {
        block_on(self.0.cancel(futures))
    }

    /// [`Client::cancel_by_force`](crate::Client::cancel_by_force).
    ///
    /// # Errors
    /// As there.
    pub fn cancel_by_force(&self, futures: impl Futures) -> Result<()> {
        block_on(self.0.cancel_by_force(futures))
    }

    /// [`Client::retry`](crate::Client::retry).
    ///
    /// # Errors
    /// As there.
    pub fn retry(&self, futures: impl Futures) -> Result<()> {
        block_on(self.0.retry(futures))
    }

    /// [`Client::who_has`](crate::Client::who_has).
    ///
    /// # Errors
    /// As there.
    pub fn who_has(&self, futures: impl Futures) -> Result<HashMap<Key, Vec<Address>>> {
        block_on(self.0.who_has(futures))
    }

    /// [`Client::has_what`](crate::Client::has_what).
    ///
    /// # Errors
    /// As there.
    pub fn has_what(&self) -> Result<HashMap<Address, Vec<Key>>> {
        block_on(self.0.has_what())
    }

    /// [`Client::processing`](crate::Client::processing).
    ///
    /// # Errors
    /// As there.
    pub fn processing(&self) -> Result<HashMap<Address, Vec<Key>>> {
        block_on(self.0.processing())
    }

    /// [`Client::nthreads`](crate::Client::nthreads).
    ///
    /// # Errors
    /// As there.
    pub fn nthreads(&self) -> Result<HashMap<Address, u32>> {
        block_on(self.0.nthreads())
    }

    /// [`Client::scheduler_info`](crate::Client::scheduler_info).
    ///
    /// # Errors
    /// As there.
    pub fn scheduler_info(&self) -> Result<SchedulerInfo> {
        block_on(self.0.scheduler_info())
    }

    /// [`Client::wait_for_workers`](crate::Client::wait_for_workers).
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_workers(&self, n: u32) -> Result<()> {
        block_on(self.0.wait_for_workers(n))
    }

    /// [`Client::story`](crate::Client::story).
    ///
    /// # Errors
    /// As there.
    pub fn story(&self, key: impl AsRef<str>) -> Result<Vec<String>> {
        block_on(self.0.story(key))
    }

    /// [`Client::explain`](crate::Client::explain).
    ///
    /// # Errors
    /// As there.
    pub fn explain(&self, key: impl AsRef<str>) -> Result<Explanation> {
        block_on(self.0.explain(key))
    }

    /// [`Client::shutdown`](crate::Client::shutdown).
    ///
    /// # Errors
    /// As there.
    pub fn shutdown(&self) -> Result<()> {
        block_on(self.0.shutdown())
    }

    /// [`Client::close`](crate::Client::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// [`wait`](crate::wait).
///
/// # Errors
/// As there.
pub fn wait<F: Futures>(futures: F) -> Result<DoneAndNotDone<F::Future>> {
    crate::wait(futures).block()
}

/// [`compute`](crate::compute).
///
/// ```
/// # use dask_client::{blocking::compute, delayed, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// assert_eq!(compute(&delayed(inc, 1))?, 2);
/// # Ok::<(), dask_client::Error>(())
/// ```
///
/// # Errors
/// As there.
pub fn compute<C: Collections>(collections: C) -> Result<<C::Futures as Gather>::Output> {
    block_on(crate::compute(collections))
}

/// [`persist`](crate::persist).
///
/// # Errors
/// As there.
pub fn persist<C: Collections>(collections: C) -> Result<C::Persisted> {
    block_on(crate::persist(collections))
}

/// [`progress`](crate::progress).
///
/// # Errors
/// As there.
#[cfg(feature = "progress")]
pub fn progress(futures: impl Futures) -> Result<()> {
    block_on(crate::progress(futures))
}

/// [`default_client`](crate::default_client).
///
/// # Errors
/// As there.
pub fn default_client() -> Result<Client> {
    crate::default_client().map(Client)
}

fn blocking<T>(futures: Vec<crate::Future<T>>) -> Vec<Future<T>> {
    futures.into_iter().map(Future).collect()
}
