use std::sync::Arc;

use dask_proto::Key;
use dask_proto::graph::Function;
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{ClientToScheduler, Request, SchedulerToClient, Submit};

/// Everything that can happen to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The program is about to submit a function for the first time.
    Defined {
        /// The id that it goes by on this link.
        id: FunctionId,
        /// The function.
        function: Function,
    },
    /// The program submitted tasks.
    Submitted(Submit),
    /// The program got hold of a future that travelled.
    Subscribed {
        /// The hold that it starts.
        future: FutureId,
        /// The key that it holds.
        key: Key,
    },
    /// The program dropped the last clone of a future.
    Released(FutureId),
    /// The program has something to say that has no answer.
    Told(ClientToScheduler),
    /// The program asked something.
    Asked {
        /// The question's id.
        id: RequestId,
        /// The question.
        request: Request,
    },
    /// The program no longer waits for an answer.
    Forgot(RequestId),
    /// The scheduler said something.
    Said(SchedulerToClient),
    /// The connection ended without a word.
    SchedulerLost {
        /// Why, for people.
        reason: Arc<str>,
    },
    /// The program closed the client.
    Closed,
}
