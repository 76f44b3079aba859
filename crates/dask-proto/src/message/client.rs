use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agent::{AgentInfo, ProgramNews};
use super::ask::{Ask, Reply};
use super::coordination::{Coordination, CoordinationAnswer, CoordinationRefusal};
use super::handshake::Code;
use super::inspect::{Inspect, Inspected};
use super::log::LogRecord;
use super::manage::Manage;
use super::worker::{Metrics, WorkerStatus};
use crate::graph::{Function, TaskOptions, TaskSpec};
use crate::id::{FunctionId, FutureId, RequestId, TaskId};
use crate::program::ProgramId;
use crate::{Address, Key, Payload, TaskError};

/// What a client says to the scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientToScheduler {
    /// From now on this id stands for this function. An id is defined once per connection.
    Define {
        /// The id, chosen by the client.
        id: FunctionId,
        /// The function.
        function: Function,
    },
    /// Compute these tasks. Every one is held for the client until it is released.
    Submit(Submit),
    /// Hold a key that somebody else submitted: a future that travelled.
    Subscribe {
        /// The client's hold.
        future: FutureId,
        /// The key.
        key: Key,
    },
    /// Give up these holds. A key that nobody holds and no task needs is forgotten.
    Release {
        /// The holds.
        futures: Vec<FutureId>,
    },
    /// Keep these running until they are done, whoever lets go of them.
    FireAndForget {
        /// The holds.
        futures: Vec<FutureId>,
    },
    /// A holder of this value did not have it when the client asked.
    MissingData {
        /// The hold.
        future: FutureId,
        /// The worker that did not have it.
        worker: Address,
    },
    /// A question with an answer.
    Request {
        /// Its id, chosen by the client.
        id: RequestId,
        /// The question.
        request: Request,
    },
    /// The client no longer waits for this answer.
    Forget {
        /// The question's id.
        id: RequestId,
    },
    /// The client is about to close the connection: all its holds are released.
    Close,
    /// What this question was answered with has arrived, and the client holds the futures in it:
    /// the scheduler need not keep it for the client.
    Accept {
        /// The question's id.
        id: RequestId,
    },
    /// The client is that of the tasks of this worker: it ends with it, and with it what the tasks
    /// hold.
    Serve {
        /// The worker.
        worker: Address,
    },
    /// The arguments of this task, or this scattered value, have futures in them: their keys stay
    /// for as long as the task is known, whoever lets go of them.
    Carry {
        /// The hold on the task.
        future: FutureId,
        /// The holds on the keys in its value.
        carried: Vec<FutureId>,
    },
    /// Which program the client is, which it had not said when it connected. What it submitted
    /// counts as submitted by that program.
    Identify {
        /// Whether it travels.
        code: Code,
    },
}

/// Tasks that share their options.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Submit {
    /// What holds for all of them.
    pub options: TaskOptions,
    /// The tasks, dependencies first; at most [`SUBMIT_TASKS`](crate::limits::SUBMIT_TASKS).
    pub tasks: Vec<TaskSpec>,
}

/// A question of a client. Each names the [`Answer`] it gets; any can get [`Answer::Refused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request {
    /// Stop these tasks and those that depend on them; `force` also against the wish of other
    /// clients. [`Answer::Done`]; the futures hear [`SchedulerToClient::Cancelled`].
    Cancel {
        /// The holds.
        futures: Vec<FutureId>,
        /// Whether other clients' holds are overruled.
        force: bool,
    },
    /// Run these failed tasks again. [`Answer::Done`].
    Retry {
        /// The holds.
        futures: Vec<FutureId>,
    },
    /// Choose workers for data that the client is about to put there. [`Answer::Targets`], one
    /// list per item; each item is held for the client.
    Scatter {
        /// The data.
        items: Vec<ScatterItem>,
        /// Addresses, hosts or names of the only workers that may get it; empty means any.
        workers: Vec<String>,
        /// Whether every worker gets a copy.
        broadcast: bool,
    },
    /// Where values are, to fetch them. [`Answer::Located`].
    Locate {
        /// The holds.
        futures: Vec<FutureId>,
    },
    /// Which workers hold these keys, or all keys when empty. [`Answer::WhoHas`].
    WhoHas {
        /// The keys.
        keys: Vec<Key>,
    },
    /// Which keys these workers hold, or all workers when empty. [`Answer::Keys`].
    HasWhat {
        /// Addresses or names.
        workers: Vec<String>,
    },
    /// Which tasks these workers were given and have not finished. [`Answer::Keys`].
    Processing {
        /// Addresses or names; all workers when empty.
        workers: Vec<String>,
    },
    /// The scheduler and its workers. [`Answer::Info`]; `nthreads` is read from it too.
    SchedulerInfo,
    /// How many tasks each worker finished, by key prefix. [`Answer::Counts`].
    Counts,
    /// Wait until this many workers are connected. [`Answer::Done`].
    WaitForWorkers {
        /// How many.
        n: u32,
    },
    /// What happened to a key. [`Answer::Story`].
    Story {
        /// The key.
        key: Key,
    },
    /// Why a task is not done, or why it is where it is. [`Answer::Explanation`].
    Explain {
        /// The key.
        key: Key,
    },
    /// Have copies of these results on more workers; answered once they are there.
    /// [`Answer::Done`].
    Replicate {
        /// The holds.
        futures: Vec<FutureId>,
        /// How many copies of each; `None` means one on every worker.
        n: Option<u32>,
        /// Addresses, hosts or names of the only workers that may get one; empty means any.
        workers: Vec<String>,
    },
    /// Move results from workers that hold much to workers that hold little; answered once they
    /// are there. [`Answer::Done`].
    Rebalance {
        /// The holds; all results when empty.
        futures: Vec<FutureId>,
        /// Addresses, hosts or names of the workers to even out; empty means all.
        workers: Vec<String>,
    },
    /// Have workers hand their results over to others and close; answered once they are gone.
    /// [`Answer::Workers`], those that were retired.
    RetireWorkers {
        /// Addresses, hosts or names; when empty the scheduler chooses those that hold least.
        workers: Vec<String>,
        /// How many to choose when none is named; `None` means all that are idle.
        n: Option<u32>,
    },
    /// What tasks and workers had to say, oldest first. [`Answer::Logs`].
    WorkerLogs {
        /// Addresses, hosts or names; all workers when empty.
        workers: Vec<String>,
        /// At most the latest so many of each; `None` means all that are remembered.
        n: Option<u32>,
    },
    /// Stop all workers and the scheduler. [`Answer::Done`].
    Shutdown,
    /// A question for one process of the cluster. [`Answer::Reply`].
    Ask(Box<Ask>),
    /// A look at the scheduler's state. [`Answer::Inspected`], unless it says otherwise.
    Inspect(Inspect),
    /// Locks, semaphores, events, queues and variables. [`Answer::Done`] or
    /// [`Answer::Coordination`].
    Coordinate(Coordination),
    /// A change of the whole cluster. [`Answer::Done`].
    Manage(Manage),
}

/// Data that a client scatters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScatterItem {
    /// The client's hold.
    pub future: FutureId,
    /// The name of the data.
    pub key: Key,
    /// Its size in bytes.
    pub nbytes: u64,
}

/// What the scheduler answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// It is done.
    Done,
    /// It was not done.
    Refused(Refusal),
    /// For each scattered item its task and the workers to put it on.
    Targets {
        /// The addresses that `items` counts.
        workers: Vec<Address>,
        /// In the order of the question.
        items: Vec<Located>,
    },
    /// For each future its task and the workers that hold it; no workers when it is not in memory.
    Located {
        /// The addresses that `items` counts.
        workers: Vec<Address>,
        /// In the order of the question.
        items: Vec<Located>,
    },
    /// The holders of keys.
    WhoHas(Vec<(Key, Vec<Address>)>),
    /// Keys by worker.
    Keys(Vec<(Address, Vec<Key>)>),
    /// The scheduler and its workers.
    Info(Box<SchedulerInfo>),
    /// Finished tasks.
    Counts(Vec<KeyCount>),
    /// One line per transition, oldest first.
    Story(Vec<String>),
    /// Lines for people: from the state of the task down to the last cause.
    Explanation(Vec<String>),
    /// Workers.
    Workers(Vec<Address>),
    /// What workers had to say.
    Logs(Vec<(Address, Vec<LogRecord>)>),
    /// What a process replied.
    Reply(Box<Reply>),
    /// What a look at the scheduler's state showed.
    Inspected(Box<Inspected>),
    /// What became of a primitive.
    Coordination(CoordinationAnswer),
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A future that the client does not hold.
    #[error("the scheduler does not know future {0}")]
    UnknownFuture(FutureId),
    /// A worker that is not connected.
    #[error("no worker {0} is connected")]
    UnknownWorker(String),
    /// There is no worker to put data on.
    #[error("no worker is connected that may hold the data")]
    NoWorkers,
    /// Results could not be moved or copied, because no other worker could take them.
    #[error("{count} results could not be copied to another worker, such as {example}")]
    NotMoved {
        /// How many.
        count: u64,
        /// One of them.
        example: Key,
    },
    /// A key that is already on the cluster with other content.
    #[error("key {0} is already on the cluster with other content")]
    KeyCollision(Key),
    /// The message exceeds a limit.
    #[error("the request exceeds a limit of the protocol")]
    TooLarge,
    /// A worker left before it replied.
    #[error("worker {worker} left before it replied")]
    WorkerLeft {
        /// The worker.
        worker: Address,
    },
    /// The client asks too much at once.
    #[error("{limit} questions of this client to workers are not answered yet: ask fewer at once")]
    TooManyQuestions {
        /// How many may be open.
        limit: u32,
    },
    /// A primitive cannot do it.
    #[error(transparent)]
    Coordination(CoordinationRefusal),
    /// There is no room for something that every worker is to have.
    #[error(
        "the scheduler keeps {limit} bytes of files and plugins for workers that join later, and \
         that would be more: unregister some"
    )]
    NoRoom {
        /// How many bytes it keeps at most.
        limit: u64,
    },
    /// No equipment has this name.
    #[error("no file or plugin {0} is registered")]
    UnknownEquipment(String),
}

/// A task and where it is: positions in the answer's list of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The task.
    pub task: TaskId,
    /// Positions in the list of workers.
    pub workers: Vec<u32>,
}

/// How many tasks with a key prefix a worker finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCount {
    /// The worker.
    pub worker: Address,
    /// The function name that the keys start with.
    pub prefix: String,
    /// How many.
    pub finished: u64,
}

/// The scheduler as it describes itself: Dask's `identity`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulerInfo {
    /// Where it listens.
    pub address: Address,
    /// Its name, for people: `Scheduler-<uuid>`.
    pub id: String,
    /// Its workers, in the order in which they joined.
    pub workers: Vec<WorkerInfo>,
    /// How many clients are connected.
    pub clients: u32,
    /// How many tasks it knows, by state.
    pub tasks: BTreeMap<String, u64>,
    /// Its agents, in the order in which they joined: hosts that start workers of each program that
    /// a client brings.
    pub agents: Vec<AgentInfo>,
}

/// A worker as the scheduler knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Where its peers reach it.
    pub address: Address,
    /// Its name.
    pub name: String,
    /// How many tasks it runs at once.
    pub nthreads: u32,
    /// Bytes of memory that it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Its abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// Its process id.
    pub pid: u32,
    /// Bytes of results that it holds, as the scheduler accounts for them.
    pub nbytes: u64,
    /// How many tasks it was given and has not finished.
    pub processing: u64,
    /// Whether it takes up tasks.
    pub status: WorkerStatus,
    /// What it reported last.
    pub metrics: Metrics,
    /// Its program, if an agent runs it: an agent gives its name to its workers of every program.
    pub program: Option<ProgramId>,
}

/// What the scheduler says to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SchedulerToClient {
    /// A result is in memory.
    InMemory {
        /// The client's hold.
        future: FutureId,
        /// The size of the value in bytes.
        nbytes: u64,
        /// The value itself, when it is small.
        value: Option<Payload>,
    },
    /// A task failed.
    Erred {
        /// The client's holds that failed with this error.
        futures: Vec<FutureId>,
        /// How.
        error: Box<TaskError>,
    },
    /// These are pending again: a lost result is computed anew, or a failed task is retried.
    Pending {
        /// The client's holds.
        futures: Vec<FutureId>,
        /// Whether a result was lost (Dask's `lost-data`) and not retried on request.
        lost: bool,
    },
    /// These were cancelled; the holds are gone.
    Cancelled {
        /// The client's holds.
        futures: Vec<FutureId>,
        /// Why, for people.
        reason: String,
    },
    /// The answer to a question.
    Answer {
        /// The question's id.
        id: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// The scheduler is about to close the connection.
    Close {
        /// Why, for people.
        reason: String,
    },
    /// Something was said about a topic that the client subscribed to.
    Event {
        /// The topic.
        topic: Key,
        /// What was said.
        message: Payload,
    },
    /// A task that the client holds said something.
    Said(LogRecord),
    /// Something about the client's program.
    Program(ProgramNews),
    /// A worker logged something, and the client wants to hear that.
    Logged {
        /// The worker.
        worker: Address,
        /// What.
        record: LogRecord,
    },
}
