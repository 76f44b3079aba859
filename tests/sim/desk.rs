//! The scheduler's shell: the real state, and what its peers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::id::{ClientId, FutureId, RequestId, WorkerId};
use dask_proto::message::{
    ClientToScheduler, Code, Request, SchedulerToClient, SchedulerToWorker, Welcome, WorkerJoin,
    WorkerToScheduler,
};
use dask_proto::{Key, TaskErrorKind};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, Peer, SchedulerState};

use crate::dice::Dice;
use crate::leaving::Leaving;
use crate::ledger::Ledger;
use crate::link::{Down, Up};
use crate::sim::{Happening, PeerId, Sim};
use crate::watch::{STUCK_AFTER, UNRUNNABLE_AFTER};

/// What the scheduler was last heard to say of a future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Pending,
    InMemory,
    Erred,
    /// It never became a task.
    Refused,
}

/// The scheduler.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) state: SchedulerState,
    pub(crate) out: Instructions,
    pub(crate) allowed_failures: u32,
    /// How many tasks workers gave back for others.
    pub(crate) given: usize,
    pub(crate) worker_ttl: Duration,
    /// The workers that were admitted, and what they offer.
    pub(crate) workers: BTreeMap<PeerId, WorkerJoin>,
    /// Workers that said hello and were not answered.
    joining: BTreeMap<PeerId, WorkerJoin>,
    /// Futures that their clients let go of.
    released: BTreeSet<(ClientId, FutureId)>,
    timer: Option<Moment>,
    /// Those that are connected, as far as the scheduler knows.
    pub(crate) peers: BTreeSet<PeerId>,
    /// What each future that is held stands for, by what was said about it.
    pub(crate) holds: BTreeMap<(ClientId, FutureId), (Key, Told)>,
    /// The futures of each scatter.
    scattered: BTreeMap<(ClientId, RequestId), Vec<FutureId>>,
}

impl Desk {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let saturations = [1.1, 1.0, 2.0, f64::INFINITY];
        let allowed_failures = [0, 1, 3, 10][dice.below(4)];
        let ttl = [5, 30, 300][dice.below(3)];
        let config = Config {
            allowed_failures,
            worker_saturation: saturations[dice.below(4)],
            worker_ttl: Duration::from_secs(ttl),
            story_len: 20_000,
            stuck_after: Some(STUCK_AFTER),
            unrunnable_after: Some(UNRUNNABLE_AFTER),
            ..Config::default()
        };
        let address = "tcp://10.0.0.0:8786".parse().expect("an address");
        Self {
            state: SchedulerState::new(config, address),
            out: Instructions::new(),
            allowed_failures,
            given: 0,
            worker_ttl: Duration::from_secs(ttl),
            workers: BTreeMap::new(),
            joining: BTreeMap::new(),
            released: BTreeSet::new(),
            timer: None,
            peers: BTreeSet::new(),
            holds: BTreeMap::new(),
            scattered: BTreeMap::new(),
        }
    }
}

impl Sim {
    /// Something arrives at the scheduler.
    pub(crate) fn arrive_up(&mut self, peer: PeerId) {
        let link = self.links.get_mut(&peer);
        let Some(item) = link.and_then(|link| link.up.receive(self.now)) else {
            return;
        };
        let (client, worker) = (ClientId(peer), WorkerId(peer));
        let is_client = self.is_client(peer, &item);
        let event = match item {
            Up::HelloClient(name) => {
                self.desk.peers.insert(peer);
                Event::ClientJoined { client, name, code: Code::Withheld }
            }
            Up::HelloWorker(join) => {
                self.desk.peers.insert(peer);
                self.desk.joining.insert(peer, (*join).clone());
                Event::WorkerJoined { worker, join }
            }
            Up::Client(messages) => {
                for message in &messages {
                    self.note_said(client, message);
                }
                Event::ClientSaid { client, messages }
            }
            Up::Worker(messages) => return self.worker_said(peer, messages),
            Up::End => {
                self.forget_peer(peer);
                if is_client {
                    Event::ClientLost { client }
                } else {
                    self.losses += 1;
                    let reason = "its connection ended".to_owned();
                    Event::WorkerLost { worker, reason }
                }
            }
        };
        self.scheduler_handles(event);
    }

    fn worker_said(&mut self, peer: PeerId, messages: Vec<WorkerToScheduler>) {
        let news = Ledger::news(peer, &messages, &self.desk.state);
        let missed = Ledger::missed(peer, &messages, &self.desk.state);
        for message in &messages {
            self.ledger.hears(peer, message);
            if let WorkerToScheduler::Given { tasks } = message {
                self.desk.given += tasks.len();
            }
        }
        let worker = WorkerId(peer);
        self.scheduler_handles(Event::WorkerSaid { worker, messages });
        Ledger::what_is_missed_is_not_counted_on(missed, &self.desk.state);
        self.ledger.at_most_one_live_run_is_accepted(peer, news, &self.desk.state);
    }

    /// Clients and workers share their numbers.
    fn is_client(&self, peer: PeerId, item: &Up) -> bool {
        matches!(item, Up::HelloClient(_) | Up::Client(_)) || self.clients.contains(&peer)
    }

    fn forget_peer(&mut self, peer: PeerId) {
        self.desk.peers.remove(&peer);
        self.lose_worker(peer);
        self.cut_down(peer, self.now);
        self.desk.holds.retain(|(client, _), _| client.0 != peer);
    }

    pub(crate) fn scheduler_timer(&mut self) {
        self.desk.timer = None;
        let next = self.desk.state.next_timeout();
        if next.is_some_and(|next| next <= self.now) {
            self.scheduler_handles(Event::Timeout);
        } else {
            self.set_scheduler_timer();
        }
    }

    fn set_scheduler_timer(&mut self) {
        let next = self.desk.state.next_timeout();
        if let Some(at) = next.filter(|at| self.desk.timer.is_none_or(|timer| *at < timer)) {
            self.desk.timer = Some(at);
            self.schedule(at, Happening::SchedulerTimer);
        }
    }

    fn scheduler_handles(&mut self, event: Event) {
        self.note(|| format!("the scheduler hears {event:?}"));
        let leaving = Leaving::before(&event, self);
        let is_timeout = matches!(event, Event::Timeout);
        self.desk.state.handle(self.now, event, &mut self.desk.out);
        for instruction in self.desk.out.drain() {
            self.note(|| format!("the scheduler shall {instruction:?}"));
            match instruction {
                Instruction::Welcome { peer, welcome } => self.welcome(number(peer), welcome),
                Instruction::ToClient { client, messages } => {
                    assert!(self.desk.peers.contains(&client.0), "{client} is not there");
                    for message in &messages {
                        self.note_told(client, message);
                    }
                    self.send_down(client.0, Down::Client(messages));
                }
                Instruction::ToWorker { worker, messages } => {
                    assert!(self.desk.peers.contains(&worker.0), "{worker} is not there");
                    for message in &messages {
                        self.ledger.told(worker.0, message);
                        leaving.gets_no_tasks(worker, message, &self.desk.state);
                    }
                    self.send_down(worker.0, Down::Worker(messages));
                }
                Instruction::Disconnect { peer, reason } => {
                    leaving.left_nothing_behind(peer, &reason, &self.desk.state);
                    self.disconnect(peer, reason);
                }
                Instruction::Warn { key, lines } => {
                    // A task that nothing keeps from running may be long, and may wait long.
                    assert!(lines.len() > 2, "{key}: {lines:?}");
                    self.watch.warned(key);
                }
                other => panic!("the simulation does not know {other:?}"),
            }
        }
        self.set_scheduler_timer();
        self.check_cluster();
        if is_timeout {
            self.what_makes_no_progress_is_warned_of();
        }
    }

    fn lose_worker(&mut self, peer: PeerId) {
        self.desk.workers.remove(&peer);
        self.ledger.lost(peer);
    }

    fn welcome(&mut self, peer: PeerId, welcome: Welcome) {
        let is_rejected = matches!(welcome, Welcome::Rejected(_));
        if let Some(join) = self.desk.joining.remove(&peer).filter(|_| !is_rejected) {
            self.desk.workers.insert(peer, join);
        }
        self.send_down(peer, Down::Welcome(welcome));
        if is_rejected {
            self.finish_down(peer);
            self.desk.peers.remove(&peer);
        }
    }

    fn disconnect(&mut self, peer: Peer, reason: String) {
        let id = number(peer);
        if let Peer::Worker(worker) = peer {
            self.a_worker_in_good_order_is_not_given_up(worker, &reason);
        }
        self.lose_worker(id);
        self.losses += 1;
        let close = match peer {
            Peer::Client(_) => Down::Client(vec![SchedulerToClient::Close { reason }]),
            Peer::Worker(_) => Down::Worker(vec![SchedulerToWorker::Close { reason }]),
            Peer::Agent(_) => panic!("there are no agents here"),
        };
        self.send_down(id, close);
        self.finish_down(id);
        self.desk.peers.remove(&id);
        self.desk.holds.retain(|(client, _), _| client.0 != id);
    }

    /// Keeps account of what a client holds.
    fn note_said(&mut self, client: ClientId, message: &ClientToScheduler) {
        if !self.desk.peers.contains(&client.0) {
            return;
        }
        let (holds, scattered) = (&mut self.desk.holds, &mut self.desk.scattered);
        let mut hold = |future: FutureId, key: &Key| {
            holds.insert((client, future), (key.clone(), Told::Pending));
        };
        match message {
            ClientToScheduler::Submit(submit) => {
                for task in &submit.tasks {
                    hold(task.future, &task.key);
                }
            }
            ClientToScheduler::Subscribe { future, key } => hold(*future, key),
            ClientToScheduler::Request { request: Request::Scatter { items, .. }, id } => {
                for item in items {
                    hold(item.future, &item.key);
                }
                let futures = items.iter().map(|item| item.future);
                scattered.insert((client, *id), futures.collect());
            }
            ClientToScheduler::Release { futures } => {
                for future in futures {
                    holds.remove(&(client, *future));
                    let is_first = self.desk.released.insert((client, *future));
                    assert!(is_first, "{client} lets go of {future} twice");
                }
            }
            _ => {}
        }
    }

    /// Keeps account of what a client was told.
    fn note_told(&mut self, client: ClientId, message: &SchedulerToClient) {
        let mut note = |future: FutureId, told: Told| {
            if let Some((_, known)) = self.desk.holds.get_mut(&(client, future)) {
                *known = told;
            }
        };
        match message {
            SchedulerToClient::InMemory { future, .. } => note(*future, Told::InMemory),
            SchedulerToClient::Erred { futures, error } => {
                assert_ne!(error.kind, TaskErrorKind::Internal, "{error}");
                let is_refused =
                    matches!(error.kind, TaskErrorKind::KeyCollision | TaskErrorKind::InvalidGraph);
                let told = if is_refused { Told::Refused } else { Told::Erred };
                futures.iter().for_each(|future| note(*future, told));
            }
            SchedulerToClient::Pending { futures, .. } => {
                futures.iter().for_each(|future| note(*future, Told::Pending));
            }
            SchedulerToClient::Cancelled { futures, .. } => {
                for future in futures {
                    self.desk.holds.remove(&(client, *future));
                }
            }
            SchedulerToClient::Answer { answer: dask_proto::message::Answer::Refused(_), id } => {
                let refused = self.desk.scattered.remove(&(client, *id));
                for future in refused.unwrap_or_default() {
                    self.desk.holds.remove(&(client, future));
                }
            }
            _ => {}
        }
    }
}

fn number(peer: Peer) -> PeerId {
    match peer {
        Peer::Client(client) => client.0,
        Peer::Worker(worker) => worker.0,
        Peer::Agent(agent) => agent.0,
    }
}
