//! Scripts. An event is a line; below it stand the instructions it leads to (`>`) and where the
//! tasks are then (`=`). Several messages of one batch are joined by `;`.
//!
//! ```text
//! config threads=2 GPU=1             a worker, always w0; heartbeat=1000 in nanoseconds
//! peer w2 tcp://10.0.0.2:1
//! compute t1 run0 fn0 p5 on t7@w2+w3:80 t8=word:4 with GPU=1
//! free t1 t2        acquire t7@w2:80        steal t1/run0 t2/run1        close
//! done t1 run0 8 1000                size in bytes, duration in nanoseconds
//! failed t1 run0 | skipped t1 run0 | elsewhere t1 run0 | seceded t1 run0 | rejoining t1 run0
//! fetched flight0 t7=80 t8=missing t9=failed
//! unreachable flight0 | busy flight0
//! logs 3 | logs 3x100                so many lines, of so many bytes
//! put put0 t9:80 | measured 500 | timeout 1000 | lost | shutdown
//! config memory=600/700/800          bytes: target, spill, pause
//! spilled t1 | unspilled t1 | gone t1 | unwritten t1 disk|value | unread t1 run0 t7
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use dask_proto::graph::Priority;
use dask_proto::id::{FunctionId, RunId, TaskId, WorkerId};
use dask_proto::map::SmallList;
use dask_proto::message::{
    Compute, Dependency, LogLevel, LogRecord, SchedulerToWorker, SmallValue, ValueAt,
    WorkerToScheduler,
};
use dask_proto::{Key, Moment, Payload, TaskError, TaskErrorKind};
use dask_worker::state::{
    Event, FlightId, Instruction, Instructions, MemoryLimits, Outcome, PutId, RunEnded,
    SpillFailure, StateConfig, WorkerState,
};

/// Plays a script; what comes back is the script with the true instructions and states in it.
pub(crate) fn play(script: &str) -> String {
    let mut state = worker(config(1, BTreeMap::new()));
    let mut now = Moment::default();
    let mut played = String::new();
    for line in script.lines() {
        if line.starts_with("  >") || line.starts_with("  =") {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(settings) = line.strip_prefix("config ") {
            state = worker(settings_of(settings));
            now = Moment::default();
            continue;
        }
        if let Some(moment) = line.strip_prefix("timeout ") {
            now = Moment::from_nanos(number(moment));
        }
        let mut out = Instructions::new();
        state.handle(now, event(line), &mut out);
        state.check_invariants();
        for instruction in out.drain() {
            describe(&instruction, &mut played);
        }
        let stages: BTreeMap<_, _> = state.stages().collect();
        let cancelled = state.cancelled().map(|(task, run)| format!("cancelled {task} {run}"));
        let stages = stages.iter().map(|(task, stage)| format!("{task} {stage}"));
        let all: Vec<_> = stages.chain(cancelled).collect();
        let all = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
        writeln!(played, "  = {all}").expect("memory");
    }
    played
}

fn worker(config: StateConfig) -> WorkerState {
    WorkerState::new(config)
}

fn config(nthreads: u32, resources: BTreeMap<String, f64>) -> StateConfig {
    StateConfig {
        id: WorkerId(0),
        address: "tcp://10.0.0.1:1".parse().expect("an address"),
        nthreads,
        resources,
        heartbeat: Duration::from_nanos(1000),
        memory: None,
    }
}

fn settings_of(text: &str) -> StateConfig {
    let mut resources = BTreeMap::new();
    let (mut nthreads, mut heartbeat) = (1, 1000);
    let mut memory = None;
    for setting in text.split_whitespace() {
        let (name, value) = setting.split_once('=').expect("name=value");
        if name == "threads" {
            nthreads = value.parse().expect("a number");
        } else if name == "memory" {
            let bytes: Vec<_> = value.split('/').map(number).collect();
            memory = Some(MemoryLimits { target: bytes[0], spill: bytes[1], pause: bytes[2] });
        } else if name == "heartbeat" {
            heartbeat = number(value);
        } else {
            resources.insert(name.to_owned(), value.parse().expect("a number"));
        }
    }
    let heartbeat = Duration::from_nanos(heartbeat);
    StateConfig { heartbeat, memory, ..config(nthreads, resources) }
}

fn number(text: &str) -> u64 {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or_else(|_| panic!("{text:?} has no number"))
}

fn task(text: &str) -> TaskId {
    TaskId(number(text))
}

fn run(text: &str) -> RunId {
    RunId(number(text).try_into().expect("a small number"))
}

fn worker_id(text: &str) -> WorkerId {
    WorkerId(number(text).try_into().expect("a small number"))
}

fn value(nbytes: u64) -> Payload {
    Payload::Bytes(Bytes::from(vec![0; usize::try_from(nbytes).expect("small")]))
}

fn event(line: &str) -> Event {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[0] {
        "spilled" => Event::Spilled { task: task(words[1]) },
        "unspilled" => Event::Unspilled { task: task(words[1]) },
        "gone" => Event::Lost { task: task(words[1]) },
        "unwritten" => {
            let is_disk = words[2] == "disk";
            let failure = if is_disk { SpillFailure::Disk } else { SpillFailure::Value };
            Event::SpillFailed { task: task(words[1]), failure }
        }
        "done" | "failed" | "skipped" | "elsewhere" | "unread" => {
            Event::RunsEnded(line.split(';').map(|part| ended(part.trim())).collect())
        }
        "seceded" => Event::Seceded { task: task(words[1]), run: run(words[2]) },
        "rejoining" => Event::Rejoining { task: task(words[1]), run: run(words[2]) },
        "fetched" => Event::Fetched {
            flight: FlightId(number(words[1])),
            results: words[2..].iter().map(|word| result(word)).collect(),
        },
        "unreachable" => Event::FetchFailed { flight: FlightId(number(words[1])) },
        "busy" => Event::PeerBusy { flight: FlightId(number(words[1])) },
        "put" => {
            let values = words[2..].iter().map(|word| {
                let (name, nbytes) = word.split_once(':').expect("task:bytes");
                (task(name), number(nbytes), value(number(nbytes)))
            });
            Event::Put { put: PutId(number(words[1])), values: values.collect() }
        }
        "logs" => logged(words[1]),
        "measured" => Event::Measured { memory: number(words[1]) },
        "timeout" => Event::Timeout,
        "lost" => Event::SchedulerLost,
        "shutdown" => Event::Shutdown,
        _ => Event::SchedulerSaid(line.split(';').map(|part| said(part.trim())).collect()),
    }
}

/// `3x100`: lines of so many bytes, and as many dropped before as the number after a `-` says.
fn logged(text: &str) -> Event {
    let (text, dropped) = text.split_once('-').unwrap_or((text, "0"));
    let (count, length) = text.split_once('x').unwrap_or((text, "5"));
    let record = |unix_ns: u64| LogRecord {
        unix_ns,
        level: LogLevel::Print,
        key: None,
        message: "x".repeat(length.parse().expect("a length")),
    };
    let records = (0..number(count)).map(record).collect();
    Event::Logged { records, dropped: number(dropped) }
}

fn ended(text: &str) -> RunEnded {
    let words: Vec<_> = text.split_whitespace().collect();
    let outcome = match words[0] {
        "done" => {
            Outcome::Done { value: value(number(words[3])), nbytes: number(words[3]), inline: None }
        }
        "failed" => Outcome::Failed(Box::new(TaskError::new(
            TaskErrorKind::Returned,
            Key::new("k").expect("short"),
            "no luck",
        ))),
        "skipped" => Outcome::Skipped,
        "elsewhere" => Outcome::Rescheduled,
        "unread" => Outcome::InputsLost(words[3..].iter().map(|word| task(word)).collect()),
        other => panic!("no such outcome: {other}"),
    };
    RunEnded {
        task: task(words[1]),
        run: run(words[2]),
        duration_ns: words.get(4).map_or(1_000_000, |word| number(word)),
        outcome,
    }
}

fn result(word: &str) -> (TaskId, ValueAt) {
    let (name, result) = word.split_once('=').expect("task=result");
    let result = match result {
        "missing" => ValueAt::Missing,
        "failed" => ValueAt::Failed("not today".to_owned()),
        nbytes => ValueAt::Found(value(number(nbytes))),
    };
    (task(name), result)
}

fn said(text: &str) -> SchedulerToWorker {
    let words: Vec<_> = text.split_whitespace().collect();
    match words[0] {
        "peer" => SchedulerToWorker::Peer {
            id: worker_id(words[1]),
            address: words[2].parse().expect("an address"),
        },
        "free" => {
            SchedulerToWorker::Free { tasks: words[1..].iter().map(|word| task(word)).collect() }
        }
        "acquire" => SchedulerToWorker::Acquire {
            dependencies: words[1..].iter().map(|word| dependency(word)).collect(),
        },
        "steal" => SchedulerToWorker::Steal {
            tasks: words[1..].iter().map(|word| attempt(word)).collect(),
        },
        "remove" => {
            SchedulerToWorker::Remove { tasks: words[1..].iter().map(|word| task(word)).collect() }
        }
        "close" => SchedulerToWorker::Close { reason: "the end".to_owned() },
        "compute" => SchedulerToWorker::Compute(Box::new(compute(&words))),
        other => panic!("no such event: {other}"),
    }
}

/// `t1/run0`.
fn attempt(word: &str) -> (TaskId, RunId) {
    let (name, attempt) = word.split_once('/').expect("task/run");
    (task(name), run(attempt))
}

fn compute(words: &[&str]) -> Compute {
    let mut compute = Compute {
        task: task(words[1]),
        run: run(words[2]),
        key: Key::new(words[1]).expect("short"),
        function: FunctionId(number(words[3]).try_into().expect("small")),
        priority: Priority::new(0, number(words[4])),
        dependencies: Vec::new(),
        resources: Vec::new(),
        body: Payload::default(),
    };
    let mut is_resource = false;
    for word in &words[5..] {
        match *word {
            "on" => is_resource = false,
            "with" => is_resource = true,
            word if is_resource => {
                let (name, amount) = word.split_once('=').expect("name=amount");
                let amount = amount.parse().expect("a number");
                compute.resources.push((name.to_owned(), amount));
            }
            word => compute.dependencies.push(dependency(word)),
        }
    }
    compute
}

/// `t7@w2+w3:80`, or with the value itself `t7=word:80`.
fn dependency(word: &str) -> Dependency {
    if let Some((name, rest)) = word.split_once('=') {
        let (value, nbytes) = rest.split_once(':').expect("value:bytes");
        let value = SmallValue::new(value.as_bytes());
        assert!(value.is_some(), "a short word");
        let (task, nbytes) = (task(name), number(nbytes));
        return Dependency { task, nbytes, holders: SmallList::Empty, value };
    }
    let (name, rest) = word.split_once('@').expect("task@holders:bytes");
    let (holders, nbytes) = rest.split_once(':').expect("holders:bytes");
    let holders = holders.split('+').filter(|holder| !holder.is_empty());
    Dependency {
        task: task(name),
        nbytes: number(nbytes),
        holders: holders.map(worker_id).collect(),
        value: None,
    }
}

fn describe(instruction: &Instruction, played: &mut String) {
    let text = match instruction {
        Instruction::Store { task, value } => format!("store {task} {}", value.nbytes()),
        Instruction::Drop { task } => format!("drop {task}"),
        Instruction::Execute(compute) => format!("execute {} {}", compute.task, compute.run),
        Instruction::Cancel { task, run } => format!("cancel {task} {run}"),
        Instruction::Rejoin { task, run } => format!("rejoin {task} {run}"),
        Instruction::Fetch { flight, address, tasks } => {
            format!("fetch {flight} from {address}: {tasks:?}")
        }
        Instruction::Disconnect { address } => format!("disconnect {address}"),
        Instruction::Spill { task } => format!("spill {task}"),
        Instruction::Trim => "trim".to_owned(),
        Instruction::Stored { put } => format!("stored {put}"),
        Instruction::Close { reason } => format!("close: {reason}"),
        Instruction::ToScheduler(messages) => {
            for message in messages {
                writeln!(played, "  > say {}", told(message)).expect("memory");
            }
            return;
        }
        other => format!("{other:?}"),
    };
    writeln!(played, "  > {text}").expect("memory");
}

fn told(message: &WorkerToScheduler) -> String {
    match message {
        WorkerToScheduler::Finished { task, run, nbytes, .. } => {
            format!("finished {task} {run} {nbytes}")
        }
        WorkerToScheduler::Erred { task, run, error } => {
            let causes = error.causes.iter().map(|cause| format!(": {cause}"));
            let causes: String = causes.collect();
            format!("erred {task} {run} {:?}: {}{causes}", error.kind, error.message)
        }
        WorkerToScheduler::MissingDependencies { task, run, missing } => {
            let missing = missing.iter().map(|(task, holder)| format!("{task}@{holder}"));
            format!("missing {task} {run} {}", missing.collect::<Vec<_>>().join(" "))
        }
        WorkerToScheduler::Added { tasks } => {
            let tasks = tasks.iter().map(|(task, nbytes)| format!("{task}:{nbytes}"));
            format!("added {}", tasks.collect::<Vec<_>>().join(" "))
        }
        WorkerToScheduler::Given { tasks } => format!("given {}", attempts(tasks)),
        WorkerToScheduler::Kept { tasks } => format!("kept {}", attempts(tasks)),
        WorkerToScheduler::NotAcquired { tasks } => format!("not-acquired {}", join(tasks)),
        WorkerToScheduler::Removed { tasks } => format!("removed {}", join(tasks)),
        WorkerToScheduler::Lost { tasks } => format!("lost {tasks:?}"),
        WorkerToScheduler::LongRunning { task, run } => format!("long-running {task} {run}"),
        WorkerToScheduler::Rescheduled { task, run } => format!("rescheduled {task} {run}"),
        WorkerToScheduler::Rejoined { task, run } => format!("rejoined {task} {run}"),
        WorkerToScheduler::Lingering { runs } => format!("lingering {runs}"),
        WorkerToScheduler::Logged { records } => {
            let last = records.last().expect("no empty messages");
            let text = &last.message[..last.message.len().min(60)];
            let bytes = last.message.len();
            format!("logged {} lines, the last of {bytes} bytes: {text}", records.len())
        }
        WorkerToScheduler::Heartbeat(m) => format!(
            "heartbeat memory={} managed={} spilled={} executing={} ready={} in-flight={}",
            m.memory, m.managed, m.spilled, m.executing, m.ready, m.in_flight
        ),
        other => format!("{other:?}"),
    }
}

fn attempts(tasks: &[(TaskId, RunId)]) -> String {
    let tasks = tasks.iter().map(|(task, run)| format!("{task}/{run}"));
    tasks.collect::<Vec<_>>().join(" ")
}

fn join(tasks: &[TaskId]) -> String {
    let tasks = tasks.iter().map(ToString::to_string);
    tasks.collect::<Vec<_>>().join(" ")
}
