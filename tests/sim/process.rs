//! A worker process: the real state, and a shell of threads, store and links that are simulated.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::graph::{Function, Priority};
use dask_proto::id::{FunctionId, RunId, TaskId, WorkerId};
use dask_proto::message::{Compute, SchedulerToWorker, ValueAt, WorkerJoin, WorkerToScheduler};
use dask_proto::{Moment, Payload};
use dask_worker::state::{
    Event, FlightId, Instruction, Instructions, MemoryLimits, PutId, RunEnded, WorkerState,
};

use crate::book::{self, Page};
use crate::call::CallId;
use crate::link::{Link, Up};
use crate::load::Load;
use crate::memo::Memo;
use crate::memory::Disk;
use crate::sim::{Happening, PeerId, Sim};

/// One run of one task.
pub(crate) type RunKey = (TaskId, RunId);

/// What reaches a worker's loop.
#[derive(Debug)]
pub(crate) enum News {
    Said(Vec<SchedulerToWorker>),
    Lost,
    Put(CallId, Vec<(TaskId, u64, Payload)>),
    Fetched(FlightId, Option<Vec<(TaskId, ValueAt)>>),
    Busy(FlightId),
    Seceded(RunKey),
    Rejoining(RunKey),
    Timer,
    /// What came of a write, or of reading it back.
    Disk(Event),
    Shutdown,
}

/// A task on its way to a thread.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) page: Page,
    /// The results of its dependencies; none where the store did not have one.
    pub(crate) inputs: Vec<Option<u64>>,
    /// Those of its dependencies that were on disk.
    pub(crate) on_disk: Vec<TaskId>,
}

/// A place where worker processes run, one after the other, under one name and address.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) join: WorkerJoin,
    pub(crate) process: Option<PeerId>,
    /// How slow its link can be.
    pub(crate) slowest_us: u64,
    pub(crate) memory: Option<MemoryLimits>,
}

/// What a state asked for in one round of its worker's loop, in the order in which the shell
/// carries it out.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    actions: Vec<Instruction>,
    batch: Vec<WorkerToScheduler>,
    stored: Vec<PutId>,
    close: Option<String>,
}

impl Pending {
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Instruction> + use<> {
        let taken = std::mem::take(self);
        let batch = Some(taken.batch).filter(|batch| !batch.is_empty());
        let stored = taken.stored.into_iter();
        taken
            .actions
            .into_iter()
            .chain(batch.map(Instruction::ToScheduler))
            .chain(stored.map(|put| Instruction::Stored { put }))
            .chain(taken.close.map(|reason| Instruction::Close { reason }))
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) slot: usize,
    pub(crate) state: Option<WorkerState>,
    out: Instructions,
    pub(crate) pending: Pending,
    pub(crate) memo: Memo,
    load: Load,
    pub(crate) started: Moment,
    pub(crate) store: BTreeMap<TaskId, u64>,
    pub(crate) disk: Disk,
    pub(crate) functions: BTreeMap<FunctionId, Function>,
    /// Every run that has not ended, and whether it was cancelled.
    pub(crate) running: BTreeMap<RunKey, bool>,
    pub(crate) queue: BTreeMap<(Priority, TaskId, RunId), Job>,
    /// What is on a thread, or left the pool.
    pub(crate) active: BTreeMap<RunKey, Job>,
    pub(crate) idle: usize,
    pub(crate) seceded: BTreeSet<RunKey>,
    /// Runs that wait to come back into the pool, and whether they would have ended since.
    pub(crate) returning: BTreeMap<RunKey, bool>,
    pub(crate) ended: Vec<RunEnded>,
    pub(crate) inbox: Vec<News>,
    pub(crate) puts: BTreeMap<PutId, CallId>,
    pub(crate) next_put: u64,
    /// Questions that arrived while it could not answer.
    pub(crate) unanswered: Vec<CallId>,
    pub(crate) is_frozen: bool,
    /// When it last went on after a freeze.
    pub(crate) thawed: Moment,
    /// Runs that would have ended while it was frozen.
    pub(crate) late_runs: Vec<RunKey>,
    pub(crate) wake: Option<Moment>,
    pub(crate) timer: Option<Moment>,
    pub(crate) is_lost: bool,
    pub(crate) has_ended: bool,
}

impl Process {
    fn new(slot: usize, nthreads: u32) -> Self {
        Self {
            slot,
            state: None,
            out: Instructions::new(),
            pending: Pending::default(),
            memo: Memo::default(),
            load: Load::default(),
            started: Moment::default(),
            store: BTreeMap::new(),
            disk: Disk::default(),
            functions: BTreeMap::new(),
            running: BTreeMap::new(),
            queue: BTreeMap::new(),
            active: BTreeMap::new(),
            idle: nthreads as usize,
            seceded: BTreeSet::new(),
            returning: BTreeMap::new(),
            ended: Vec::new(),
            inbox: Vec::new(),
            puts: BTreeMap::new(),
            next_put: 0,
            unanswered: Vec::new(),
            is_frozen: false,
            thawed: Moment::default(),
            late_runs: Vec::new(),
            wake: None,
            timer: None,
            is_lost: false,
            has_ended: false,
        }
    }

    /// Its own clock starts with it.
    pub(crate) fn clock(&self, now: Moment) -> Moment {
        Moment::default() + now.since(self.started)
    }

    pub(crate) fn handle(&mut self, now: Moment, event: Event) {
        let now = self.clock(now);
        let Some(state) = &mut self.state else {
            return;
        };
        self.memo.begin(&event, state);
        self.load.begin(&event);
        state.handle(now, event, &mut self.out);
        for instruction in self.out.drain() {
            self.load.does(&instruction);
            self.take_down(instruction);
        }
        self.load.what_starts_has_room();
    }

    fn take_down(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::ToScheduler(messages) => self.pending.batch.extend(messages),
            Instruction::Stored { put } => self.pending.stored.push(put),
            Instruction::Close { reason } => drop(self.pending.close.get_or_insert(reason)),
            action => {
                match &action {
                    Instruction::Fetch { flight, address, tasks } => {
                        self.memo.asks(*flight, address, tasks);
                    }
                    Instruction::Disconnect { address } => self.memo.gave_up(address),
                    _ => {}
                }
                self.pending.actions.push(action);
            }
        }
    }

    /// Whether it can answer questions now.
    pub(crate) fn answers(&self) -> bool {
        self.state.is_some() && !self.is_frozen
    }

    /// What a task needs of the store, in the order of the assignment.
    pub(crate) fn job(&self, compute: &Compute) -> Job {
        let page = compute.body.as_bytes().expect("bodies are bytes here");
        let page: [u8; 8] = page.try_into().expect("a body is a page");
        let held = compute.dependencies.iter();
        let on_disk = held.clone().map(|d| d.task).filter(|d| self.disk.holds.contains(d));
        Job {
            page: usize::try_from(u64::from_le_bytes(page)).expect("a page"),
            on_disk: on_disk.collect(),
            inputs: held.map(|d| self.store.get(&d.task).copied()).collect(),
        }
    }
}

/// A result as it travels.
pub(crate) fn payload(value: u64) -> Payload {
    Payload::Bytes(value.to_le_bytes().to_vec().into())
}

/// The result in a payload.
pub(crate) fn value_of(payload: &Payload) -> u64 {
    let bytes = payload.as_bytes().expect("values are bytes here");
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

impl Sim {
    /// Starts a process in a slot; it says hello.
    pub(crate) fn start_process(&mut self, slot: usize) {
        if self.slots[slot].process.is_some() {
            return;
        }
        let peer = self.new_peer();
        self.slots[slot].process = Some(peer);
        let join = self.slots[slot].join.clone();
        let process = Process::new(slot, join.nthreads);
        self.processes.insert(peer, Box::new(process));
        let slowest = self.slots[slot].slowest_us;
        self.links.insert(peer, Link::new(slowest));
        self.send_up(peer, Up::HelloWorker(Box::new(join)));
    }

    /// Puts something into a worker's inbox, which it empties a little later.
    pub(crate) fn tell_process(&mut self, peer: PeerId, news: News) {
        if let Some(process) = self.processes.get_mut(&peer) {
            process.inbox.push(news);
            self.wake_soon(peer);
        }
    }

    pub(crate) fn wake_soon(&mut self, peer: PeerId) {
        let at = self.now + self.dice.micros(1, 50);
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if process.wake.is_none() && !process.is_frozen {
            process.wake = Some(at);
            self.schedule(at, Happening::Wake(peer));
        }
    }

    /// One round of a worker's loop: all that has arrived, then all that follows from it.
    pub(crate) fn wake(&mut self, peer: PeerId) {
        let Some(mut process) = self.processes.remove(&peer) else {
            return;
        };
        process.wake = None;
        if process.state.is_none() || process.is_frozen {
            self.processes.insert(peer, process);
            return;
        }
        for news in std::mem::take(&mut process.inbox) {
            if process.has_ended || process.is_lost {
                break;
            }
            self.take_news(peer, &mut process, news);
        }
        let ended = std::mem::take(&mut process.ended);
        if !ended.is_empty() {
            for run in &ended {
                process.running.remove(&(run.task, run.run));
            }
            process.handle(self.now, Event::RunsEnded(ended));
        }
        self.carry_out(peer, &mut process);
        if let Some(state) = &process.state {
            state.check_invariants();
        }
        self.processes.insert(peer, process);
        self.after_wake(peer);
    }

    fn after_wake(&mut self, peer: PeerId) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if process.has_ended || process.is_lost {
            self.end_process(peer);
            return;
        }
        let next = process.state.as_ref().and_then(WorkerState::next_timeout);
        let at = next.map(|next| process.started + next.since(Moment::default()));
        if let Some(at) = at.filter(|at| process.timer.is_none_or(|timer| *at < timer)) {
            process.timer = Some(at);
            self.schedule(at, Happening::WorkerTimer(peer));
        }
        self.start_jobs(peer);
    }

    /// A worker's deadline may have come.
    pub(crate) fn worker_timer(&mut self, peer: PeerId) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        process.timer = None;
        if !process.is_frozen {
            self.tell_process(peer, News::Timer);
        }
    }

    fn take_news(&mut self, peer: PeerId, process: &mut Process, news: News) {
        self.note(|| format!("{peer} hears {news:?}"));
        match news {
            News::Said(messages) => {
                for message in &messages {
                    if let SchedulerToWorker::Define { id, function } = message {
                        process.functions.insert(*id, function.clone());
                    }
                }
                process.handle(self.now, Event::SchedulerSaid(messages));
            }
            News::Lost => {
                self.carry_out(peer, process);
                if !process.has_ended {
                    process.is_lost = true;
                    process.handle(self.now, Event::SchedulerLost);
                }
            }
            News::Put(call, values) => {
                let put = PutId(process.next_put);
                process.next_put += 1;
                process.puts.insert(put, call);
                process.handle(self.now, Event::Put { put, values });
            }
            News::Fetched(flight, Some(results)) => {
                process.handle(self.now, Event::Fetched { flight, results });
            }
            News::Fetched(flight, None) => {
                process.handle(self.now, Event::FetchFailed { flight });
            }
            News::Busy(flight) => process.handle(self.now, Event::PeerBusy { flight }),
            News::Seceded((task, run)) => {
                process.handle(self.now, Event::Seceded { task, run });
            }
            News::Rejoining((task, run)) => {
                process.handle(self.now, Event::Rejoining { task, run });
            }
            News::Timer => {
                let memory = self.measure(process);
                process.handle(self.now, Event::Measured { memory });
                process.handle(self.now, Event::Timeout);
            }
            News::Disk(event) => process.handle(self.now, event),
            News::Shutdown => {
                process.handle(self.now, Event::Shutdown);
                process.has_ended = true;
            }
        }
    }

    /// The welcome came: the worker begins.
    pub(crate) fn begin_process(&mut self, peer: PeerId, id: WorkerId, heartbeat_ms: u64) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        let join = &self.slots[process.slot].join;
        process.started = now;
        process.load = Load::new(self.slots[process.slot].memory);
        process.state = Some(WorkerState::new(dask_worker::state::StateConfig {
            id,
            address: join.address.clone(),
            nthreads: join.nthreads,
            resources: join.resources.clone(),
            heartbeat: std::time::Duration::from_millis(heartbeat_ms.max(10)),
            memory: self.slots[process.slot].memory,
        }));
        self.answer_late(peer);
        self.wake_soon(peer);
    }

    /// It stops, as by SIGSTOP; it goes on later.
    pub(crate) fn freeze(&mut self, peer: PeerId, longest_us: u64) {
        let at = self.now + self.dice.micros(1_000, longest_us);
        if let Some(process) = self.processes.get_mut(&peer) {
            process.is_frozen = true;
            self.schedule(at, Happening::Thaw(peer));
        }
    }

    pub(crate) fn thaw(&mut self, peer: PeerId) {
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if !std::mem::take(&mut process.is_frozen) {
            return;
        }
        process.wake = None;
        process.thawed = self.now;
        for run in std::mem::take(&mut process.late_runs) {
            self.schedule(self.now, Happening::RunOver(peer, run));
        }
        self.answer_late(peer);
        self.tell_process(peer, News::Timer);
    }

    /// It is gone without a word: what it sent last may be lost too.
    pub(crate) fn kill(&mut self, peer: PeerId) {
        let cut = self.now + self.dice.micros(1, 2_000);
        self.cut_up(peer, cut);
        self.bury(peer);
    }

    /// It came to its end and said what it had to say.
    pub(crate) fn end_process(&mut self, peer: PeerId) {
        self.finish_up(peer);
        self.bury(peer);
    }

    /// The last words of a process that a task kills.
    pub(crate) fn die(&mut self, peer: PeerId, (task, run): RunKey) {
        let reason = "the task overflowed its stack".to_owned();
        let dying = WorkerToScheduler::Dying { task, run, reason };
        self.send_up(peer, Up::Worker(vec![dying]));
        self.end_process(peer);
    }

    fn bury(&mut self, peer: PeerId) {
        let Some(process) = self.processes.remove(&peer) else {
            return;
        };
        self.note(|| format!("{peer} has ended"));
        if let Some(link) = self.links.get_mut(&peer) {
            link.down.cut(Moment::default());
        }
        let asked = process.unanswered.into_iter();
        let asked: Vec<CallId> = asked.chain(process.puts.into_values()).collect();
        let unread = process.inbox.into_iter().filter_map(|news| match news {
            News::Put(call, _) => Some(call),
            _ => None,
        });
        for call in asked.into_iter().chain(unread) {
            self.fail_call(call);
        }
        let slot = process.slot;
        self.slots[slot].process = None;
        let longest = self.weather.longest_absence_us;
        let at = self.now + self.dice.micros(1_000, longest);
        self.schedule(at, Happening::Restart(slot));
    }

    /// Whether a worker's program has a function.
    pub(crate) fn has_function(&self, slot: usize, function: u32) -> bool {
        let wanted = book::function(function);
        self.slots[slot].join.functions.contains(&wanted)
    }
}
