use std::sync::Arc;

use dask_proto::id::{FutureId, RequestId};
use dask_proto::message::{Answer, ClientToScheduler, LogRecord, ProgramNews};
use dask_proto::{Address, Key, Payload, TaskError};

/// What a step asks of the shell, in order.
pub type Instructions = Vec<Instruction>;

/// One thing for the shell to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// Send this to the scheduler.
    Send(ClientToScheduler),
    /// The future is finished.
    Finish {
        /// The future.
        future: FutureId,
        /// The result, if it came along.
        value: Option<Payload>,
    },
    /// The future's task failed.
    Fail {
        /// The future.
        future: FutureId,
        /// How it failed.
        error: Arc<TaskError>,
    },
    /// The future is pending again.
    Reopen {
        /// The future.
        future: FutureId,
        /// Whether its result was lost, and not retried on request.
        lost: bool,
    },
    /// The future is over without a result or an error of its task.
    Abandon {
        /// The future.
        future: FutureId,
        /// Why.
        why: Unanswered,
    },
    /// Something was said about a topic that the program subscribed to.
    Event {
        /// The topic.
        topic: Key,
        /// What was said.
        message: Payload,
    },
    /// A task that the program submitted said something.
    Said(LogRecord),
    /// A worker logged something, and the program wants to hear that.
    Logged {
        /// The worker.
        worker: Address,
        /// What.
        record: LogRecord,
    },
    /// The question is answered.
    Answer {
        /// The question's id.
        id: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// Something about this program.
    Program(ProgramNews),
    /// The question will not be answered.
    Unanswered {
        /// The question's id.
        id: RequestId,
        /// Why.
        why: Unanswered,
    },
}

/// Why something that waited for the scheduler does not wait on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// It was cancelled, for this reason.
    Cancelled(Arc<str>),
    /// The client was closed.
    Closed,
    /// The scheduler is gone, for this reason.
    Disconnected(Arc<str>),
}
