//! Questions to processes, and looks at the state.

use bytes::Bytes;
use dask_proto::id::RequestId;
use dask_proto::message::{
    Activity, ActivityKind, Ask, Equipment, Inspect, Item, LogLevel, Manage, ManageMemory,
    Question, Reply, Request, Versions, Whom, WorkerToScheduler,
};

use super::parse::{address_of, key, number};

/// `ask w1 versions`, `inspect nbytes a b`.
pub(super) fn request(words: &[&str]) -> Request {
    match words {
        ["ask", whom, question] => {
            let whom = match *whom {
                "scheduler" => Whom::Scheduler,
                worker => Whom::Worker(address_of(worker)),
            };
            let question = match *question {
                "versions" => Question::Versions,
                "logs" => Question::Logs { n: None },
                "running" => Question::Running { keys: Vec::new() },
                "restart" => Question::Restart,
                take if take.starts_with("take:") => {
                    Question::Take { name: take["take:".len()..].to_owned() }
                }
                "equip" => Question::Equip(equipment("forged:3")),
                other => panic!("no question {other}"),
            };
            Request::Ask(Box::new(Ask { whom, question }))
        }
        ["inspect", what, rest @ ..] => {
            let keys = || rest.iter().map(|name| key(name)).collect();
            Request::Inspect(match *what {
                "workers" => {
                    Inspect::Workers { workers: rest.iter().map(|w| (*w).to_owned()).collect() }
                }
                "named" => {
                    Inspect::Named { workers: rest.iter().map(|w| (*w).to_owned()).collect() }
                }
                "amm" => Inspect::ManagesMemory,
                "nbytes" => Inspect::NBytes { keys: keys() },
                "prefixes" => Inspect::NBytesByPrefix { keys: keys() },
                "stream" => Inspect::TaskStream { from: rest.first().map(|n| number(n).into()) },
                "tasks" => Inspect::Tasks { from: 0 },
                "target" => Inspect::AdaptiveTarget { target_duration_ns: seconds(rest) },
                other => panic!("nothing called {other}"),
            })
        }
        ["manage", "reset"] => Request::Manage(Manage::Reset),
        ["manage", "await", names @ ..] => {
            let worker = |text: &&str| match text.split_once('@') {
                Some((name, program)) => (name.to_owned(), Some(super::agent::program(program))),
                None => ((*text).to_owned(), None),
            };
            let workers = names.iter().map(worker).collect();
            Request::Manage(Manage::AwaitWorkers { workers })
        }
        ["manage", "amm", what] => Request::Manage(Manage::ManageMemory(match *what {
            "start" => ManageMemory::Start,
            "stop" => ManageMemory::Stop,
            "once" => ManageMemory::RunOnce,
            other => panic!("no {other}"),
        })),
        ["manage", "forward", level] => Request::Manage(Manage::ForwardLogging {
            level: match *level {
                "nothing" => None,
                "warn" => Some(LogLevel::Warn),
                "info" => Some(LogLevel::Info),
                other => panic!("no level {other}"),
            },
        }),
        ["manage", "equip", file] => Request::Manage(Manage::Equip(equipment(file))),
        ["manage", "unequip", name] => {
            Request::Manage(Manage::Unequip { name: (*name).to_owned() })
        }
        other => panic!("no question {other:?}"),
    }
}

/// `did 5 6`: runs of these numbers, a nanosecond each.
pub(super) fn did(words: &[&str]) -> WorkerToScheduler {
    let activity = |word: &&str| {
        let at = u64::from(number(word));
        let name = format!("inc-{at}");
        let (key, prefix) = (key(&name), "inc".to_owned());
        let kind = ActivityKind::Run { key, prefix, thread: 0, ok: true };
        Activity { start_unix_ns: at, stop_unix_ns: at + 1, kind }
    };
    WorkerToScheduler::Did { activities: words.iter().map(activity).collect() }
}

/// A file with so many bytes: `weights:30`.
fn equipment(word: &str) -> Equipment {
    let (name, bytes) = word.split_once(':').expect("name:bytes");
    let content = vec![7; bytes.parse().expect("a number")];
    Equipment { name: name.to_owned(), item: Item::File(Bytes::from(content).into()) }
}

fn seconds(words: &[&str]) -> u64 {
    words.first().map_or(5_000_000_000, |n| u64::from(number(n)) * 1_000_000_000)
}

/// `replies r0 versions`.
pub(super) fn reply(words: &[&str]) -> WorkerToScheduler {
    let ["replies", id, reply] = words else { panic!("no reply {words:?}") };
    let reply = match *reply {
        "versions" => Reply::Versions(Box::<Versions>::default()),
        "running" => Reply::Running(Vec::new()),
        "restarting" => Reply::Restarting,
        "done" => Reply::Done,
        other => panic!("no reply {other}"),
    };
    WorkerToScheduler::Replied { id: RequestId(number(id).into()), reply: Box::new(reply) }
}
