use serde::{Deserialize, Serialize};

use super::ask::{Question, Reply};
use super::log::LogRecord;
use super::stream::Activity;
use crate::graph::{Function, Priority};
use crate::id::{FunctionId, RequestId, RunId, TaskId, WorkerId};
use crate::map::SmallList;
use crate::{Address, Key, Payload, SmallBytes, TaskError};

/// Why a worker is told to close that was retired: nobody wants it started again.
pub const RETIRED: &str = "the worker was retired";

/// What the scheduler says to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SchedulerToWorker {
    /// From now on this id stands for this function.
    Define {
        /// The id, chosen by the scheduler.
        id: FunctionId,
        /// The function.
        function: Function,
    },
    /// From now on this id stands for the worker at this address.
    Peer {
        /// The worker.
        id: WorkerId,
        /// Where it is reached.
        address: Address,
    },
    /// Compute a task.
    Compute(Box<Compute>),
    /// Hold no copy of these any more, and do not start or go on computing them.
    Free {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
    /// Fetch copies of these results from their holders (Dask's `acquire-replicas`).
    Acquire {
        /// The results and where they are.
        dependencies: Vec<Dependency>,
    },
    /// Give these back if they have not started: another worker has time for them. The worker
    /// answers for each, with [`WorkerToScheduler::Given`] or [`WorkerToScheduler::Kept`].
    Steal {
        /// The tasks and their attempts.
        tasks: Vec<(TaskId, RunId)>,
    },
    /// Close the connection and end.
    Close {
        /// Why, for people.
        reason: String,
    },
    /// Hold no copies of these any more: others have them (Dask's `remove-replicas`). Unlike
    /// [`Free`](Self::Free) it is answered, with [`WorkerToScheduler::Removed`].
    Remove {
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// A client's question. [`WorkerToScheduler::Replied`].
    Ask {
        /// Its id, chosen by the scheduler.
        id: RequestId,
        /// The question.
        question: Box<Question>,
    },
}

/// A task for a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// The task.
    pub task: TaskId,
    /// Which attempt this is.
    pub run: RunId,
    /// Its key.
    pub key: Key,
    /// What to call.
    pub function: FunctionId,
    /// What runs first.
    pub priority: Priority,
    /// The results that are its arguments, in the order in which the body counts them.
    pub dependencies: Vec<Dependency>,
    /// Abstract resources that it holds while it runs, by name.
    pub resources: Vec<(String, f64)>,
    /// The arguments.
    pub body: Payload,
}

/// An encoded result that is no longer than what would say where it is: a number.
pub type SmallValue = SmallBytes<10>;

/// A result that a task needs, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The task whose result it is.
    pub task: TaskId,
    /// The size of the value in bytes.
    pub nbytes: u64,
    /// The workers that hold it, each defined by [`SchedulerToWorker::Peer`]; can include the
    /// worker that is told. With the value itself none has to be named.
    pub holders: SmallList<WorkerId>,
    /// The value itself, where to ask for it would cost more. A worker that has no copy holds one
    /// from then on, as if it had fetched it.
    pub value: Option<SmallValue>,
}

/// What a worker says to the scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkerToScheduler {
    /// A task is done and its result in memory here.
    Finished {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
        /// The size of the value in bytes.
        nbytes: u64,
        /// How long the function ran, in nanoseconds.
        duration_ns: u64,
        /// The value itself, when it is small.
        value: Option<Payload>,
    },
    /// A task failed.
    Erred {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
        /// How.
        error: Box<TaskError>,
    },
    /// A task cannot run here, because these results could not be had from any holder: the
    /// scheduler finds out where they are or has them computed again, and sends the task anew.
    MissingDependencies {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
        /// Each missing result, with the holder that did not have it.
        missing: Vec<(TaskId, WorkerId)>,
    },
    /// Copies of these results are here now: fetched, acquired or scattered.
    Added {
        /// The results and their sizes in bytes.
        tasks: Vec<(TaskId, u64)>,
    },
    /// A task left the pool of threads: it goes on, and another may start (Dask's `secede`).
    LongRunning {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// These were to be [stolen](SchedulerToWorker::Steal) and had not started: the worker has
    /// forgotten them.
    Given {
        /// The tasks and their attempts.
        tasks: Vec<(TaskId, RunId)>,
    },
    /// These were to be [stolen](SchedulerToWorker::Steal) and stay: they run, are done, or are
    /// not known here.
    Kept {
        /// The tasks and their attempts.
        tasks: Vec<(TaskId, RunId)>,
    },
    /// These results could not be [acquired](SchedulerToWorker::Acquire) from any holder.
    NotAcquired {
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// The worker begins or ceases to take up tasks.
    Status(WorkerStatus),
    /// What tasks and the worker itself had to say, in order.
    Logged {
        /// The records.
        records: Vec<LogRecord>,
    },
    /// The worker lives.
    Heartbeat(Metrics),
    /// This process is about to die, and this task is why: its stack overflowed.
    Dying {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
        /// What happened, for people.
        reason: String,
    },
    /// The worker is about to close the connection of its own accord.
    Leaving,
    /// A task that had [left](WorkerToScheduler::LongRunning) the pool of threads is back in it
    /// (Dask's `rejoin`, of which Dask's scheduler hears nothing).
    Rejoined {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// How many threads are busy now with runs that were cancelled and have not noticed.
    Lingering {
        /// How many.
        runs: u32,
    },
    /// No copies of these are here since they were [removed](SchedulerToWorker::Remove): what was
    /// said of them before counts no more.
    Removed {
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// Results that were here cannot be read back from disk: no copies of them are here any more.
    Lost {
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// A task asks to be run elsewhere (Dask's `Reschedule`): the worker has forgotten it.
    Rescheduled {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// The reply to a [question](SchedulerToWorker::Ask).
    Replied {
        /// The question's id.
        id: RequestId,
        /// The reply.
        reply: Box<Reply>,
    },
    /// What the worker did, since it was asked to tell: ahead of the word that the runs ended.
    Did {
        /// What it did.
        activities: Vec<Activity>,
    },
}

/// What a worker measures about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Bytes of memory of the process.
    pub memory: u64,
    /// Bytes of results that it holds.
    pub managed: u64,
    /// Tasks that run now.
    pub executing: u32,
    /// Tasks that could run now and wait for a thread.
    pub ready: u32,
    /// Results that it is fetching now.
    pub in_flight: u32,
    /// Bytes of results that are on its disk instead of in its memory.
    pub spilled: u64,
}

/// Whether a worker takes up tasks (Dask's `Status`, as far as it is seen from outside).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WorkerStatus {
    /// It does.
    #[default]
    Running,
    /// Its memory is nearly full: it starts nothing and fetches nothing until there is room. What
    /// runs goes on.
    Paused,
    /// It is to leave: it gets no more tasks, and its results move to other workers (Dask's
    /// `closing_gracefully`).
    Retiring,
}

impl std::fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Retiring => "retiring",
        })
    }
}
