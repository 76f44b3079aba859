//! The whole cluster in one thread: an agenda of things that happen, and who they happen to.

use std::cmp::Ordering as Order;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::id::{FutureId, RequestId, TaskId};
use dask_proto::message::WorkerJoin;

use crate::book::{self, Book, FUNCTIONS, Page, Taste};
use crate::call::{Call, CallId, Reply};
use crate::client::Program;
use crate::desk::Desk;
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::link::{Down, Link, Up};
use crate::memory;
use crate::process::{Process, RunKey, Slot};
use crate::trace::Trace;
use crate::watch::Watch;
use crate::weather::Weather;

/// A connection of the scheduler, by number: a worker process or a client.
pub(crate) type PeerId = u32;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    ArriveDown(PeerId),
    ArriveUp(PeerId),
    SchedulerTimer,
    WorkerTimer(PeerId),
    Wake(PeerId),
    RunOver(PeerId, RunKey),
    Secede(PeerId, RunKey),
    Rejoin(PeerId, RunKey),
    Written(PeerId, TaskId, u64),
    Ask(CallId),
    Reply(CallId, Reply),
    Act(PeerId),
    Subscribe(PeerId, Page),
    Vanish(PeerId),
    Fetch(PeerId, FutureId),
    GiveUp(PeerId, FutureId),
    Unlock(PeerId, RequestId),
    Fault,
    Break(PeerId),
    Thaw(PeerId),
    Restart(usize),
    NewClient,
    Acquire,
}

/// Something on the agenda: the earlier, the greater, and what was planned first before the rest.
#[derive(Debug)]
struct Planned {
    at: Moment,
    number: u64,
    happening: Happening,
}

impl Planned {
    fn place(&self) -> (Moment, u64) {
        (self.at, self.number)
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Order {
        other.place().cmp(&self.place())
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Planned {}

/// The cluster.
pub(crate) struct Sim {
    pub(crate) dice: Dice,
    pub(crate) now: Moment,
    agenda: BinaryHeap<Planned>,
    scheduled: u64,
    pub(crate) book: Book,
    pub(crate) taste: Taste,
    pub(crate) weather: Weather,
    pub(crate) desk: Desk,
    pub(crate) links: BTreeMap<PeerId, Link>,
    pub(crate) slots: Vec<Slot>,
    /// Boxed, for a worker leaves the map and comes back with every round of its loop.
    pub(crate) processes: BTreeMap<PeerId, Box<Process>>,
    pub(crate) programs: BTreeMap<PeerId, Program>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) next_call: CallId,
    next_peer: PeerId,
    /// Whether faults still happen and clients still act.
    pub(crate) is_wild: bool,
    /// The peers that are clients.
    pub(crate) clients: BTreeSet<PeerId>,
    /// Tasks that failed at least once.
    pub(crate) failed: BTreeSet<Page>,
    /// Tasks that a process named as it died.
    pub(crate) killers: BTreeSet<Page>,
    /// Tasks that somebody cancelled.
    pub(crate) cancelled: BTreeSet<Page>,
    /// Who was given what, and what came of it.
    pub(crate) ledger: Ledger,
    /// What makes no progress, and what the scheduler said of it.
    pub(crate) watch: Watch,
    /// Workers that the scheduler lost.
    pub(crate) losses: u32,
    pub(crate) events: u64,
    /// The same, for those who watch.
    pub(crate) pulse: Arc<AtomicU64>,
    pub(crate) trace: Trace,
}

impl Sim {
    /// The cluster that a seed draws, at its start.
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut dice = Dice::new(seed);
        let weather = Weather::draw(&mut dice);
        let slots = draw_slots(&mut dice, &weather);
        let twins = if dice.chance(25) { 5 } else { 0 };
        let taste = Taste {
            slots: slots.len(),
            twins,
            digests: twins > 0 || dice.chance(50),
            max_tasks: if dice.chance(10) { 120 } else { 4 << dice.below(4) },
            odd: if dice.chance(50) { 0 } else { 10 },
            longest_us: 100 << dice.below(15),
            largest: if dice.chance(50) { 11 } else { 28 },
            numbers: [0, 30, 90][dice.below(3)],
        };
        let desk = Desk::new(&mut dice);
        let mut sim = Self {
            dice,
            now: Moment::default(),
            agenda: BinaryHeap::new(),
            scheduled: 0,
            book: Book::default(),
            taste,
            weather,
            desk,
            links: BTreeMap::new(),
            slots,
            processes: BTreeMap::new(),
            programs: BTreeMap::new(),
            calls: BTreeMap::new(),
            next_call: 0,
            next_peer: 1,
            is_wild: true,
            clients: BTreeSet::new(),
            failed: BTreeSet::new(),
            killers: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            ledger: Ledger::default(),
            watch: Watch::default(),
            losses: 0,
            events: 0,
            pulse: Arc::default(),
            trace,
        };
        sim.open();
        sim
    }

    fn open(&mut self) {
        for slot in 0..self.slots.len() {
            let late = if self.dice.chance(20) { 5_000_000 } else { 1_000 };
            let at = self.now + self.dice.micros(1, late);
            self.schedule(at, Happening::Restart(slot));
        }
        for _ in 0..1 + self.dice.below(self.weather.clients) {
            let at = self.now + self.dice.micros(1, 100_000);
            self.schedule(at, Happening::NewClient);
        }
        if self.weather.faults > 0 {
            self.schedule_fault();
        }
        if self.weather.acquires {
            self.schedule(self.now, Happening::Acquire);
        }
    }

    pub(crate) fn schedule(&mut self, at: Moment, happening: Happening) {
        self.scheduled += 1;
        let at = at.max(self.now);
        self.agenda.push(Planned { at, number: self.scheduled, happening });
    }

    pub(crate) fn new_peer(&mut self) -> PeerId {
        self.next_peer += 1;
        self.next_peer - 1
    }

    /// Lets the next thing happen; false when nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        let Some(Planned { at, happening, .. }) = self.agenda.pop() else {
            return false;
        };
        self.now = at;
        self.events += 1;
        self.pulse.store(self.events, Ordering::Relaxed);
        match happening {
            Happening::ArriveDown(peer) => self.arrive_down(peer),
            Happening::ArriveUp(peer) => self.arrive_up(peer),
            Happening::SchedulerTimer => self.scheduler_timer(),
            Happening::WorkerTimer(peer) => self.worker_timer(peer),
            Happening::Wake(peer) => self.wake(peer),
            Happening::RunOver(peer, run) => self.run_over(peer, run),
            Happening::Secede(peer, run) => self.secede(peer, run),
            Happening::Rejoin(peer, run) => self.rejoin(peer, run),
            Happening::Written(peer, task, write) => self.written(peer, task, write),
            Happening::Ask(call) => self.ask(call),
            Happening::Reply(call, reply) => self.hear_reply(call, reply),
            Happening::Act(peer) => self.act(peer),
            Happening::Subscribe(peer, page) => self.look_forward(peer, page),
            Happening::Vanish(peer) => self.vanish(peer),
            Happening::Fetch(peer, future) => self.fetch_value(peer, future),
            Happening::GiveUp(peer, future) => self.give_up(peer, future),
            Happening::Unlock(peer, id) => self.unlock(peer, id),
            Happening::Fault => self.fault(),
            Happening::Break(peer) => self.break_link(peer),
            Happening::Thaw(peer) => self.thaw(peer),
            Happening::Restart(slot) => self.start_process(slot),
            Happening::NewClient => self.start_program(),
            Happening::Acquire => self.acquire(),
        }
        true
    }

    /// Goes on until `is_done`, for at most this long and this many events.
    pub(crate) fn run_until(
        &mut self,
        longest: Duration,
        mut is_done: impl FnMut(&Self) -> bool,
    ) -> bool {
        let end = self.now + longest;
        let most = self.events + 2_000_000;
        while !is_done(self) {
            if self.now > end || self.events > most || !self.step() {
                return false;
            }
        }
        true
    }

    /// Puts a line into the trace, if somebody reads it.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now, line);
    }

    pub(crate) fn send_up(&mut self, peer: PeerId, item: Up) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if let Some(at) = link.up.send(self.now, item, &mut self.dice) {
            self.schedule(at, Happening::ArriveUp(peer));
        }
    }

    pub(crate) fn send_down(&mut self, peer: PeerId, item: Down) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if let Some(at) = link.down.send(self.now, item, &mut self.dice) {
            self.schedule(at, Happening::ArriveDown(peer));
        }
    }

    /// The peer closes its end, behind what it has said.
    pub(crate) fn finish_up(&mut self, peer: PeerId) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if let Some(at) = link.up.finish(self.now, Up::End, &mut self.dice) {
            self.schedule(at, Happening::ArriveUp(peer));
        }
    }

    /// The scheduler closes its end, behind what it has said.
    pub(crate) fn finish_down(&mut self, peer: PeerId) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if let Some(at) = link.down.finish(self.now, Down::End, &mut self.dice) {
            self.schedule(at, Happening::ArriveDown(peer));
        }
    }

    /// What the peer says is lost from some time on, and the scheduler hears of it later.
    pub(crate) fn cut_up(&mut self, peer: PeerId, cut: Moment) {
        let after = self.dice.micros(100, self.weather.longest_silence_us);
        if let Some(link) = self.links.get_mut(&peer) {
            link.up.cut(cut);
            if let Some(at) = link.up.hear_end(self.now + after, Up::End) {
                self.schedule(at, Happening::ArriveUp(peer));
            }
        }
    }

    /// The same in the other direction.
    pub(crate) fn cut_down(&mut self, peer: PeerId, cut: Moment) {
        let after = self.dice.micros(100, self.weather.longest_silence_us);
        if let Some(link) = self.links.get_mut(&peer) {
            link.down.cut(cut);
            if let Some(at) = link.down.hear_end(self.now + after, Down::End) {
                self.schedule(at, Happening::ArriveDown(peer));
            }
        }
    }

    /// A link breaks: both ends hear of it, each in its own time.
    pub(crate) fn break_link(&mut self, peer: PeerId) {
        let cut = self.now + self.dice.micros(1, 1_000);
        self.cut_up(peer, cut);
        let cut = self.now + self.dice.micros(1, 1_000);
        self.cut_down(peer, cut);
    }

    fn arrive_down(&mut self, peer: PeerId) {
        let link = self.links.get_mut(&peer);
        let Some(item) = link.and_then(|link| link.down.receive(self.now)) else {
            return;
        };
        if self.processes.contains_key(&peer) {
            self.process_hears(peer, item);
        } else if self.programs.contains_key(&peer) {
            self.program_hears(peer, item);
        }
    }
}

fn draw_slots(dice: &mut Dice, weather: &Weather) -> Vec<Slot> {
    let n = if dice.chance(5) { 7 + dice.below(44) } else { 1 + dice.below(6) };
    (0..n)
        .map(|i| {
            let has_all = i == 0 || dice.chance(70);
            let known = 0..FUNCTIONS - 1;
            let functions = known.filter(|f| *f == 0 || has_all || dice.chance(50));
            let functions = functions.map(book::function).collect();
            let has_gpu = i == 0 || dice.chance(30);
            let resources = has_gpu.then(|| ("GPU".to_owned(), 1.0));
            let join = WorkerJoin {
                address: format!("tcp://10.0.{}.1:{}", i / 3, 1000 + i)
                    .parse()
                    .expect("an address"),
                name: format!("worker-{i}"),
                nthreads: u32::try_from(1 + dice.below(3)).expect("small"),
                memory_limit: None,
                resources: resources.into_iter().collect(),
                functions,
                pid: 1,
                program: None,
            };
            let is_slow = dice.chance(weather.slow_links);
            let slowest_us = if is_slow { 2_000_000 } else { 1_000 };
            let memory = memory::draw_limits(dice);
            Slot { join, process: None, slowest_us, memory }
        })
        .collect()
}

/// What was drawn but not done: used by clients for graphs that they submit in parts.
pub(crate) type Pages = VecDeque<Page>;
