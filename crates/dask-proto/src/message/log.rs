use serde::{Deserialize, Serialize};

use crate::Key;

/// A line that a task or a worker had to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When, in nanoseconds since 1970 by the clock of the worker.
    pub unix_ns: u64,
    /// How important it is.
    pub level: LogLevel,
    /// The task that said it; none for the worker itself.
    pub key: Option<Key>,
    /// What was said.
    pub message: String,
}

/// How important a [`LogRecord`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What a task printed.
    Print,
    /// Something worth knowing happened.
    Info,
    /// For those who look for a fault.
    Debug,
}
