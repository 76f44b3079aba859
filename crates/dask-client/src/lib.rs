//! Dask, native to Rust: submit ordinary functions to a cluster and get futures back.
//!
//! A function marked [`#[task]`](macro@task) can be called on another thread, in another process or
//! on another machine. [`Client::submit`] gives a [`Future`] of its result, which stays on the
//! cluster and can be an argument of further calls.
//!
//! ```
//! use dask_client::{task, Client, Future, Result};
//!
//! #[task]
//! fn inc(x: i64) -> i64 { x + 1 }
//!
//! #[task]
//! fn sum(xs: &[i64]) -> i64 { xs.iter().sum() }
//!
//! #[dask_client::main]
//! async fn main() -> Result<()> {
//!     let client = Client::local().await?;              // or connect("127.0.0.1:8786")
//!     let futures: Vec<Future<i64>> = client.map(inc, 0..10);
//!     let total = client.submit(sum, &futures);         // runs where the data is
//!     assert_eq!(total.result().await?, 55);
//!     Ok(())
//! }
//! ```
//!
//! Reading order: [`Client`] and its [`Options`], [`Future`], [`wait`] and [`as_completed`],
//! [`delayed`] and [`Graph`], [`blocking`], [`LocalCluster`], [`transport`], [`testing`].

// The macros' output names this crate, also inside of it.
extern crate self as dask_client;

#[doc(hidden)]
pub mod __private;
pub mod blocking;
#[doc(hidden)]
pub mod state;
pub mod testing;
pub mod transport;

mod client;
mod coordination;
mod default;
mod driver;
mod error;
mod future;
mod graph;
#[cfg(feature = "local")]
#[allow(clippy::fn_params_excessive_bools, reason = "Dask's keyword arguments")]
mod local;
#[cfg(feature = "worker")]
mod resource;
mod role;
mod running;
mod submit;

pub use client::Client;
pub use client::builder::ClientBuilder;
pub use client::control::fire_and_forget;
pub use client::copies::{Rebalance, Replicate, RetireWorkers};
pub use client::dataset::PublishDataset;
pub use client::explanation::Explanation;
pub use client::logs::WorkerLogs;
pub use client::options::Options;
pub use client::restart::{Restart, RestartWorkers};
pub use client::run::{Run, RunOnScheduler, RunResults};
pub use client::topic::TopicEvent;
pub use client::versions::ClusterVersions;
pub use coordination::event::Event;
pub use coordination::lease::Lease;
pub use coordination::lock::Lock;
pub use coordination::multi_lock::MultiLock;
pub use coordination::queue::Queue;
pub use coordination::semaphore::Semaphore;
pub use coordination::variable::Variable;
pub use dask_macros::{main, task};
pub use dask_proto::message::{
    Code, LogLevel, LogRecord, Program, RunningTask, SchedulerInfo, Versions, WorkerInfo,
};
pub use dask_proto::program::{Executable, ProgramId};
pub use dask_proto::{Address, Key, TaskError, TaskErrorKind};
pub use dask_task::context::{
    CurrentWorker, PoolError, is_cancelled, local_directory, print, rejoin, secede, warn,
};
pub use dask_task::{Reschedule, TaskFn, Value};
pub use default::default_client;
pub use error::{Error, Result};
pub use future::as_completed::{AsCompleted, as_completed};
pub use future::gather::Errors::{self, Raise, Skip};
pub use future::gather::{Gather, GatherBuilder};
#[cfg(feature = "progress")]
pub use future::progress::progress;
pub use future::travel::{Unknown, futures_of};
pub use future::wait::{AnyFuture, DoneAndNotDone, Futures, Wait, wait};
pub use future::{BoxFuture, Future, Status};
pub use graph::delayed::{Collection, Delayed, Persisted, delayed};
pub use graph::{Graph, KeyRef};
#[cfg(feature = "local")]
pub use local::adapt::{Adapt, Adaptive};
#[cfg(feature = "local")]
pub use local::{LocalCluster, LocalClusterBuilder};
pub use running::worker_client::{WorkerClient, worker_client};
pub use running::{get_client, get_worker};
/// What values of tasks are serialized with: `#[derive(Serialize, Deserialize)]` with
/// `#[serde(crate = "dask_client::serde")]` needs no dependency of its own.
pub use serde;
pub use submit::argument::{ArgumentError, IntoArg, IntoArgs};
