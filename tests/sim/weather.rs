//! What goes wrong around the cluster.

use dask_proto::map::SmallList;
use dask_proto::message::{Dependency, SchedulerToWorker, Welcome};

use crate::book::{self, FUNCTIONS};
use crate::dice::Dice;
use crate::link::Down;
use crate::process::News;
use crate::sim::{Happening, PeerId, Sim};

/// How bad it is, for one seed.
#[derive(Debug)]
pub(crate) struct Weather {
    /// How many faults there are at most.
    pub(crate) faults: usize,
    pub(crate) longest_absence_us: u64,
    /// Until a lost link is heard of.
    pub(crate) longest_silence_us: u64,
    longest_calm_us: u64,
    /// In percent: questions to workers whose connection breaks.
    pub(crate) broken_calls: usize,
    /// In percent: questions of workers to workers that have too much to send.
    pub(crate) busy: usize,
    /// In percent: slots with a slow link.
    pub(crate) slow_links: usize,
    /// Clients at the start, at most, and how often each acts.
    pub(crate) clients: usize,
    pub(crate) acts: usize,
    /// Whether workers are told to copy results that they do not need.
    pub(crate) acquires: bool,
    /// The longest pause between two acts.
    pub(crate) pause_us: u64,
}

impl Weather {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let is_fair = dice.chance(20);
        let faults = if is_fair { 0 } else { 1 + dice.below(20) };
        Self {
            faults,
            longest_absence_us: 10_000 << dice.below(11),
            longest_silence_us: 3_000_000,
            longest_calm_us: 1_000 << dice.below(12),
            broken_calls: if is_fair || dice.chance(50) { 0 } else { 15 },
            busy: if dice.chance(50) { 0 } else { 1 << dice.below(7) },
            slow_links: if dice.chance(30) { 30 } else { 0 },
            clients: 1 + dice.below(4),
            acts: 12,
            acquires: dice.chance(30),
            pause_us: 1_000 << dice.below(12),
        }
    }
}

impl Sim {
    pub(crate) fn schedule_fault(&mut self) {
        let at = self.now + self.dice.micros(10, self.weather.longest_calm_us);
        self.schedule(at, Happening::Fault);
    }

    /// Something goes wrong.
    pub(crate) fn fault(&mut self) {
        if !self.is_wild || self.weather.faults == 0 {
            return;
        }
        self.weather.faults -= 1;
        self.schedule_fault();
        let workers: Vec<PeerId> = self.processes.keys().copied().collect();
        let clients: Vec<PeerId> = self.programs.keys().copied().collect();
        let choice = self.dice.below(100);
        let worker = self.dice.pick(&workers).copied();
        let client = self.dice.pick(&clients).copied();
        self.note(|| format!("fault {choice} for {worker:?} or {client:?}"));
        match (choice, worker, client) {
            (0..=29, Some(worker), _) => self.kill(worker),
            (30..=44, Some(worker), _) => self.break_link(worker),
            (45..=59, Some(worker), _) => self.freeze(worker, 60_000_000),
            (60..=69, Some(worker), _) => self.tell_process(worker, News::Shutdown),
            (70..=79, Some(worker), _) => self.open_half(worker),
            (80..=87, _, Some(client)) => self.lose_program(client),
            (88..=91, _, Some(client)) => self.break_link(client),
            (92..=93, _, Some(client)) => self.open_half(client),
            (94..=96, ..) => self.schedule(self.now, Happening::NewClient),
            _ => {}
        }
    }

    /// Some worker is told to copy some result, as if its scheduler wanted more copies.
    pub(crate) fn acquire(&mut self) {
        if !self.is_wild {
            return;
        }
        let at = self.now + self.dice.micros(1_000, 4 * self.weather.longest_calm_us);
        self.schedule(at, Happening::Acquire);
        let copies: Vec<_> = self.desk.state.replicas().collect();
        let workers: Vec<PeerId> = self.desk.workers.keys().copied().collect();
        let copy = self.dice.pick(&copies).copied();
        let (Some((task, holder)), Some(worker)) = (copy, self.dice.pick(&workers)) else {
            return;
        };
        let Some(join) = self.desk.workers.get(&holder.0) else {
            return;
        };
        let peer = SchedulerToWorker::Peer { id: holder, address: join.address.clone() };
        let dependency =
            Dependency { task, nbytes: 1, holders: SmallList::One(holder), value: None };
        let acquire = SchedulerToWorker::Acquire { dependencies: vec![dependency] };
        self.send_down(*worker, Down::Worker(vec![peer, acquire]));
    }

    /// One direction of a link goes dead, and nobody hears of it for a while.
    fn open_half(&mut self, peer: PeerId) {
        let is_up = self.dice.chance(50);
        if let Some(link) = self.links.get_mut(&peer) {
            if is_up {
                link.up.cut(self.now);
            } else {
                link.down.cut(self.now);
            }
        }
        let at = self.now + self.dice.micros(100_000, 400_000_000);
        self.schedule(at, Happening::Break(peer));
    }

    /// A client goes while the faults last, as one of them.
    pub(crate) fn vanish(&mut self, peer: PeerId) {
        if self.is_wild && self.programs.contains_key(&peer) {
            self.lose_program(peer);
        }
    }

    /// A client is gone without a word.
    fn lose_program(&mut self, peer: PeerId) {
        self.programs.remove(&peer);
        self.cut_up(peer, self.now);
        if self.dice.chance(50) {
            let at = self.now + self.dice.micros(100, 1_000_000);
            self.schedule(at, Happening::NewClient);
        }
    }

    /// No more faults: links heal, processes go on, programs say what they still have to say.
    pub(crate) fn calm(&mut self) {
        self.is_wild = false;
        self.weather.longest_absence_us = 100_000;
        self.weather.longest_silence_us = 10_000;
        let workers: Vec<PeerId> = self.processes.keys().copied().collect();
        let clients: Vec<PeerId> = self.programs.keys().copied().collect();
        for peer in workers.iter().chain(&clients) {
            let link = self.links.get(peer);
            if link.is_some_and(|link| link.up.is_closed() || link.down.is_closed()) {
                self.break_link(*peer);
            }
        }
        for worker in workers {
            self.thaw(worker);
        }
        for client in clients {
            self.submit_rest(client);
        }
        for slot in 0..self.slots.len() {
            self.complete(slot);
            let at = self.now + self.dice.micros(1, 1_000_000);
            self.schedule(at, Happening::Restart(slot));
        }
    }

    /// A worker that lacks something makes room for one that has all.
    fn complete(&mut self, slot: usize) {
        let functions: Vec<_> = (0..FUNCTIONS - 1).map(book::function).collect();
        let slot = &mut self.slots[slot];
        if slot.join.functions == functions && !slot.join.resources.is_empty() {
            return;
        }
        slot.join.functions = functions;
        slot.join.resources.insert("GPU".to_owned(), 1.0);
        if let Some(peer) = slot.process {
            self.tell_process(peer, News::Shutdown);
        }
    }

    pub(crate) fn process_hears(&mut self, peer: PeerId, item: Down) {
        match item {
            Down::Welcome(Welcome::Worker { id, heartbeat_ms }) => {
                self.begin_process(peer, id, heartbeat_ms);
            }
            Down::Welcome(_) => self.end_process(peer),
            Down::Worker(messages) => self.tell_process(peer, News::Said(messages)),
            Down::End => self.lose_scheduler(peer),
            Down::Client(_) => panic!("worker {peer} hears what is for a client"),
        }
    }

    fn lose_scheduler(&mut self, peer: PeerId) {
        let process = self.processes.get(&peer);
        if process.is_some_and(|process| process.state.is_some()) {
            self.tell_process(peer, News::Lost);
        } else {
            self.end_process(peer);
        }
    }
}
