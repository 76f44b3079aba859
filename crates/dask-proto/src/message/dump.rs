//! What is known of tasks, for people who look for a fault.

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::{Address, Key};

/// A task as the scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDump {
    /// Its id.
    pub id: TaskId,
    /// Its key.
    pub key: Key,
    /// The name of its state.
    pub state: String,
    /// What its key starts with.
    pub prefix: String,
    /// The path of its function; none for scattered data.
    pub function: Option<String>,
    /// The tasks whose results it needs.
    pub dependencies: Vec<Key>,
    /// How many of these are not in memory, while it waits.
    pub waiting_for: u64,
    /// The workers that hold its result.
    pub who_has: Vec<Address>,
    /// The worker that computes it.
    pub processing_on: Option<Address>,
    /// The size of its result in bytes.
    pub nbytes: Option<u64>,
    /// How many futures of clients hold it.
    pub holds: u64,
    /// How often it may still fail.
    pub retries: u32,
    /// What its error says.
    pub error: Option<String>,
}

/// A task as a worker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTaskDump {
    /// Its id.
    pub task: TaskId,
    /// The name of its state.
    pub state: String,
}
