//! What a client asks of the scheduler's state, beyond the questions that Dask's clients ask most.

use serde::{Deserialize, Serialize};

use super::dump::TaskDump;
use super::stream::Recorded;
use crate::program::ProgramId;
use crate::{Address, Key};

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
    /// What workers did lately, from this position on, or from now on. Has them record it until
    /// the client leaves. [`Inspected::TaskStream`].
    TaskStream {
        /// The position of the first record, of all that there ever were.
        from: Option<u64>,
    },
    /// The tasks that the scheduler knows, from this position on. [`Inspected::Tasks`].
    Tasks {
        /// 0, or what the answer before said.
        from: u64,
    },
    /// These workers, all as they are at one moment. [`Inspected::Named`].
    Named {
        /// Addresses, hosts or names; all workers when empty.
        workers: Vec<String>,
    },
    /// Whether superfluous copies are removed. [`Inspected::ManagesMemory`].
    ManagesMemory,
}

/// A worker, and what one that takes its place is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedWorker {
    /// Its address.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// Its program, if an agent runs it.
    pub program: Option<ProgramId>,
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
    /// What workers did.
    TaskStream {
        /// As many records as fit an answer.
        records: Vec<Recorded>,
        /// The position behind the last of them.
        next: u64,
        /// The position behind the last that there is.
        end: u64,
    },
    /// Tasks.
    Tasks {
        /// As many as fit an answer.
        tasks: Vec<TaskDump>,
        /// Where the next begin, if there are more.
        next: Option<u64>,
    },
    /// Workers.
    Named(Vec<NamedWorker>),
    /// Whether superfluous copies are removed.
    ManagesMemory(bool),
}
