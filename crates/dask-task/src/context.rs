//! What a running task may ask and do: which task it is, where it runs, whether it is still
//! wanted; leave the pool of threads and come back; say something.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dask_proto::message::LogLevel;
use dask_proto::{Address, Key};

/// The task that runs on this thread.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its key.
    pub key: Key,
    /// The worker that runs it.
    pub worker: Arc<CurrentWorker>,
    /// Set when nobody wants the result any more.
    pub cancelled: Arc<AtomicBool>,
    /// What the worker does for it.
    pub host: Arc<dyn Host>,
}

/// A worker, as the tasks that it runs see it.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentWorker {
    /// Where its peers reach it.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// How many tasks it runs at once.
    pub nthreads: u32,
    /// Bytes of memory that it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Its abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// Its scheduler.
    pub scheduler: Address,
    /// What whoever started the worker gives its tasks at hand.
    #[doc(hidden)]
    pub companion: Companion,
}

/// Something that is there for all tasks of a worker, and that the worker knows nothing of.
#[derive(Clone, Default)]
pub struct Companion(pub Option<Arc<dyn Any + Send + Sync>>);

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Companion" } else { "None" })
    }
}

/// Whether it is the same one.
impl PartialEq for Companion {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

/// What a worker does for the task that runs on one of its threads, which calls it.
pub trait Host: fmt::Debug + Send + Sync {
    /// Whether the thread is outside of the pool.
    fn is_outside(&self) -> bool;

    /// Takes the thread out of the pool: [`secede`].
    ///
    /// # Errors
    /// As there.
    fn secede(&self) -> Result<(), PoolError>;

    /// Waits until the pool has room for the thread again: [`rejoin`].
    ///
    /// # Errors
    /// As there.
    fn rejoin(&self) -> Result<(), PoolError>;

    /// The directory of the worker's files: [`local_directory`].
    ///
    /// # Errors
    /// As there.
    fn local_directory(&self) -> io::Result<PathBuf>;

    /// Passes on to the scheduler what the task with this key says.
    fn say(&self, key: Key, level: LogLevel, text: String);
}

/// A task could not leave the pool of threads, or not come back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// No task runs on this thread: a thread that a task started is none of the pool's.
    #[error("only a running task can leave or rejoin the pool of threads, on its own thread")]
    NoTask,
    /// So many tasks are outside of the pool already, each with a thread.
    #[error("{limit} tasks of this worker have left its pool of threads already")]
    TooMany {
        /// How many the worker allows.
        limit: usize,
    },
    /// The thread that takes the place of this one could not be started.
    #[error("no other thread could be started")]
    Thread(#[source] io::Error),
    /// The task was cancelled, so that it need not come back.
    #[error("the task was cancelled")]
    Cancelled,
    /// The worker came to its end.
    #[error("the worker has ended")]
    Ended,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Leaves the task when dropped.
#[derive(Debug)]
pub struct Entered(Option<Context>);

impl Context {
    /// Makes this the task that runs on this thread, until the guard is dropped.
    #[must_use]
    pub fn enter(self) -> Entered {
        Entered(CURRENT.replace(Some(self)))
    }

    /// The task that runs on this thread; `None` outside of tasks.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Whether the task that runs on this thread was cancelled: a long task asks now and then and
/// returns early, since its result would be dropped. `false` outside of tasks.
///
/// A task that does not ask runs on to its end, and keeps its thread busy until then.
#[must_use]
pub fn is_cancelled() -> bool {
    CURRENT.with_borrow(|current| {
        current.as_ref().is_some_and(|context| context.cancelled.load(Ordering::Relaxed))
    })
}

/// Lets the task that runs on this thread leave the worker's pool of threads: Dask's `secede`. The
/// task goes on, and the worker starts another in its place. For tasks that wait for other tasks,
/// which could otherwise fill all threads with waiting, or that wait for anything else for long.
///
/// Abstract resources that the task holds stay with it. A task that is outside already stays
/// there.
///
/// # Errors
/// Outside of tasks, when too many tasks of the worker have left its pool, and when no thread can
/// be started; the task is in the pool then as before.
pub fn secede() -> Result<(), PoolError> {
    Context::current().ok_or(PoolError::NoTask)?.host.secede()
}

/// Lets the task that runs on this thread, which had left the worker's pool by [`secede`], come
/// back: Dask's `rejoin`. Waits until a thread of the pool is free, ahead of all tasks that have
/// not started. A task that is in the pool already just goes on.
///
/// # Errors
/// Outside of tasks, when the task is cancelled, and when the worker ends; the task is outside of
/// the pool then as before, and may go on.
pub fn rejoin() -> Result<(), PoolError> {
    Context::current().ok_or(PoolError::NoTask)?.host.rejoin()
}

/// Prints a line on the standard output of the worker, and sends it to the scheduler, where clients
/// find it with the key of the task: Dask's `print`. Outside of tasks it only prints.
///
/// Too many lines are dropped on the way, which the scheduler is told, and long ones are cut.
pub fn print(text: impl Display) {
    let text = text.to_string();
    // Nobody may listen.
    let _ = writeln!(io::stdout(), "{text}");
    say(LogLevel::Print, text);
}

/// Prints a warning on the standard error of the worker, and sends it to the scheduler, where
/// clients find it with the key of the task: Dask's `warn`. Outside of tasks it only prints.
pub fn warn(text: impl Display) {
    let text = text.to_string();
    let _ = writeln!(io::stderr(), "{text}");
    say(LogLevel::Warn, text);
}

/// The directory of the worker that runs this task, where files are that clients uploaded and where
/// the task may put its own: Dask's `get_worker().local_directory`. It is removed with its worker.
///
/// # Errors
/// Outside of tasks, and when the directory cannot be made.
pub fn local_directory() -> io::Result<PathBuf> {
    let outside = || io::Error::other("only a running task has the local directory of a worker");
    Context::current().ok_or_else(outside)?.host.local_directory()
}

fn say(level: LogLevel, text: String) {
    if let Some(Context { key, host, .. }) = Context::current() {
        host.say(key, level, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl Host for Nowhere {
        fn is_outside(&self) -> bool {
            false
        }

        fn secede(&self) -> Result<(), PoolError> {
            Err(PoolError::TooMany { limit: 0 })
        }

        fn rejoin(&self) -> Result<(), PoolError> {
            Ok(())
        }

        fn local_directory(&self) -> io::Result<PathBuf> {
            Ok("/nowhere".into())
        }

        fn say(&self, _: Key, _: LogLevel, _: String) {}
    }

    #[test]
    fn a_task_knows_itself_and_hears_of_its_cancellation() {
        let cancelled = Arc::new(AtomicBool::new(false));
        let worker = CurrentWorker {
            address: "tcp://127.0.0.1:1".parse().expect("an address"),
            name: "alice".to_owned(),
            nthreads: 1,
            memory_limit: None,
            resources: BTreeMap::new(),
            scheduler: "tcp://127.0.0.1:2".parse().expect("an address"),
            companion: Companion::default(),
        };
        let context = Context {
            key: Key::new("f-1").expect("a short key"),
            worker: Arc::new(worker),
            cancelled: cancelled.clone(),
            host: Arc::new(Nowhere),
        };
        let entered = context.enter();
        assert_eq!(Context::current().expect("inside a task").key, "f-1");
        assert!(!is_cancelled());
        cancelled.store(true, Ordering::Relaxed);
        assert!(is_cancelled());
        assert!(matches!(secede(), Err(PoolError::TooMany { limit: 0 })));
        assert!(rejoin().is_ok());
        assert_eq!(local_directory().ok(), Some("/nowhere".into()));
        drop(entered);
        assert!(Context::current().is_none() && !is_cancelled());
    }

    #[test]
    fn only_tasks_leave_the_pool_and_come_back() {
        assert!(matches!(secede(), Err(PoolError::NoTask)));
        assert!(matches!(rejoin(), Err(PoolError::NoTask)));
        assert!(local_directory().is_err());
    }
}
