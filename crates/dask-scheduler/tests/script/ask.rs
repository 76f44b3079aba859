//! Questions to processes, and looks at the state.

use dask_proto::id::RequestId;
use dask_proto::message::{
    Ask, Inspect, Question, Reply, Request, Versions, Whom, WorkerToScheduler,
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
                "nbytes" => Inspect::NBytes { keys: keys() },
                "prefixes" => Inspect::NBytesByPrefix { keys: keys() },
                other => panic!("nothing called {other}"),
            })
        }
        other => panic!("no question {other:?}"),
    }
}

/// `replies r0 versions`.
pub(super) fn reply(words: &[&str]) -> WorkerToScheduler {
    let ["replies", id, reply] = words else { panic!("no reply {words:?}") };
    let reply = match *reply {
        "versions" => Reply::Versions(Box::<Versions>::default()),
        "running" => Reply::Running(Vec::new()),
        other => panic!("no reply {other}"),
    };
    WorkerToScheduler::Replied { id: RequestId(number(id).into()), reply: Box::new(reply) }
}
