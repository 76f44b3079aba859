//! Clients and workers that do whatever a seed makes them do.

mod client;
mod coordination;
mod worker;

use std::collections::BTreeMap;
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::graph::Function;
use dask_proto::id::{ClientId, TaskId, WorkerId};
use dask_proto::message::{
    Answer, ClientToScheduler, Code, SchedulerToClient, Welcome, WorkerJoin, WorkerToScheduler,
};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, Peer, SchedulerState};

use client::ModelClient;
use worker::ModelWorker;

/// A generator of numbers with no aim but to be different: splitmix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % end.max(1) as u64).expect("below a usize")
    }

    /// Whether something of this many percent happens.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A scheduler's state among peers.
pub(crate) struct Model {
    dice: Dice,
    state: SchedulerState,
    now: Moment,
    clients: BTreeMap<ClientId, ModelClient>,
    workers: BTreeMap<WorkerId, ModelWorker>,
    next_peer: u32,
    /// Scattered data on its way to workers.
    puts: Vec<(WorkerId, TaskId)>,
    /// Whether peers still misbehave.
    is_wild: bool,
    /// How many tasks workers gave back for others.
    pub(crate) given: usize,
    /// All instructions, for comparison.
    pub(crate) trace: Vec<String>,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let config = Config {
            allowed_failures: 2,
            worker_saturation: [1.1, 2.0, f64::INFINITY][dice.below(3)],
            no_workers_timeout: [None, Some(20), Some(200)][dice.below(3)].map(Duration::from_secs),
            stuck_after: Some(Duration::from_secs(100)),
            ..Config::default()
        };
        let address = "tcp://scheduler:8786".parse().expect("an address");
        let mut model = Self {
            state: SchedulerState::new(config, address),
            dice,
            now: Moment::default(),
            clients: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_peer: 1,
            puts: Vec::new(),
            is_wild: true,
            given: 0,
            trace: Vec::new(),
        };
        model.join_client();
        model
    }

    /// Lets this many random things happen.
    pub(crate) fn disturb(&mut self, events: usize) {
        for _ in 0..events {
            match self.dice.below(100) {
                0..=1 => self.join_client(),
                2..=5 if self.workers.len() < 6 => self.join_worker(),
                6..=7 => self.lose_worker(),
                8 => self.lose_client(),
                9 => self.pass_time(),
                10..=12 => self.let_data_arrive(),
                13..=49 => self.let_client_speak(),
                _ => self.let_worker_speak(),
            }
        }
    }

    /// No more faults: workers do what they are told until nothing is left to do, and then every
    /// future that is held must have heard how it ended.
    pub(crate) fn calm_down(&mut self) {
        self.is_wild = false;
        self.join_worker();
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in clients {
            if let Some(message) = self.clients.get(&id).and_then(ModelClient::give_up_scatter) {
                self.client_says(id, vec![message]);
            }
        }
        for _ in 0..100_000 {
            let busy = self.workers.iter().find(|(_, worker)| worker.is_busy());
            let Some(worker) = busy.map(|(id, _)| *id) else {
                break;
            };
            self.worker_speaks(worker);
        }
        for (id, client) in &self.clients {
            let unresolved = client.unresolved();
            let summary = self.state.summary().join("\n");
            assert!(unresolved.is_empty(), "{id} waits for {unresolved:?}:\n{summary}");
        }
    }

    fn join_client(&mut self) {
        let client = ClientId(self.next_peer);
        self.next_peer += 1;
        self.clients.insert(client, ModelClient::new());
        let name = format!("Client-{client}");
        self.handle(Event::ClientJoined { client, name, code: Code::Withheld });
        self.client_says(client, ModelClient::definitions());
    }

    fn join_worker(&mut self) {
        let worker = WorkerId(self.next_peer);
        self.next_peer += 1;
        let mut functions: Vec<Function> = (0..3).map(client::function).collect();
        if self.is_wild && self.dice.chance(20) {
            functions.pop();
        }
        // Sometimes a name that another worker has.
        let name = if self.is_wild && self.dice.chance(10) {
            "same".to_owned()
        } else {
            worker.to_string()
        };
        let join = WorkerJoin {
            address: format!("tcp://10.0.0.1:{}", worker.0).parse().expect("an address"),
            name,
            nthreads: u32::try_from(self.dice.below(3)).expect("small") + u32::from(!self.is_wild),
            memory_limit: None,
            resources: [("GPU".to_owned(), 1.0)].into(),
            functions,
            pid: 1,
            program: None,
        };
        self.workers.insert(worker, ModelWorker::default());
        let join = Box::new(join);
        self.handle(Event::WorkerJoined { worker, join });
    }

    fn lose_worker(&mut self) {
        if let Some(worker) = self.any_worker() {
            self.workers.remove(&worker);
            let reason = "it was killed".to_owned();
            self.handle(Event::WorkerLost { worker, reason });
        }
    }

    fn lose_client(&mut self) {
        let client = self.any_client();
        self.clients.remove(&client);
        self.handle(Event::ClientLost { client });
    }

    fn pass_time(&mut self) {
        self.now = self.now + Duration::from_secs(40);
        if self.state.next_timeout().is_some_and(|next| next <= self.now) {
            self.handle(Event::Timeout);
        }
    }

    fn let_client_speak(&mut self) {
        let id = self.any_client();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let messages = client.speak(&mut self.dice);
        self.client_says(id, messages);
    }

    /// Scattered data arrives, or is never put anywhere.
    fn let_data_arrive(&mut self) {
        let Some((worker, task)) = self.puts.pop() else {
            return;
        };
        if let Some(entry) = self.workers.get_mut(&worker).filter(|_| self.dice.chance(70)) {
            let message = entry.put(task);
            self.worker_says(worker, vec![message]);
        }
    }

    fn let_worker_speak(&mut self) {
        if let Some(worker) = self.any_worker() {
            self.worker_speaks(worker);
        }
    }

    fn worker_speaks(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        let before = worker.given;
        let messages = if self.is_wild { worker.speak(&mut self.dice) } else { worker.behave() };
        self.given += worker.given - before;
        self.worker_says(id, messages);
    }

    fn any_worker(&mut self) -> Option<WorkerId> {
        let index = self.dice.below(self.workers.len());
        self.workers.keys().nth(index).copied()
    }

    /// There always is one: a lost one is replaced.
    fn any_client(&mut self) -> ClientId {
        if self.clients.is_empty() {
            self.join_client();
        }
        let index = self.dice.below(self.clients.len());
        let any = self.clients.keys().nth(index);
        *any.expect("the index is within the clients")
    }

    fn client_says(&mut self, client: ClientId, messages: Vec<ClientToScheduler>) {
        self.handle(Event::ClientSaid { client, messages });
    }

    fn worker_says(&mut self, worker: WorkerId, messages: Vec<WorkerToScheduler>) {
        self.handle(Event::WorkerSaid { worker, messages });
    }

    fn handle(&mut self, event: Event) {
        let mut out = Instructions::new();
        let described = format!("{event:?}");
        self.state.handle(self.now, event, &mut out);
        let checked = self.state.check_invariants();
        let summary = self.state.summary().join("\n");
        assert_eq!(checked, Ok(()), "after {described}:\n{summary}");
        for instruction in out.drain() {
            self.trace.push(format!("{instruction:?}"));
            self.carry_out(instruction);
        }
    }

    fn carry_out(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::Welcome { peer, welcome: Welcome::Rejected(_) } => self.drop_peer(peer),
            Instruction::ToClient { client, messages } => {
                let client = self.clients.get_mut(&client);
                let client = client.expect("nothing is said to a client that is gone");
                for message in messages {
                    self.puts.extend(targets(&message));
                    client.hear(message);
                }
            }
            Instruction::ToWorker { worker, messages } => {
                let worker = self.workers.get_mut(&worker);
                let worker = worker.expect("nothing is said to a worker that is gone");
                for message in messages {
                    worker.hear(message);
                }
            }
            Instruction::Disconnect { peer, .. } => self.drop_peer(peer),
            _ => {}
        }
    }

    fn drop_peer(&mut self, peer: Peer) {
        match peer {
            Peer::Client(client) => drop(self.clients.remove(&client)),
            Peer::Worker(worker) => drop(self.workers.remove(&worker)),
            Peer::Agent(_) => {}
        }
    }
}

/// Where scattered data is to be put. The workers of this model have their ids as ports.
fn targets(message: &SchedulerToClient) -> Vec<(WorkerId, TaskId)> {
    let SchedulerToClient::Answer { answer: Answer::Targets { workers, items }, .. } = message
    else {
        return Vec::new();
    };
    let worker = |position: u32| {
        let port = workers[position as usize].rest().rsplit(':').next();
        WorkerId(port.and_then(|port| port.parse().ok()).expect("a port"))
    };
    items.iter().flat_map(|item| item.workers.iter().map(|at| (worker(*at), item.task))).collect()
}
