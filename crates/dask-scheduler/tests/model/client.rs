use std::collections::BTreeMap;

use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{
    Ask, ClientToScheduler, Question, Request, ScatterItem, SchedulerToClient, Submit, Whom,
};
use dask_proto::{Key, Payload};

use super::{Dice, coordination};

/// What a future heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    InMemory,
    Erred,
    /// It waits for data that this client announced and never puts.
    Scattered,
}

/// A client that submits, releases and asks at random.
#[derive(Default)]
pub(crate) struct ModelClient {
    futures: BTreeMap<FutureId, Heard>,
    next: u64,
    /// Whether it announced data that it may never have put anywhere.
    has_scattered: bool,
}

/// The functions of all clients. Workers have three of them.
pub(crate) fn function(index: u32) -> Function {
    Function { path: format!("app::f{index}"), signature: "fn(i64) -> i64".to_owned() }
}

impl ModelClient {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn definitions() -> Vec<ClientToScheduler> {
        let define =
            |index| ClientToScheduler::Define { id: FunctionId(index), function: function(index) };
        (0..4).map(define).collect()
    }

    pub(crate) fn speak(&mut self, dice: &mut Dice) -> Vec<ClientToScheduler> {
        let count = 1 + dice.below(3);
        (0..count).map(|_| self.message(dice)).collect()
    }

    fn message(&mut self, dice: &mut Dice) -> ClientToScheduler {
        let some = |client: &Self, dice: &mut Dice| {
            let count = 1 + dice.below(4);
            let any = (0..count).map(|_| client.any_future(dice));
            any.collect::<Vec<_>>()
        };
        match dice.below(100) {
            0..=49 => self.submit(dice),
            50..=69 => {
                let futures = some(self, dice);
                for future in &futures {
                    self.futures.remove(future);
                }
                ClientToScheduler::Release { futures }
            }
            70..=73 => ClientToScheduler::FireAndForget { futures: some(self, dice) },
            74..=77 => {
                let future = self.new_future();
                let key = any_key(dice);
                ClientToScheduler::Subscribe { future, key }
            }
            78..=81 => ClientToScheduler::MissingData {
                future: self.any_future(dice),
                worker: format!("tcp://10.0.0.1:{}", dice.below(40)).parse().expect("an address"),
            },
            82 if dice.chance(20) => {
                ClientToScheduler::Define { id: FunctionId(0), function: function(0) }
            }
            82 => ClientToScheduler::Forget { id: RequestId(1) },
            83 if dice.chance(10) => ClientToScheduler::Close,
            84 => ClientToScheduler::Accept { id: coordination::any_id(dice) },
            85 => ClientToScheduler::Forget { id: coordination::any_id(dice) },
            86..=91 => ClientToScheduler::Request {
                id: coordination::any_id(dice),
                request: Request::Coordinate(coordination::any(dice)),
            },
            92..=93 => ClientToScheduler::Carry {
                future: self.any_future(dice),
                carried: some(self, dice),
            },
            _ => ClientToScheduler::Request { id: RequestId(1), request: self.request(dice) },
        }
    }

    fn request(&mut self, dice: &mut Dice) -> Request {
        let futures = vec![self.any_future(dice), self.any_future(dice)];
        match dice.below(20) {
            0..=2 => Request::Cancel { futures, force: dice.chance(30) },
            3..=5 => Request::Retry { futures },
            6..=7 => self.scatter(dice),
            8 => Request::Locate { futures },
            9 => Request::WhoHas { keys: Vec::new() },
            10 => Request::SchedulerInfo,
            11..=13 => Request::Replicate {
                futures,
                n: dice.chance(70).then(|| u32::try_from(dice.below(4)).expect("small")),
                workers: any_workers(dice),
            },
            14..=15 => {
                let futures = if dice.chance(50) { futures } else { Vec::new() };
                Request::Rebalance { futures, workers: any_workers(dice) }
            }
            16 => {
                let n = dice.chance(70).then(|| u32::try_from(dice.below(3)).expect("small"));
                let workers = if n.is_some() { Vec::new() } else { any_workers(dice) };
                Request::RetireWorkers { workers, n }
            }
            17..=18 => ask(dice),
            _ => Request::WaitForWorkers { n: 3 },
        }
    }

    fn scatter(&mut self, dice: &mut Dice) -> Request {
        let future = self.new_future();
        self.futures.insert(future, Heard::Scattered);
        self.has_scattered = true;
        Request::Scatter {
            items: vec![ScatterItem {
                future,
                key: Key::new(format!("data-{}", dice.below(5))).expect("a short key"),
                nbytes: 8,
            }],
            workers: Vec::new(),
            broadcast: dice.chance(30),
        }
    }

    fn submit(&mut self, dice: &mut Dice) -> ClientToScheduler {
        let options = TaskOptions {
            priority: i32::try_from(dice.below(3)).expect("small") - 1,
            retries: u32::try_from(dice.below(2)).expect("small"),
            // Wishes that others may not heed, so that some workers have much to do.
            workers: dice
                .chance(30)
                .then(|| format!("w{}", 2 + dice.below(4)))
                .into_iter()
                .collect(),
            allow_other_workers: true,
            resources: dice.chance(5).then(|| ("GPU".to_owned(), 1.0)).into_iter().collect(),
            ..TaskOptions::default()
        };
        let count = 1 + dice.below(8);
        let tasks = (0..count).map(|_| self.task(dice)).collect();
        ClientToScheduler::Submit(Submit { options, tasks })
    }

    fn task(&mut self, dice: &mut Dice) -> TaskSpec {
        let count = dice.below(4);
        let dependencies = (0..count).map(|_| self.any_future(dice)).collect();
        let reused = dice.chance(1) && !self.futures.is_empty();
        let future = if reused { self.any_future(dice) } else { self.new_future() };
        // The last function is one that no worker has.
        let function = if dice.chance(3) { 3 } else { dice.below(3) };
        let content = dice.chance(3).then_some([1; 16]);
        TaskSpec {
            future,
            key: any_key(dice),
            function: FunctionId(u32::try_from(function).expect("small")),
            content,
            dependencies,
            body: Payload::default(),
        }
    }

    fn new_future(&mut self) -> FutureId {
        self.next += 1;
        let future = FutureId(self.next);
        self.futures.insert(future, Heard::Nothing);
        future
    }

    /// A future that is held, or rarely one that is not.
    fn any_future(&self, dice: &mut Dice) -> FutureId {
        let index = dice.below(self.futures.len());
        let held = self.futures.keys().nth(index).copied();
        let stray = FutureId(self.next + 100);
        held.filter(|_| !dice.chance(2)).unwrap_or(stray)
    }

    pub(crate) fn hear(&mut self, message: SchedulerToClient) {
        match message {
            SchedulerToClient::InMemory { future, .. } => self.note(future, Heard::InMemory),
            SchedulerToClient::Erred { futures, .. } => {
                for future in futures {
                    self.note(future, Heard::Erred);
                }
            }
            SchedulerToClient::Pending { futures, .. } => {
                for future in futures {
                    // What it released in the meantime it still may hear of.
                    let heard = self.futures.get(&future).copied();
                    assert!(
                        heard.is_none_or(|heard| heard != Heard::Nothing),
                        "{future} was pending, and is pending again"
                    );
                    self.note(future, Heard::Nothing);
                }
            }
            SchedulerToClient::Cancelled { futures, .. } => {
                for future in futures {
                    self.futures.remove(&future);
                }
            }
            _ => {}
        }
    }

    /// Everything that is said is about a future that is held.
    fn note(&mut self, future: FutureId, heard: Heard) {
        if let Some(known) = self.futures.get_mut(&future) {
            *known = heard;
        }
    }

    /// Leaves, if there may be data that it announced and never put anywhere.
    pub(crate) fn give_up_scatter(&self) -> Option<ClientToScheduler> {
        self.has_scattered.then_some(ClientToScheduler::Close)
    }

    /// The futures that still wait.
    pub(crate) fn unresolved(&self) -> Vec<FutureId> {
        let waiting = self.futures.iter().filter(|(_, heard)| **heard == Heard::Nothing);
        waiting.map(|(future, _)| *future).collect()
    }
}

/// A question to a worker that may not be there, or to the scheduler.
fn ask(dice: &mut Dice) -> Request {
    let address = format!("tcp://10.0.0.1:{}", dice.below(40)).parse().expect("an address");
    let whom = if dice.chance(90) { Whom::Worker(address) } else { Whom::Scheduler };
    Request::Ask(Box::new(Ask { whom, question: Question::Versions }))
}

/// Mostly none, which means all.
fn any_workers(dice: &mut Dice) -> Vec<String> {
    let count = if dice.chance(70) { 0 } else { 1 + dice.below(2) };
    (0..count).map(|_| format!("w{}", dice.below(30))).collect()
}

/// One of a few keys, so that they meet.
pub(super) fn any_key(dice: &mut Dice) -> Key {
    Key::new(format!("key-{}", dice.below(60))).expect("a short key")
}
