//! One enum per direction and link.
//!
//! | link | messages |
//! |---|---|
//! | every connection, first | [`Hello`], then [`Welcome`] |
//! | client – scheduler | [`ClientToScheduler`], [`SchedulerToClient`] |
//! | worker – scheduler | [`WorkerToScheduler`], [`SchedulerToWorker`] |
//! | agent – scheduler | [`AgentToScheduler`], [`SchedulerToAgent`] |
//! | client or worker – worker | [`PeerRequest`], [`PeerReply`] |

mod agent;
mod ask;
mod client;
mod coordination;
mod dump;
mod handshake;
mod inspect;
mod log;
mod manage;
mod peer;
mod stream;
mod worker;

pub use agent::{
    AgentInfo, AgentJoin, AgentToScheduler, CodePolicy, ProgramLink, ProgramNews, ProgramSource,
    SchedulerToAgent,
};
pub use ask::{
    Ask, Benchmark, CallStack, Question, Reply, RunFunction, RunningTask, Sample, StackFrame,
    Versions, Whom,
};
pub use client::{
    Answer, ClientToScheduler, KeyCount, Located, Refusal, Request, ScatterItem, SchedulerInfo,
    SchedulerToClient, Submit, WorkerInfo,
};
pub use coordination::{
    Coordination, CoordinationAnswer, CoordinationRefusal, DatasetAction, EventAction, Kept,
    KeptValue, MetadataAction, PastEvent, Patience, QueueAction, SemaphoreAction, TopicAction,
    VariableAction,
};
pub use dump::{TaskDump, WorkerTaskDump};
pub use handshake::{
    Code, HandshakeError, Hello, PROTOCOL_VERSION, Program, Rejection, Role, VersionRange, Welcome,
    WorkerJoin, decode_hello, decode_welcome, encode_hello, encode_welcome,
};
pub use inspect::{Inspect, Inspected, NamedWorker};
pub use log::{LogLevel, LogRecord};
pub use manage::{Equipment, Item, Manage, ManageMemory};
pub use peer::{PeerReply, PeerRequest, StoredValue, ValueAt};
pub use stream::{Activity, ActivityKind, Recorded};
pub use worker::{
    Compute, Dependency, Metrics, RETIRED, SchedulerToWorker, SmallValue, WorkerStatus,
    WorkerToScheduler,
};
