//! Locks, semaphores, events, queues and variables, datasets, metadata and topics: what clients
//! share by way of the scheduler.
//!
//! What is granted to a client belongs to the request that asked for it, by its id: a lease until
//! it is released, and what was taken from a queue until the client
//! [accepts](super::ClientToScheduler) it. The client forgets the request, or vanishes, and it goes
//! back to where it was.

use serde::{Deserialize, Serialize};

use crate::id::RequestId;
use crate::{Key, Payload};

/// A request about a primitive, which is there as soon as somebody mentions it. Any can get a
/// [`CoordinationRefusal`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Coordination {
    /// About an event.
    Event {
        /// Its name.
        name: Key,
        /// What about it.
        action: EventAction,
    },
    /// About a semaphore; a lock is one with one lease.
    Semaphore {
        /// Its name.
        name: Key,
        /// How many leases it has, the same for all who use it.
        max_leases: u32,
        /// What about it.
        action: SemaphoreAction,
    },
    /// Hold some of these locks, all at once. `Done` once they are held;
    /// [`CoordinationAnswer::NotNow`].
    MultiLock {
        /// Their names.
        names: Vec<Key>,
        /// How many of them.
        count: u32,
        /// Whether to wait.
        patience: Patience,
    },
    /// Give up what this request of the same client was granted. `Done`, also if it holds nothing.
    Release {
        /// The request.
        lease: RequestId,
    },
    /// About a queue.
    Queue {
        /// Its name.
        name: Key,
        /// How many items it takes before whoever puts more has to wait; 0 for no limit.
        maxsize: u32,
        /// What about it.
        action: QueueAction,
    },
    /// About a variable.
    Variable {
        /// Its name.
        name: Key,
        /// What about it.
        action: VariableAction,
    },
    /// About published datasets.
    Dataset(DatasetAction),
    /// About metadata.
    Metadata {
        /// Where they are: a name, and names below it.
        path: Vec<Key>,
        /// What about them.
        action: MetadataAction,
    },
    /// About a topic.
    Topic {
        /// Its name.
        name: Key,
        /// What about it.
        action: TopicAction,
    },
}

/// Whether a request is answered at once or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Patience {
    /// It is answered at once, with [`CoordinationAnswer::NotNow`] where it would have to wait.
    Now,
    /// It waits.
    Forever,
}

/// What about an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventAction {
    /// Set it. `Done`.
    Set,
    /// Set it back. `Done`.
    Clear,
    /// Whether it is set. [`CoordinationAnswer::Count`], 0 or 1.
    IsSet,
    /// Wait until it is set. `Done`.
    Wait,
}

/// What about a semaphore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SemaphoreAction {
    /// Lease it. `Done` once the lease is granted; [`CoordinationAnswer::NotNow`].
    Acquire(Patience),
    /// How many leases are granted. [`CoordinationAnswer::Count`].
    Value,
    /// Forget it: leases end, and whoever waits is refused. `Done`.
    Close,
}

/// What about a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QueueAction {
    /// Append a value. `Done` once there is room; [`CoordinationAnswer::NotNow`].
    Put {
        /// The value.
        value: KeptValue,
        /// Whether to wait.
        patience: Patience,
    },
    /// Take the first values. [`CoordinationAnswer::Values`] once there are so many;
    /// [`CoordinationAnswer::NotNow`].
    Get {
        /// How many.
        count: u32,
        /// Whether to wait.
        patience: Patience,
    },
    /// Take what is there, at most
    /// [`VALUES_AT_ONCE`](crate::limits::VALUES_AT_ONCE). [`CoordinationAnswer::Values`].
    Drain,
    /// How many values are there. [`CoordinationAnswer::Count`].
    Size,
    /// Forget it and its values; whoever waits is refused. `Done`.
    Close,
}

/// What about a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum VariableAction {
    /// Give it this value. `Done`.
    Set(KeptValue),
    /// Its value, once it has one. [`CoordinationAnswer::Values`] with one value;
    /// [`CoordinationAnswer::NotNow`].
    Get(Patience),
    /// Forget it. `Done`.
    Delete,
}

/// What about published datasets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DatasetAction {
    /// Publish a value. `Done`.
    Publish {
        /// Its name.
        name: Key,
        /// The value.
        value: KeptValue,
        /// Whether it takes the place of one that has the name.
        overwrite: bool,
    },
    /// The dataset of this name. [`CoordinationAnswer::Values`] with one value.
    Get(Key),
    /// The names of all. [`CoordinationAnswer::Names`].
    List,
    /// Forget the dataset of this name. `Done`.
    Unpublish(Key),
}

/// What about metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MetadataAction {
    /// Set them, in place of all that is there and below. `Done`.
    Set(KeptValue),
    /// What is there and below. [`CoordinationAnswer::Metadata`].
    Get,
}

/// What about a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TopicAction {
    /// Remember an event, and tell it to those who subscribed. `Done`.
    Log(Payload),
    /// The latest events. [`CoordinationAnswer::Events`].
    Events,
    /// Tell this client of every event from now on. `Done`.
    Subscribe,
    /// Do so no more. `Done`.
    Unsubscribe,
}

/// An event of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastEvent {
    /// How long ago it was, in nanoseconds.
    pub age_ns: u64,
    /// What was said.
    pub message: Payload,
}

/// A value that the scheduler keeps for clients.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KeptValue {
    /// The encoded value.
    pub payload: Payload,
    /// The keys of the futures in it, which stay on the cluster for as long as it is kept.
    pub futures: Vec<Key>,
}

/// What the scheduler answers, where that is more than `Done`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CoordinationAnswer {
    /// It would have to wait.
    NotNow,
    /// So many.
    Count(u64),
    /// Values, with the futures in them held for the request until it is accepted.
    Values(Vec<KeptValue>),
    /// Names.
    Names(Vec<Key>),
    /// Encoded values, each with where it is below what was asked for.
    Metadata(Vec<(Vec<Key>, Payload)>),
    /// Events, the oldest first.
    Events(Vec<PastEvent>),
}

/// Why the scheduler does not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationRefusal {
    /// There is no such key for a future in a value.
    #[error(
        "a future in the value has key {0}, which is not on the cluster: keep it until the value \
         is stored"
    )]
    UnknownKey(Key),
    /// A value is too large to be kept.
    #[error(
        "a value of {nbytes} bytes is over the limit of {limit} bytes for what the scheduler \
         keeps: scatter it, and pass its future"
    )]
    ValueTooLarge {
        /// Its size in bytes.
        nbytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The scheduler keeps as much as it may.
    #[error("the scheduler keeps as many {0} as it may: release or close what is not needed")]
    Full(Kept),
    /// The semaphore has another number of leases.
    #[error("semaphore {name} has {max_leases} leases, and not as many as asked for")]
    OtherLeases {
        /// The semaphore.
        name: Key,
        /// Its leases.
        max_leases: u32,
    },
    /// It was closed while somebody waited.
    #[error("{0} was closed")]
    Closed(Key),
    /// The client asked something else under this id, and that is not over.
    #[error("the request's id is in use")]
    IdInUse,
    /// There is no dataset of this name.
    #[error("no dataset {0} is published")]
    NoDataset(Key),
    /// There is one already.
    #[error("a dataset {0} is published already: unpublish it, or overwrite it")]
    DatasetExists(Key),
    /// There is nothing below a value.
    #[error("metadata {0} are a value, and nothing can be below them")]
    NotNested(Key),
    /// The client has as much of what the scheduler keeps as one may have.
    #[error(
        "the scheduler keeps as many {0} for this client as for any: release, close or delete what \
         is not needed"
    )]
    Share(Kept),
}

/// What a scheduler keeps no more of than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kept {
    /// Primitives, datasets, topics.
    Names,
    /// Requests that wait, leases, and values that were not accepted.
    Requests,
    /// Bytes of values.
    Bytes,
}

impl std::fmt::Display for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Names => "names",
            Self::Requests => "requests",
            Self::Bytes => "bytes",
        })
    }
}
