use dask_proto::id::{RunId, TaskId};
use dask_proto::message::{LogRecord, SchedulerToWorker, ValueAt};
use dask_proto::{Payload, TaskError};

use super::instruction::{FlightId, PutId};

/// Everything that can happen to a worker.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A batch from the scheduler.
    SchedulerSaid(Vec<SchedulerToWorker>),
    /// The connection to the scheduler ended.
    SchedulerLost,
    /// Runs ended, in this order.
    RunsEnded(Vec<RunEnded>),
    /// A task left the pool of threads and goes on.
    Seceded {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// A task that left the pool waits to come back.
    Rejoining {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// A peer answered a fetch.
    Fetched {
        /// The fetch.
        flight: FlightId,
        /// What it has of what was asked for.
        results: Vec<(TaskId, ValueAt)>,
    },
    /// A peer could not be reached, or went away before it answered a fetch.
    FetchFailed {
        /// The fetch.
        flight: FlightId,
    },
    /// A peer has too much to send to others to answer a fetch now.
    PeerBusy {
        /// The fetch.
        flight: FlightId,
    },
    /// A client put values here.
    Put {
        /// Names this event in the answer.
        put: PutId,
        /// The values and their sizes in bytes.
        values: Vec<(TaskId, u64, Payload)>,
    },
    /// A result is on disk and no longer in memory.
    Spilled {
        /// The task whose result it is.
        task: TaskId,
    },
    /// A result could not be written to disk, and stays in memory.
    SpillFailed {
        /// The task whose result it is.
        task: TaskId,
        /// Whose fault it is.
        failure: SpillFailure,
    },
    /// A result that was on disk only is in memory again, since a task used it in place.
    Unspilled {
        /// The task whose result it is.
        task: TaskId,
    },
    /// A result cannot be read back from disk.
    Lost {
        /// The task whose result it was.
        task: TaskId,
    },
    /// Tasks or the worker itself said something.
    Logged {
        /// What, in order.
        records: Vec<LogRecord>,
        /// How many lines the shell had to drop.
        dropped: u64,
    },
    /// The shell measured the memory of the process.
    Measured {
        /// In bytes.
        memory: u64,
    },
    /// [`next_timeout`](super::WorkerState::next_timeout) has come.
    Timeout,
    /// The worker shall leave its scheduler and end.
    Shutdown,
}

/// Why a result could not be written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpillFailure {
    /// It cannot be encoded, and never will.
    Value,
    /// The disk is full or broken.
    Disk,
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnded {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub run: RunId,
    /// How long the function ran in the pool, in nanoseconds.
    pub duration_ns: u64,
    /// What it gave.
    pub outcome: Outcome,
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// A result.
    Done {
        /// The result, for the store.
        value: Payload,
        /// Its size in bytes.
        nbytes: u64,
        /// The result as it goes to the scheduler, if it does.
        inline: Option<Payload>,
    },
    /// An error.
    Failed(Box<TaskError>),
    /// Nothing: it was cancelled before it started.
    Skipped,
    /// Nothing: these inputs were on disk and could not be read back.
    InputsLost(Vec<TaskId>),
    /// Nothing: it asks to be run elsewhere.
    Rescheduled,
}
