//! Questions to processes and looks at the scheduler's state.

use dask_proto::TaskErrorKind;
use dask_proto::id::TaskId;
use dask_proto::message::{
    Activity, ActivityKind, Ask, Benchmark, CallStack, Equipment, Inspect, Inspected, Item,
    LogLevel, Manage, ManageMemory, NamedWorker, Question, Recorded, Reply, RunFunction,
    RunningTask, Sample, StackFrame, TaskDump, Versions, Whom, WorkerTaskDump,
};
use dask_proto::program::ProgramId;

use super::{address, error, function, hello, key, log_records, payload, roles};

pub(super) fn asks() -> Vec<Ask> {
    let whom = [Whom::Scheduler, Whom::Worker(address(4001))].into_iter().cycle();
    let asks = whom.zip(questions()).map(|(whom, question)| Ask { whom, question });
    asks.collect()
}

pub(super) fn questions() -> Vec<Question> {
    let run = RunFunction { function: function(), body: payload("arguments"), wait: true };
    vec![
        Question::Run(run),
        Question::Versions,
        Question::Running { keys: vec![key("inc-6")] },
        Question::Logs { n: Some(10) },
        Question::Restart,
        Question::Record { on: true },
        Question::Tasks,
        benchmark(Benchmark::Memory { nbytes: 8 }),
        benchmark(Benchmark::Disk { nbytes: 8 }),
        benchmark(Benchmark::Fetch { peer: address(4002), task: TaskId(9) }),
        Question::Sample { duration_ns: 1_000_000_000, interval_ns: 10_000_000 },
        Question::Take { name: "weights.bin".to_owned() },
        Question::Equip(equipment().remove(0)),
        Question::Unequip { name: "weights.bin".to_owned() },
        Question::CallStack { keys: vec![key("inc-6")] },
    ]
}

fn benchmark(benchmark: Benchmark) -> Question {
    Question::Benchmark { benchmark, duration_ns: 1_000_000_000 }
}

fn call_stack() -> CallStack {
    let frame = |file: Option<&str>, line| StackFrame {
        function: "session::inc".to_owned(),
        file: file.map(str::to_owned),
        line,
    };
    CallStack {
        key: key("inc-6"),
        function: "session::inc".to_owned(),
        elapsed_ns: 1_000_000_007,
        seceded: true,
        activity: "waiting".to_owned(),
        frames: vec![frame(Some("src/session.rs"), Some(70)), frame(None, None)],
    }
}

pub(super) fn replies() -> Vec<Reply> {
    let program = hello(roles().remove(0)).program;
    let versions = Versions { program, dask: "0.1.0".to_owned(), protocol: 1 };
    let running = RunningTask {
        key: key("inc-6"),
        function: "session::inc".to_owned(),
        elapsed_ns: 1_000_000_007,
        seceded: true,
    };
    vec![
        Reply::Returned(payload("the value")),
        Reply::Failed(Box::new(error(TaskErrorKind::Panicked))),
        Reply::Started,
        Reply::Versions(Box::new(versions)),
        Reply::Running(vec![running]),
        Reply::Logs(log_records()),
        Reply::Refused("64 functions run already".to_owned()),
        Reply::Restarting,
        Reply::Tasks(vec![worker_task()]),
        Reply::Moved { nbytes: 70_000, took_ns: 1_000_000_007 },
        Reply::Samples(vec![Sample { stack: vec!["session::inc".to_owned()], count: 7 }]),
        Reply::Done,
        Reply::CallStack(vec![call_stack()]),
    ]
}

pub(super) fn inspects() -> Vec<Inspect> {
    vec![
        Inspect::Workers { workers: vec!["alice".to_owned()] },
        Inspect::NBytes { keys: vec![key("x")] },
        Inspect::NBytesByPrefix { keys: vec![key("x")] },
        Inspect::AdaptiveTarget { target_duration_ns: 5_000_000_000 },
        Inspect::TaskStream { from: Some(7) },
        Inspect::Tasks { from: 7 },
        Inspect::Named { workers: vec!["alice".to_owned()] },
        Inspect::ManagesMemory,
    ]
}

pub(super) fn inspected() -> Vec<Inspected> {
    vec![
        Inspected::NBytes(vec![(key("x"), 70_000)]),
        Inspected::NBytesByPrefix(vec![("inc".to_owned(), 80)]),
        Inspected::Target(7),
        Inspected::TaskStream { records: recorded(), next: 9, end: 10 },
        Inspected::Tasks { tasks: vec![task()], next: Some(9) },
        Inspected::Named(vec![NamedWorker {
            address: address(4001),
            name: "alice".to_owned(),
            program: Some(ProgramId([7; 32])),
        }]),
        Inspected::ManagesMemory(true),
    ]
}

pub(super) fn activities() -> Vec<Activity> {
    let run =
        ActivityKind::Run { key: key("inc-6"), prefix: "inc".to_owned(), thread: 3, ok: true };
    let fetch = ActivityKind::Fetch { peer: address(4002), results: 4, nbytes: 70_000 };
    let activity = |kind| Activity {
        start_unix_ns: 1_700_000_000_000_000_007,
        stop_unix_ns: 1_700_000_000_000_000_070,
        kind,
    };
    [run, fetch].map(activity).to_vec()
}

fn recorded() -> Vec<Recorded> {
    let activities = activities().into_iter();
    activities.map(|activity| Recorded { worker: address(4001), activity }).collect()
}

fn task() -> TaskDump {
    TaskDump {
        id: TaskId(9),
        key: key("inc-6"),
        state: "processing".to_owned(),
        prefix: "inc".to_owned(),
        function: Some("session::inc".to_owned()),
        dependencies: vec![key("inc-5")],
        waiting_for: 1,
        who_has: vec![address(4002)],
        processing_on: Some(address(4001)),
        nbytes: Some(8),
        holds: 2,
        retries: 3,
        error: Some("oh no".to_owned()),
    }
}

fn worker_task() -> WorkerTaskDump {
    WorkerTaskDump { task: TaskId(9), state: "executing".to_owned() }
}

pub(super) fn manages() -> Vec<Manage> {
    let mut manages = vec![
        Manage::Reset,
        Manage::AwaitWorkers {
            workers: vec![("alice".to_owned(), None), ("bob".to_owned(), Some(ProgramId([7; 32])))],
        },
        Manage::Unequip { name: "weights.bin".to_owned() },
    ];
    manages.extend(equipment().into_iter().map(Manage::Equip));
    let managing = [ManageMemory::Start, ManageMemory::Stop, ManageMemory::RunOnce];
    manages.extend(managing.map(Manage::ManageMemory));
    let levels = [None, Some(LogLevel::Warn)];
    manages.extend(levels.map(|level| Manage::ForwardLogging { level }));
    manages
}

fn equipment() -> Vec<Equipment> {
    let items = [
        Item::File(payload("content")),
        Item::Plugin { path: "app::Trace".to_owned(), value: payload("plugin") },
    ];
    let equipment = |item| Equipment { name: "weights.bin".to_owned(), item };
    items.map(equipment).to_vec()
}
