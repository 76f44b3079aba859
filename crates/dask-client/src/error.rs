use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::message::Refusal;
use dask_proto::{Address, Key, ParseAddressError, TaskError, ValueError};
use dask_task::registry::RegistryError;
use dask_transport::{ConnectError, PeerError};

/// The result of whatever can fail in this crate; with a second parameter it is std's `Result`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not work. Its predicates tell apart the cases that a program may act on.
pub struct Error(Box<Kind>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error(transparent)]
    Task(Arc<TaskError>),
    #[error("future {key} was cancelled: {reason}")]
    Cancelled { key: Key, reason: Arc<str> },
    #[error("{what} took longer than {timeout:?}")]
    Timeout { what: &'static str, timeout: Duration },
    #[error("the client is closed")]
    Closed,
    #[error("the connection to the scheduler at {address} is gone: {reason}")]
    Disconnected { address: Address, reason: Arc<str> },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Address(#[from] ParseAddressError),
    #[error("the scheduler refused: {0}")]
    Refused(Refusal),
    #[error("the scheduler gave an answer that does not fit the question")]
    Answer,
    #[error("{process} refused: {reason}")]
    Unwilling { process: Address, reason: String },
    #[error(transparent)]
    Plugin(#[from] dask_task::plugin::PluginTypeError),
    #[error("versions differ: {0}")]
    Versions(String),
    #[error("a function that runs outside of tasks takes values: {0} is a task's result")]
    RunOnFuture(Key),
    #[error(transparent)]
    Argument(#[from] crate::ArgumentError),
    #[error("the value of {key} could not be had")]
    Value { key: Key, source: ValueError },
    #[error("the value of {key} could not be serialized by {worker}: {reason}")]
    Unserializable { key: Key, worker: Address, reason: String },
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(
        "the value of {key} was not where the scheduler said, {tries} times: workers are going \
         away as fast as it can be computed"
    )]
    Unavailable { key: Key, tries: u32 },
    #[error("the result was skipped because its task failed")]
    Skipped,
    #[error("the graph depends on itself: {}", Cycle(.0))]
    Cycle(Vec<Key>),
    #[error("{0} has no task in the graph and no future on the cluster")]
    UnknownKey(Key),
    #[error("a key cannot be made")]
    Key(#[from] dask_proto::KeyTooLong),
    #[error("a value cannot be given a key")]
    Token(#[from] dask_tokenize::TokenizeError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("only a running task has a worker, on its own thread")]
    NoTask,
    #[error(transparent)]
    Pool(#[from] dask_task::context::PoolError),
    #[error("a task gave up its place")]
    Reschedule(#[from] dask_task::Reschedule),
    #[error("a value could not be stored on the scheduler, or read back")]
    Kept(#[source] ValueError),
    #[error("there is no default client: connect one first")]
    NoDefault,
    #[error(transparent)]
    SchedulerFile(#[from] crate::scheduler_file::SchedulerFileError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[cfg(feature = "local")]
    #[error(
        "worker processes run this program, which has no worker role: put #[dask_client::main] on \
         its main function, or name another program with LocalCluster::builder().program(…)"
    )]
    NoRole,
    #[error(
        "keys cannot say which build this program is: it has no worker role, or its file cannot \
         be read; put #[dask_client::main] on its main function"
    )]
    NoBuild,
    #[cfg(feature = "local")]
    #[error("a worker cannot have {amount} of a resource named {name:?}")]
    Resource { name: String, amount: f64 },
    #[cfg(feature = "local")]
    #[error("worker process {name} ended at start ({status})")]
    WorkerStart { name: String, status: String },
    #[cfg(feature = "local")]
    #[error("the scheduler of a local cluster could not start")]
    Scheduler(#[from] dask_scheduler::Error),
    #[cfg(feature = "worker")]
    #[error("a worker could not start")]
    Worker(#[from] dask_worker::Error),
}

struct Cycle<'a>(&'a [Key]);

impl fmt::Display for Cycle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in self.0 {
            write!(f, "{key} -> ")?;
        }
        self.0.first().map_or(Ok(()), |key| write!(f, "{key}"))
    }
}

impl Error {
    /// Whether a task failed: [`Error::task_error`] says how.
    #[must_use]
    pub fn is_task_error(&self) -> bool {
        self.task_error().is_some()
    }

    /// How the task failed: its key, its worker, what the error says with its causes, where it
    /// panicked. `None` when something other than a task failed.
    #[must_use]
    pub fn task_error(&self) -> Option<&TaskError> {
        if let Kind::Task(error) = &*self.0 { Some(error) } else { None }
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(&*self.0, Kind::Timeout { .. } | Kind::SchedulerFile(_))
            || matches!(
                &*self.0,
                Kind::Connect(ConnectError::Unreachable { .. } | ConnectError::NoAnswer { .. })
            )
    }

    /// Whether the future was cancelled or released.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(&*self.0, Kind::Cancelled { .. })
    }

    /// Whether the client had been closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(&*self.0, Kind::Closed)
    }

    /// Whether the scheduler cannot be reached, or is gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        matches!(&*self.0, Kind::Disconnected { .. } | Kind::Connect(_))
    }

    /// What the scheduler said to refuse.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        if let Kind::Refused(refusal) = &*self.0 { Some(refusal) } else { None }
    }

    pub(crate) fn timeout(what: &'static str, timeout: Duration) -> Self {
        Kind::Timeout { what, timeout }.into()
    }
}

impl<K: Into<Kind>> From<K> for Error {
    fn from(kind: K) -> Self {
        Self(Box::new(kind.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// As `main` prints it: the message and then every cause, each on a line of its own.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        if let Some(task) = self.task_error() {
            for cause in &task.causes {
                write!(f, "\n  caused by: {cause}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
