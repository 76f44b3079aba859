use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_ERROR_TEXT_BYTES;
use crate::{Address, Key};

/// How a task failed: a value that travels like any other.
///
/// A task that depends on a failed task fails with the error of that task, so `key` names the task
/// that failed first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// What kind of failure this is.
    pub kind: TaskErrorKind,
    /// The task that failed.
    pub key: Key,
    /// The path of its function, such as `session::inc`; empty where there is none.
    pub function: String,
    /// The worker that it failed on, where it got that far.
    pub worker: Option<Address>,
    /// What the error says.
    pub message: String,
    /// What each further cause says, outermost first.
    pub causes: Vec<String>,
    /// Where it panicked: `file:line:column`.
    pub location: Option<String>,
    /// The stack at the panic, where the worker captured one.
    pub backtrace: Option<String>,
}

/// The ways in which a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskErrorKind {
    /// The function returned `Err`.
    Returned,
    /// The function panicked.
    Panicked,
    /// The worker processes that ran the task died, more often than allowed (Dask's
    /// `KilledWorker`), or the task overflowed its stack.
    KilledWorker,
    /// No worker has the function, or only with another signature.
    NoFunction,
    /// No worker came that may run the task within the `no-workers-timeout`.
    NoWorker,
    /// The arguments or the result could not be serialized or deserialized.
    Serialization,
    /// Another task with the same key and other content is on the cluster.
    KeyCollision,
    /// The graph depends on itself, or on a key that is not there.
    InvalidGraph,
    /// Scattered data was lost with the workers that held it, and cannot be computed again.
    LostData,
    /// The task was cancelled.
    Cancelled,
    /// A defect of the scheduler or worker; the message has the task's story.
    Internal,
    /// The program that has its function cannot be had or started on any host.
    Program,
}

impl TaskError {
    /// A failure without a place or causes.
    #[must_use]
    pub fn new(kind: TaskErrorKind, key: Key, message: impl Into<String>) -> Self {
        Self {
            kind,
            key,
            function: String::new(),
            worker: None,
            message: shortened(message.into()),
            causes: Vec::new(),
            location: None,
            backtrace: None,
        }
    }

    /// A failure with an error's message and the chain of its sources.
    #[must_use]
    pub fn from_error(kind: TaskErrorKind, key: Key, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        Self {
            causes: causes.take(32).map(|cause| shortened(cause.to_string())).collect(),
            ..Self::new(kind, key, error.to_string())
        }
    }
}

/// The text, cut at the limit for error texts.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_ERROR_TEXT_BYTES {
        let end = (0..=MAX_ERROR_TEXT_BYTES).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            TaskErrorKind::Returned => "failed",
            TaskErrorKind::Panicked => "panicked",
            TaskErrorKind::KilledWorker => "killed its worker",
            TaskErrorKind::NoFunction => "has no worker with its function",
            TaskErrorKind::NoWorker => "waited too long for a worker",
            TaskErrorKind::Serialization => "could not exchange its values",
            TaskErrorKind::KeyCollision => "has the key of another task",
            TaskErrorKind::InvalidGraph => "is part of an invalid graph",
            TaskErrorKind::LostData => "lost its data",
            TaskErrorKind::Cancelled => "was cancelled",
            TaskErrorKind::Internal => "met a defect of the cluster",
            TaskErrorKind::Program => "has no worker, for its program does not run",
        };
        write!(f, "task {} {what}", self.key)?;
        if let Some(worker) = &self.worker {
            write!(f, " on {worker}")?;
        }
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for TaskError {}
