//! What workers did: one record for each run of a task and for each fetch from a peer.

use serde::{Deserialize, Serialize};

use crate::{Address, Key};

/// Something that a worker did, by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When it began, in nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// When it ended.
    pub stop_unix_ns: u64,
    /// What it was.
    pub kind: ActivityKind,
}

/// What a worker did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivityKind {
    /// It ran a task.
    Run {
        /// The task's key.
        key: Key,
        /// The name of its function.
        prefix: String,
        /// Which of the worker's threads it ran on.
        thread: u32,
        /// Whether it gave a result.
        ok: bool,
    },
    /// It fetched results from a peer.
    Fetch {
        /// The peer.
        peer: Address,
        /// How many results.
        results: u32,
        /// Their sizes in bytes.
        nbytes: u64,
    },
}

/// An [`Activity`] of a worker, as the scheduler remembers it (Dask's task stream).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The worker.
    pub worker: Address,
    /// What it did.
    pub activity: Activity,
}

impl Activity {
    /// About how many bytes it takes.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        let names = match &self.kind {
            ActivityKind::Run { key, prefix, .. } => key.as_str().len() + prefix.len(),
            ActivityKind::Fetch { peer, .. } => peer.as_str().len(),
        };
        100 + names
    }
}
