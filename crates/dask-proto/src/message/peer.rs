use serde::{Deserialize, Serialize};

use crate::id::{RequestId, TaskId};
use crate::{Key, Payload};

/// What a client or a worker asks of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PeerRequest {
    /// Send these results. [`PeerReply::Values`].
    Get {
        /// The question's id, chosen by the side that asks.
        id: RequestId,
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// Hold these values, which the scheduler announced as scattered. [`PeerReply::Stored`].
    Put {
        /// The question's id, chosen by the side that asks.
        id: RequestId,
        /// The values.
        values: Vec<StoredValue>,
    },
}

/// A value on its way to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredValue {
    /// The id that the scheduler gave it.
    pub task: TaskId,
    /// Its name.
    pub key: Key,
    /// The value.
    pub value: Payload,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PeerReply {
    /// The results that were asked for, in the order of the question. A worker may answer a part
    /// of a large question with several of these; `last` ends it.
    Values {
        /// The question's id.
        id: RequestId,
        /// The results.
        values: Vec<(TaskId, ValueAt)>,
        /// Whether the question is answered.
        last: bool,
    },
    /// The values are held.
    Stored {
        /// The question's id.
        id: RequestId,
    },
    /// The worker has too much to send now: ask again, or ask another.
    Busy {
        /// The question's id.
        id: RequestId,
    },
}

/// A result, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ValueAt {
    /// Here it is.
    Found(Payload),
    /// It is not here.
    Missing,
    /// It is here and could not be serialized; the text says why.
    Failed(String),
}
