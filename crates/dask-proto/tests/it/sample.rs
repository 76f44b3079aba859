//! At least one of every message, with every field set to something that can be recognised.

mod agent;
mod ask;

use std::collections::BTreeMap;

use bytes::Bytes;
use dask_proto::graph::{Function, Priority, TaskOptions, TaskSpec};
use dask_proto::id::{AgentId, ClientId, FunctionId, FutureId, RequestId, RunId, TaskId, WorkerId};
use dask_proto::message::{
    AgentInfo, Answer, ClientToScheduler, Code, Compute, Dependency, Hello, KeyCount, Located,
    LogLevel, LogRecord, Metrics, PeerReply, PeerRequest, Program, ProgramLink, ProgramNews,
    Refusal, Rejection, Request, Role, ScatterItem, SchedulerInfo, SchedulerToClient,
    SchedulerToWorker, StoredValue, Submit, ValueAt, VersionRange, Welcome, WorkerInfo, WorkerJoin,
    WorkerStatus, WorkerToScheduler,
};
use dask_proto::program::ProgramId;
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind};

#[path = "sample/coordination.rs"]
pub(crate) mod coordination;

use agent::{agent, executable, offered, program};
pub(crate) use agent::{agent_to_scheduler, scheduler_to_agent};

pub(crate) fn key(name: &str) -> Key {
    name.try_into().unwrap()
}

fn address(port: u16) -> Address {
    format!("tcp://10.0.0.1:{port}").parse().unwrap()
}

pub(crate) fn payload(text: &'static str) -> Payload {
    Bytes::from_static(text.as_bytes()).into()
}

fn function() -> Function {
    Function { path: "session::inc".to_owned(), signature: "fn(i64) -> i64".to_owned() }
}

fn error(kind: TaskErrorKind) -> TaskError {
    TaskError {
        kind,
        key: key("div-0f"),
        function: "session::div".to_owned(),
        worker: Some(address(4001)),
        message: "division by zero".to_owned(),
        causes: vec!["the divisor is 0".to_owned()],
        location: Some("src/main.rs:7:5".to_owned()),
        backtrace: Some("0: session::div".to_owned()),
    }
}

pub(crate) fn error_kinds() -> Vec<TaskErrorKind> {
    vec![
        TaskErrorKind::Returned,
        TaskErrorKind::Panicked,
        TaskErrorKind::KilledWorker,
        TaskErrorKind::NoFunction,
        TaskErrorKind::NoWorker,
        TaskErrorKind::Serialization,
        TaskErrorKind::KeyCollision,
        TaskErrorKind::InvalidGraph,
        TaskErrorKind::LostData,
        TaskErrorKind::Cancelled,
        TaskErrorKind::Internal,
        TaskErrorKind::Program,
    ]
}

fn metrics() -> Metrics {
    Metrics { memory: 1 << 30, managed: 70_000, executing: 2, ready: 3, in_flight: 4, spilled: 5 }
}

fn resources() -> BTreeMap<String, f64> {
    BTreeMap::from([("GPU".to_owned(), 1.0), ("memory".to_owned(), 1.5e9)])
}

pub(crate) fn roles() -> Vec<Role> {
    let join = WorkerJoin {
        address: address(4001),
        name: "alice".to_owned(),
        nthreads: 2,
        memory_limit: Some(4 << 30),
        resources: resources(),
        functions: vec![function()],
        pid: 4711,
        program: Some(program()),
    };
    vec![
        Role::Client { name: "Client-1".to_owned() },
        Role::Worker(Box::new(join)),
        Role::Peer,
        Role::Agent(Box::new(agent())),
        Role::Program(ProgramLink::Upload { ticket: 7 }),
        Role::Program(ProgramLink::Download { program: program(), ticket: 7 }),
    ]
}

pub(crate) fn hello(role: Role) -> Hello {
    Hello {
        role,
        program: Program {
            name: "session".to_owned(),
            version: "0.1.0".to_owned(),
            target: "x86_64-linux-gnu".to_owned(),
            code: Code::Offered { executable: executable(), voucher: None },
        },
    }
}

pub(crate) fn welcomes() -> Vec<Welcome> {
    let mut welcomes = vec![
        Welcome::Client {
            id: ClientId(3),
            services: BTreeMap::from([("dashboard".to_owned(), 8787)]),
        },
        Welcome::Worker { id: WorkerId(4), heartbeat_ms: 500 },
        Welcome::Peer,
        Welcome::Agent { id: AgentId(5) },
    ];
    welcomes.extend(rejections().into_iter().map(Welcome::Rejected));
    welcomes
}

pub(crate) fn rejections() -> Vec<Rejection> {
    let range = |oldest, newest| VersionRange { oldest, newest };
    vec![
        Rejection::Version { theirs: range(1, 2), ours: range(3, 4) },
        Rejection::Role { is: "a worker".to_owned(), wanted: "a client".to_owned() },
        Rejection::NameTaken { name: "alice".to_owned() },
        Rejection::Closing,
        Rejection::Program { reason: "alice runs no programs of clients".to_owned() },
        Rejection::Identify,
        Rejection::TooLong { limit: 255 },
    ]
}

pub(crate) fn client_to_scheduler() -> Vec<ClientToScheduler> {
    let futures = vec![FutureId(1), FutureId(300)];
    let mut messages = vec![
        ClientToScheduler::Define { id: FunctionId(1), function: function() },
        ClientToScheduler::Submit(submit()),
        ClientToScheduler::Subscribe { future: FutureId(8), key: key("x") },
        ClientToScheduler::Release { futures: futures.clone() },
        ClientToScheduler::FireAndForget { futures },
        ClientToScheduler::MissingData { future: FutureId(9), worker: address(4001) },
    ];
    let ids = (1..).map(RequestId);
    let asked = ids.zip(requests());
    messages.extend(asked.map(|(id, request)| ClientToScheduler::Request { id, request }));
    messages.extend([
        ClientToScheduler::Forget { id: RequestId(2) },
        ClientToScheduler::Close,
        ClientToScheduler::Accept { id: RequestId(3) },
        ClientToScheduler::Serve { worker: address(4001) },
        ClientToScheduler::Carry { future: FutureId(9), carried: vec![FutureId(8), FutureId(300)] },
        ClientToScheduler::Identify { code: offered() },
    ]);
    messages
}

fn submit() -> Submit {
    let task = |future, dependencies, content| TaskSpec {
        future: FutureId(future),
        key: key(&format!("inc-{future}")),
        function: FunctionId(1),
        content,
        dependencies,
        body: payload("arguments"),
    };
    Submit {
        options: TaskOptions {
            priority: -3,
            retries: 2,
            workers: vec!["alice".to_owned()],
            allow_other_workers: true,
            resources: vec![("GPU".to_owned(), 1.0)],
            actor: true,
        },
        tasks: vec![
            task(5, Vec::new(), Some(*b"0123456789abcdef")),
            task(6, vec![FutureId(5)], None),
        ],
    }
}

pub(crate) fn requests() -> Vec<Request> {
    let futures = vec![FutureId(5), FutureId(6)];
    let workers = vec!["alice".to_owned()];
    let mut requests = vec![
        Request::Cancel { futures: futures.clone(), force: true },
        Request::Retry { futures: futures.clone() },
        Request::Scatter {
            items: vec![ScatterItem { future: FutureId(7), key: key("data"), nbytes: 80 }],
            workers: workers.clone(),
            broadcast: true,
        },
        Request::Locate { futures },
        Request::WhoHas { keys: vec![key("x"), key("y")] },
        Request::HasWhat { workers: workers.clone() },
        Request::Processing { workers: workers.clone() },
        Request::SchedulerInfo,
        Request::Counts,
        Request::WaitForWorkers { n: 2 },
        Request::Story { key: key("x") },
        Request::Explain { key: key("x") },
        Request::Replicate { futures: vec![FutureId(5)], n: Some(2), workers: workers.clone() },
        Request::Rebalance { futures: vec![FutureId(5)], workers: workers.clone() },
        Request::RetireWorkers { workers: workers.clone(), n: Some(1) },
        Request::WorkerLogs { workers, n: Some(10) },
        Request::Shutdown,
    ];
    requests.extend(ask::asks().into_iter().map(|ask| Request::Ask(Box::new(ask))));
    requests.extend(ask::inspects().into_iter().map(Request::Inspect));
    requests.extend(coordination::requests().into_iter().map(Request::Coordinate));
    requests.extend(ask::manages().into_iter().map(Request::Manage));
    requests
}

pub(crate) fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::UnknownFuture(FutureId(77)),
        Refusal::UnknownWorker("bob".to_owned()),
        Refusal::NoWorkers,
        Refusal::NotMoved { count: 3, example: key("x") },
        Refusal::KeyCollision(key("x")),
        Refusal::TooLarge,
        Refusal::WorkerLeft { worker: address(4001) },
        Refusal::TooManyQuestions { limit: 9 },
        Refusal::NoRoom { limit: 1 << 30 },
        Refusal::UnknownEquipment("weights.bin".to_owned()),
    ]
    .into_iter()
    .chain(coordination::refusals().into_iter().map(Refusal::Coordination))
    .collect()
}

pub(crate) fn answers() -> Vec<Answer> {
    let located = || {
        let task = TaskId(1 << 32 | 9);
        let workers = vec![0, 1];
        vec![Located { task, workers }]
    };
    let workers = vec![address(4001), address(4002)];
    let mut answers = vec![Answer::Done];
    answers.extend(refusals().into_iter().map(Answer::Refused));
    answers.extend([
        Answer::Targets { workers: workers.clone(), items: located() },
        Answer::Located { workers: workers.clone(), items: located() },
        Answer::WhoHas(vec![(key("x"), workers.clone())]),
        Answer::Workers(workers),
        Answer::Logs(vec![(address(4001), log_records())]),
        Answer::Explanation(vec!["x is waiting".to_owned()]),
        Answer::Keys(vec![(address(4001), vec![key("x"), key("y")])]),
        Answer::Info(Box::new(info())),
        Answer::Counts(vec![KeyCount {
            worker: address(4001),
            prefix: "inc".to_owned(),
            finished: 50,
        }]),
        Answer::Story(vec!["released -> waiting (s1)".to_owned()]),
    ]);
    answers.extend(ask::replies().into_iter().map(|reply| Answer::Reply(Box::new(reply))));
    answers.extend(ask::inspected().into_iter().map(|look| Answer::Inspected(Box::new(look))));
    answers.extend(coordination::answers().into_iter().map(Answer::Coordination));
    answers
}

fn log_records() -> Vec<LogRecord> {
    let levels =
        [LogLevel::Error, LogLevel::Warn, LogLevel::Print, LogLevel::Info, LogLevel::Debug];
    let record = |level| LogRecord {
        unix_ns: 1_700_000_000_000_000_007,
        level,
        key: Some(key("inc-6")),
        message: "half way".to_owned(),
    };
    levels.map(record).to_vec()
}

fn info() -> SchedulerInfo {
    SchedulerInfo {
        address: address(8786),
        id: "Scheduler-1".to_owned(),
        workers: vec![WorkerInfo {
            address: address(4001),
            name: "alice".to_owned(),
            nthreads: 2,
            memory_limit: None,
            resources: resources(),
            pid: 4711,
            nbytes: 70_000,
            processing: 5,
            status: WorkerStatus::Paused,
            metrics: metrics(),
            program: Some(ProgramId([9; 32])),
        }],
        clients: 1,
        tasks: BTreeMap::from([("memory".to_owned(), 10)]),
        agents: vec![AgentInfo {
            name: "bob".to_owned(),
            address: address(4002),
            nworkers: 2,
            nthreads: 4,
            memory_limit: Some(8 << 30),
            programs: vec!["session".to_owned()],
        }],
    }
}

pub(crate) fn scheduler_to_client() -> Vec<SchedulerToClient> {
    let mut messages = vec![
        SchedulerToClient::InMemory {
            future: FutureId(5),
            nbytes: 8,
            value: Some(payload("the value")),
        },
        SchedulerToClient::InMemory { future: FutureId(6), nbytes: 1 << 40, value: None },
        SchedulerToClient::Pending { futures: vec![FutureId(5)], lost: true },
        SchedulerToClient::Cancelled {
            futures: vec![FutureId(6)],
            reason: "another client cancelled it".to_owned(),
        },
        SchedulerToClient::Close { reason: "shutdown".to_owned() },
        SchedulerToClient::Program(ProgramNews::Wanted { ticket: 7 }),
        SchedulerToClient::Program(ProgramNews::Trouble {
            agent: "alice".to_owned(),
            reason: "no space left on device".to_owned(),
        }),
        SchedulerToClient::Program(ProgramNews::Identify),
    ];
    messages.extend(error_kinds().into_iter().map(|kind| SchedulerToClient::Erred {
        futures: vec![FutureId(5)],
        error: Box::new(error(kind)),
    }));
    let (topic, message) = (key("news"), payload("an event"));
    messages.push(SchedulerToClient::Event { topic, message });
    messages.extend(log_records().into_iter().take(1).map(SchedulerToClient::Said));
    messages.extend(log_records().into_iter().map(|record| {
        let worker = address(4001);
        SchedulerToClient::Logged { worker, record }
    }));
    let answered = (1..).map(RequestId).zip(answers());
    messages.extend(answered.map(|(id, answer)| SchedulerToClient::Answer { id, answer }));
    messages
}

fn dependency() -> Dependency {
    Dependency {
        task: TaskId(9),
        nbytes: 8_000_000,
        holders: [WorkerId(1), WorkerId(2)].into_iter().collect(),
        value: None,
    }
}

pub(crate) fn scheduler_to_worker() -> Vec<SchedulerToWorker> {
    let compute = Compute {
        task: TaskId(10),
        run: RunId(2),
        key: key("inc-6"),
        function: FunctionId(1),
        priority: Priority::new(-3, 77),
        dependencies: vec![dependency()],
        resources: vec![("GPU".to_owned(), 1.0)],
        body: payload("arguments"),
    };
    let mut messages = vec![
        SchedulerToWorker::Define { id: FunctionId(1), function: function() },
        SchedulerToWorker::Peer { id: WorkerId(2), address: address(4002) },
        SchedulerToWorker::Compute(Box::new(compute)),
        SchedulerToWorker::Free { tasks: vec![TaskId(9), TaskId(10)] },
        SchedulerToWorker::Acquire { dependencies: vec![dependency()] },
        SchedulerToWorker::Steal { tasks: vec![(TaskId(10), RunId(2))] },
        SchedulerToWorker::Close { reason: "retired".to_owned() },
        SchedulerToWorker::Remove { tasks: vec![TaskId(9), TaskId(10)] },
    ];
    let questions = ask::questions().into_iter().map(Box::new).zip((1..).map(RequestId));
    messages.extend(questions.map(|(question, id)| SchedulerToWorker::Ask { id, question }));
    messages
}

pub(crate) fn worker_to_scheduler() -> Vec<WorkerToScheduler> {
    let (task, run) = (TaskId(10), RunId(2));
    let mut messages = vec![
        WorkerToScheduler::Finished {
            task,
            run,
            nbytes: 8,
            duration_ns: 1_000_000_007,
            value: Some(payload("the value")),
        },
        WorkerToScheduler::Erred { task, run, error: Box::new(error(TaskErrorKind::Panicked)) },
        WorkerToScheduler::MissingDependencies {
            task,
            run,
            missing: vec![(TaskId(9), WorkerId(2))],
        },
        WorkerToScheduler::Added { tasks: vec![(TaskId(9), 8_000_000)] },
        WorkerToScheduler::LongRunning { task, run },
        WorkerToScheduler::Given { tasks: vec![(task, run)] },
        WorkerToScheduler::Kept { tasks: vec![(task, run)] },
        WorkerToScheduler::NotAcquired { tasks: vec![TaskId(9)] },
        WorkerToScheduler::Status(WorkerStatus::Running),
        WorkerToScheduler::Status(WorkerStatus::Paused),
        WorkerToScheduler::Status(WorkerStatus::Retiring),
        WorkerToScheduler::Logged { records: log_records() },
        WorkerToScheduler::Heartbeat(metrics()),
        WorkerToScheduler::Dying { task, run, reason: "stack overflow".to_owned() },
        WorkerToScheduler::Leaving,
        WorkerToScheduler::Rejoined { task, run },
        WorkerToScheduler::Lingering { runs: 3 },
        WorkerToScheduler::Removed { tasks: vec![TaskId(9), TaskId(10)] },
        WorkerToScheduler::Lost { tasks: vec![TaskId(9)] },
        WorkerToScheduler::Rescheduled { task, run },
    ];
    let replies = ask::replies().into_iter().map(Box::new).zip((1..).map(RequestId));
    messages.extend(replies.map(|(reply, id)| WorkerToScheduler::Replied { id, reply }));
    messages.push(WorkerToScheduler::Did { activities: ask::activities() });
    messages
}

pub(crate) fn peer_requests() -> Vec<PeerRequest> {
    vec![
        PeerRequest::Get { id: RequestId(1), tasks: vec![TaskId(9), TaskId(10)] },
        PeerRequest::Put {
            id: RequestId(2),
            values: vec![StoredValue {
                task: TaskId(11),
                key: key("data"),
                value: payload("scattered"),
            }],
        },
    ]
}

pub(crate) fn values_at() -> Vec<ValueAt> {
    vec![
        ValueAt::Found(payload("the value")),
        ValueAt::Missing,
        ValueAt::Failed("its Serialize failed".to_owned()),
    ]
}

pub(crate) fn peer_replies() -> Vec<PeerReply> {
    vec![
        PeerReply::Values {
            id: RequestId(1),
            values: (9..).map(TaskId).zip(values_at()).collect(),
            last: true,
        },
        PeerReply::Stored { id: RequestId(2) },
        PeerReply::Busy { id: RequestId(3) },
    ]
}
