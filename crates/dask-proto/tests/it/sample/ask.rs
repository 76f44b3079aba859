//! Questions to processes and looks at the scheduler's state.

use dask_proto::TaskErrorKind;
use dask_proto::message::{
    Ask, Equipment, Inspect, Inspected, Item, Manage, Question, Reply, RunFunction, RunningTask,
    Versions, Whom,
};

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
        Question::Take { name: "weights.bin".to_owned() },
        Question::Equip(equipment().remove(0)),
        Question::Unequip { name: "weights.bin".to_owned() },
    ]
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
        Reply::Done,
    ]
}

pub(super) fn inspects() -> Vec<Inspect> {
    vec![
        Inspect::Workers { workers: vec!["alice".to_owned()] },
        Inspect::NBytes { keys: vec![key("x")] },
        Inspect::NBytesByPrefix { keys: vec![key("x")] },
        Inspect::AdaptiveTarget { target_duration_ns: 5_000_000_000 },
    ]
}

pub(super) fn inspected() -> Vec<Inspected> {
    vec![
        Inspected::NBytes(vec![(key("x"), 70_000)]),
        Inspected::NBytesByPrefix(vec![("inc".to_owned(), 80)]),
        Inspected::Target(7),
    ]
}

pub(super) fn manages() -> Vec<Manage> {
    let mut manages = vec![
        Manage::Reset,
        Manage::AwaitWorkers { names: vec!["alice".to_owned()] },
        Manage::Unequip { name: "weights.bin".to_owned() },
    ];
    manages.extend(equipment().into_iter().map(Manage::Equip));
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
