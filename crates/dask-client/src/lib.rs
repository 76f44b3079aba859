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
//! # Where to find what
//! - **Connect, or start a cluster**: [`Client::connect`], [`Client::builder`],
//!   [`Client::local`], [`LocalCluster`].
//! - **Write tasks and programs**: [`#[task]`](macro@task), [`#[actor]`](macro@actor),
//!   [`#[main]`](macro@main), [`TaskFn`], [`Value`].
//! - **Call tasks**: [`Client::submit`], [`Client::map`], [`Options`], [`Executor`].
//! - **Get results**: [`Future`], [`Client::gather`], [`wait`], [`as_completed`], [`progress`],
//!   [`fire_and_forget`].
//! - **Put data on workers**: [`Client::scatter`], [`Client::replicate`], [`Client::rebalance`],
//!   [`Client::publish_dataset`], [`Client::upload_file`].
//! - **Build graphs**: [`delayed`], [`Delayed`], [`compute`], [`persist`], [`optimize`],
//!   [`Collection`], [`Graph`].
//! - **Use the cluster in a task**: [`get_client`], [`worker_client`], [`get_worker`],
//!   [`secede`], [`rejoin`], [`is_cancelled`], [`print`](fn@print), [`warn`],
//!   [`local_directory`], [`Reschedule`].
//! - **Coordinate**: [`Lock`], [`MultiLock`], [`Semaphore`], [`Event`], [`Queue`], [`Variable`],
//!   [`Client::log_event`], [`Client::subscribe_topic`], [`Client::set_metadata`].
//! - **See what goes on**: [`Client::scheduler_info`], [`Client::who_has`], [`Client::story`],
//!   [`Client::explain`], [`Client::call_stack`], [`Client::profile`],
//!   [`Client::get_task_stream`], [`performance_report`], [`MemorySampler`],
//!   [`Client::dump_cluster_state`].
//! - **Control the cluster**: [`Client::run`], [`Client::restart`], [`Client::retire_workers`],
//!   [`Client::register_plugin`], [`LocalCluster::scale`], [`LocalCluster::adapt`].
//! - **Handle failures**: [`Error`], [`TaskError`], [`Client::retry`].
//! - **Write programs without async**: [`blocking`], where the same verbs block.
//! - **Test without a cluster**: [`testing::MockScheduler`].
//! - **Bring a transport of your own**: [`transport`].
//!
//! # Features
//! All are on by default.
//!
//! - `local`: [`Client::local`] and [`LocalCluster`]: a scheduler and workers that this process
//!   starts.
//! - `worker`: the worker role of a program marked [`#[main]`](macro@main).
//! - `progress`: the bars of [`progress`].
//! - `visualize`: pictures of graphs: [`Graph::visualize`].
//!
//! # Actors
//! A value that is to be changed by many is an actor: it stays on one worker, which makes it, and
//! its methods run there, one at a time. `#[actor]` goes on the `impl` block: functions that return
//! `Self` make the actor, and methods with `&self` or `&mut self` can be called on the
//! [`Actor`](struct@Actor), with values or futures. A call gives an [`ActorFuture`]; calls through
//! one handle run in the order in which they were made.
//!
//! ```
//! use dask_client::{actor, Actor, Client, Result};
//!
//! struct Account { balance: i64 }
//!
//! #[actor]
//! impl Account {
//!     pub fn open(balance: i64) -> Self { Self { balance } }
//!
//!     pub fn deposit(&mut self, amount: i64) { self.balance += amount; }
//!
//!     pub fn withdraw(&mut self, amount: i64) -> Result<i64, String> {
//!         if amount > self.balance {
//!             return Err(format!("there are only {}", self.balance));
//!         }
//!         self.balance -= amount;
//!         Ok(self.balance)
//!     }
//! }
//!
//! #[dask_client::main]
//! async fn main() -> Result<()> {
//!     let client = Client::local().await?;
//!     let account: Actor<Account> = client.options().actor(true).submit(Account::open, 10);
//!     account.deposit(5);
//!     assert_eq!(account.withdraw(12).await?, 3);
//!     let error = account.withdraw(12).await.unwrap_err();
//!     assert_eq!(error.task_error().expect("the call failed").message, "there are only 3");
//!     Ok(())
//! }
//! ```
//!
//! A method that fails or panics gives an error, and the actor goes on as that call left it. The
//! worker that holds an actor is the only one that knows its state: when it dies, calls fail with
//! an error that says so, and a new actor has to be submitted.

// The macros' output names this crate, also inside of it.
extern crate self as dask_client;

#[doc(hidden)]
pub mod __private;
pub mod blocking;
#[doc(hidden)]
pub mod scheduler_file;
#[doc(hidden)]
pub mod state;
pub mod testing;
pub mod transport;

mod actor;
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
mod memory_sampler;
mod report;
mod role;
mod running;
mod submit;
mod tuples;

pub use actor::call::ActorFuture;
pub use actor::{Actor, ActorFn, ActorOptions, ActorType};
pub use client::Client;
pub use client::amm::ActiveMemoryManager;
pub use client::benchmark::{BenchmarkHardware, HardwareBenchmark};
pub use client::builder::ClientBuilder;
pub use client::control::fire_and_forget;
pub use client::copies::{Rebalance, Replicate, RetireWorkers};
pub use client::dataset::PublishDataset;
pub use client::executor::Executor;
pub use client::explanation::Explanation;
pub use client::logs::WorkerLogs;
pub use client::metadata::MetadataPath;
pub use client::options::Options;
pub use client::plugin::{OnScheduler, OnWorkers, Plugin, RegisterPlugin};
pub use client::profile::{Profile, TakeProfile};
pub use client::restart::{Restart, RestartWorkers};
pub use client::run::{Run, RunOnScheduler, RunResults};
pub use client::task_stream::TaskStream;
pub use client::topic::TopicEvent;
pub use client::versions::ClusterVersions;
pub use coordination::event::Event;
pub use coordination::lease::Lease;
pub use coordination::lock::Lock;
pub use coordination::multi_lock::MultiLock;
pub use coordination::queue::Queue;
pub use coordination::semaphore::Semaphore;
pub use coordination::variable::Variable;
pub use dask_macros::{actor, main, task};
pub use dask_proto::message::{
    Activity, ActivityKind, AgentInfo, CallStack, Code, LogLevel, LogRecord, Program, Recorded,
    SchedulerInfo, StackFrame, Versions, WorkerInfo,
};
pub use dask_proto::program::{Executable, ProgramId};
pub use dask_proto::{Address, Key, TaskError, TaskErrorKind};
pub use dask_task::context::{
    CurrentWorker, PoolError, is_cancelled, local_directory, print, rejoin, secede, warn,
};
pub use dask_task::plugin::{PluginError, SchedulerPlugin, Transition, WorkerPlugin};
pub use dask_task::{Reschedule, TaskFn, Value};
pub use default::default_client;
pub use error::{Error, Result};
pub use future::as_completed::{AsCompleted, as_completed};
pub use future::completed::{Batches, WithResults};
pub use future::gather::Errors::{self, Raise, Skip};
pub use future::gather::{Gather, GatherBuilder};
#[cfg(feature = "progress")]
pub use future::progress::progress;
pub use future::travel::{Unknown, futures_of};
pub use future::wait::{AnyFuture, DoneAndNotDone, Futures, Wait, wait};
pub use future::{BoxFuture, Future, Status};
pub use graph::collections::{Collections, compute, persist};
pub use graph::delayed::{Collection, Delayed, Output, delayed};
pub use graph::optimize::optimize;
pub use graph::{Graph, KeyRef};
#[cfg(feature = "local")]
pub use local::adapt::{Adapt, Adaptive};
#[cfg(feature = "local")]
pub use local::{LocalCluster, LocalClusterBuilder};
pub use memory_sampler::{MemoryMeasure, MemorySample, MemorySampler, Sampling, StartSampling};
pub use report::{PerformanceReport, performance_report};
pub use running::worker_client::{WorkerClient, worker_client};
pub use running::{get_client, get_worker};
/// What values of tasks are serialized with: `#[derive(Serialize, Deserialize)]` with
/// `#[serde(crate = "dask_client::serde")]` needs no dependency of its own.
pub use serde;
pub use submit::argument::{ArgumentError, IntoArg, IntoArgs};
