//! What a client asks of the scheduler's state, beyond the questions that Dask's clients ask most.

use serde::{Deserialize, Serialize};

use crate::Key;

/// A look at the scheduler's state. Each names what it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Inspect {
    /// The addresses of these workers. [`Answer::Workers`](super::Answer::Workers).
    Workers {
        /// Addresses, hosts or names; all workers when empty.
        workers: Vec<String>,
    },
    /// The sizes of results in memory, in bytes. [`Inspected::NBytes`].
    NBytes {
        /// The keys, of which those that are not in memory are left out; all when empty.
        keys: Vec<Key>,
    },
    /// The same, added up by what the keys start with. [`Inspected::NBytesByPrefix`].
    NBytesByPrefix {
        /// The keys; all when empty.
        keys: Vec<Key>,
    },
    /// How many workers there should be (Dask's `adaptive_target`). [`Inspected::Target`].
    AdaptiveTarget {
        /// In how many nanoseconds the work that there is should be done.
        target_duration_ns: u64,
    },
}

/// What a look at the scheduler's state showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Inspected {
    /// Bytes by key.
    NBytes(Vec<(Key, u64)>),
    /// Bytes by what keys start with.
    NBytesByPrefix(Vec<(String, u64)>),
    /// A number of workers.
    Target(u32),
}
