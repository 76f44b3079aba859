use std::sync::Arc;

use dask_proto::id::{FutureId, RequestId};
use dask_proto::message::{Answer, ClientToScheduler};
use dask_proto::{Payload, TaskError};

/// What a step asks of the shell, in order.
pub(crate) type Instructions = Vec<Instruction>;

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Instruction {
    /// Send this to the scheduler.
    Send(ClientToScheduler),
    /// The future is finished.
    Finish {
        future: FutureId,
        value: Option<Payload>,
    },
    /// The future's task failed.
    Fail {
        future: FutureId,
        error: Arc<TaskError>,
    },
    /// The future is pending again.
    Reopen { future: FutureId, lost: bool },
    /// The future is over without a result or an error of its task.
    Abandon { future: FutureId, why: Unanswered },
    /// The question is answered.
    Answer { id: RequestId, answer: Answer },
    /// The question will not be answered.
    Unanswered { id: RequestId, why: Unanswered },
}

/// Why something that waited for the scheduler does not wait on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It was cancelled, for this reason.
    Cancelled(Arc<str>),
    /// The client was closed.
    Closed,
    /// The scheduler is gone, for this reason.
    Disconnected(Arc<str>),
}
