//! What a task is, before it has a state.
//!
//! A graph crosses the link as tasks in *topological order*, dependencies first, each with an id
//! that the client chose. A task can only refer to ids that came before it, so a cycle cannot be
//! written down, and a graph of any size can be cut into messages. The order in which tasks arrive
//! is also their priority: the client sends depth-first order (Dask's `order`).

use serde::{Deserialize, Serialize};

use crate::id::{FunctionId, FutureId};
use crate::{Key, Payload};

/// A task function by name and type. A task goes only to a worker that has it with this signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Function {
    /// Module path and name, such as `session::inc`.
    pub path: String,
    /// Its type as written, such as `fn(i64) -> i64`, and its version if it has one.
    pub signature: String,
}

impl Function {
    /// The name without the module path: the prefix of the function's keys.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or(&self.path)
    }
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.signature)
    }
}

/// One task of a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The client's hold on the key; kept until the client releases it.
    pub future: FutureId,
    /// The name of the task and of its result.
    pub key: Key,
    /// What to call.
    pub function: FunctionId,
    /// The digest of function and arguments where the key does not already contain it: tells a
    /// resubmission from a collision.
    pub content: Option<[u8; 16]>,
    /// The tasks whose results are arguments, in the order in which the body counts them.
    pub dependencies: Vec<FutureId>,
    /// The arguments, for the worker alone.
    pub body: Payload,
}

/// What holds for every task of a submission: the keyword arguments of Dask's `submit`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskOptions {
    /// Tasks of a higher priority run first; 0 is the default.
    pub priority: i32,
    /// How often a task that fails is run again before it errs.
    pub retries: u32,
    /// Addresses, hosts or names of the only workers that may run it; empty means any.
    pub workers: Vec<String>,
    /// Whether other workers may run it when none of those is there.
    pub allow_other_workers: bool,
    /// Abstract resources that it holds while it runs, by name.
    pub resources: Vec<(String, f64)>,
    /// Whether the result is an actor, which stays on its worker.
    pub actor: bool,
}

/// What runs first: the smaller priority. User priority, then order of arrival.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Priority {
    /// The user's priority, negated.
    pub user: i64,
    /// The position in the order in which the scheduler first heard of tasks.
    pub sequence: u64,
}

impl Priority {
    /// The priority of the `sequence`th task, submitted with a user's `priority`.
    #[must_use]
    pub fn new(priority: i32, sequence: u64) -> Self {
        Self { user: -i64::from(priority), sequence }
    }
}
