//! Random events, most of them sensible: no panic, the tables agree, every fetch and run that the
//! state starts is accounted for, and once all is told nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::graph::Priority;
use dask_proto::id::{FunctionId, RunId, TaskId, WorkerId};
use dask_proto::message::{Compute, Dependency, SchedulerToWorker, ValueAt, WorkerToScheduler};
use dask_proto::{Key, Moment, Payload, TaskError, TaskErrorKind};
use dask_worker::state::{
    Event, FlightId, Instruction, Instructions, MemoryLimits, Outcome, PutId, RunEnded,
    SpillFailure, Stage, StateConfig, WorkerState,
};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn small(&mut self, end: u32) -> u32 {
        u32::try_from(self.below(u64::from(end))).expect("below a u32")
    }

    fn one_of(&mut self, tasks: &BTreeSet<TaskId>) -> Option<TaskId> {
        let place = self.below(tasks.len().max(1) as u64);
        tasks.iter().nth(usize::try_from(place).expect("small")).copied()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const TASKS: u64 = 12;
const PEERS: u32 = 4;

/// A worker and what its shell and its scheduler know.
struct World {
    state: WorkerState,
    random: Random,
    now: u64,
    nthreads: usize,
    runs: BTreeSet<(TaskId, RunId)>,
    fetches: BTreeMap<FlightId, Vec<TaskId>>,
    stored: BTreeSet<TaskId>,
    is_limited: bool,
    /// Results that are being written to disk.
    writing: BTreeSet<TaskId>,
    on_disk: BTreeSet<TaskId>,
    /// The latest attempt that the scheduler asked for.
    attempts: BTreeMap<TaskId, RunId>,
    /// What the scheduler asked back, as often as it did, and has no answer for.
    asked: Vec<(TaskId, RunId)>,
    given: usize,
    next_run: u32,
    next_put: u64,
    trace: Vec<String>,
}

#[test]
fn random_events_leave_the_tables_in_order() {
    let mut given = 0;
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            let event = world.event();
            world.handle(event);
        }
        world.wind_up();
        given += world.given;
    }
    assert!(given > 300, "only {given} tasks were given back");
}

#[test]
fn the_same_events_give_the_same_instructions() {
    let play = || {
        let mut world = World::new(7);
        for _ in 0..500 {
            let event = world.event();
            world.handle(event);
        }
        world.trace
    };
    assert_eq!(play(), play());
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let nthreads = 1 + random.small(3);
        let memory = (seed % 2 == 1).then(|| MemoryLimits {
            target: random.below(60) * 1_000_000,
            spill: 70_000_000,
            pause: if random.one_in(4) { MemoryLimits::NEVER } else { 80_000_000 },
        });
        let state = WorkerState::new(StateConfig {
            id: WorkerId(0),
            address: "tcp://10.0.0.1:1".parse().expect("an address"),
            nthreads,
            resources: BTreeMap::from([("GPU".to_owned(), 2.0)]),
            heartbeat: Duration::from_nanos(50),
            memory,
        });
        let mut world = Self {
            state,
            random,
            now: 0,
            nthreads: nthreads as usize,
            runs: BTreeSet::new(),
            fetches: BTreeMap::new(),
            stored: BTreeSet::new(),
            is_limited: memory.is_some(),
            writing: BTreeSet::new(),
            on_disk: BTreeSet::new(),
            attempts: BTreeMap::new(),
            asked: Vec::new(),
            given: 0,
            next_run: 0,
            next_put: 0,
            trace: Vec::new(),
        };
        let peers = (1..PEERS).map(|id| SchedulerToWorker::Peer {
            id: WorkerId(id),
            address: format!("tcp://10.0.0.{id}:1").parse().expect("an address"),
        });
        let peers = Event::SchedulerSaid(peers.collect());
        world.handle(peers);
        world
    }

    fn task(&mut self) -> TaskId {
        TaskId(self.random.below(TASKS))
    }

    fn tasks(&mut self, most: u64) -> Vec<TaskId> {
        let count = self.random.below(most + 1);
        (0..count).map(|_| self.task()).collect()
    }

    fn event(&mut self) -> Event {
        if self.is_limited && self.random.one_in(3) {
            return self.memory_event();
        }
        match self.random.below(20) {
            0..8 => {
                let count = 1 + self.random.below(3);
                Event::SchedulerSaid((0..count).map(|_| self.message()).collect())
            }
            8..12 => {
                let mut ended = Vec::new();
                for (task, run) in self.runs.clone() {
                    if self.random.one_in(2) {
                        ended.push(self.end(task, run));
                    }
                }
                Event::RunsEnded(ended)
            }
            12..16 if self.random.one_in(5) => match self.fetches.pop_first() {
                Some((flight, _)) => Event::PeerBusy { flight },
                None => Event::Timeout,
            },
            12..16 => self.landing(),
            16 => Event::Put {
                put: PutId(self.next_put),
                values: {
                    self.next_put += 1;
                    let tasks = self.tasks(2);
                    tasks.into_iter().map(|t| (t, 2_000_000, Payload::default())).collect()
                },
            },
            17 => self.change_of_pool(),
            18 if self.random.one_in(3) => {
                Event::Logged { records: Vec::new(), dropped: self.random.below(3) }
            }
            18 => Event::Timeout,
            // Nonsense.
            _ => match self.random.below(3) {
                0 => Event::FetchFailed { flight: FlightId(self.random.below(1000)) },
                1 => Event::RunsEnded(vec![RunEnded {
                    task: self.task(),
                    run: RunId(9999),
                    duration_ns: u64::MAX,
                    outcome: Outcome::Skipped,
                }]),
                _ => Event::Measured { memory: u64::MAX },
            },
        }
    }

    /// A run leaves the pool or wants to come back; sometimes one that does not exist.
    fn change_of_pool(&mut self) -> Event {
        let runs = self.runs.len() as u64;
        let chosen = self.random.below(runs + 1);
        let chosen = self.runs.iter().nth(usize::try_from(chosen).expect("small")).copied();
        let nonsense = (self.task(), RunId(self.next_run.saturating_sub(1)));
        let (task, run) = chosen.unwrap_or(nonsense);
        if self.random.one_in(2) {
            Event::Seceded { task, run }
        } else {
            Event::Rejoining { task, run }
        }
    }

    fn memory_event(&mut self) -> Event {
        let written = self.random.one_of(&self.writing);
        let on_disk = self.random.one_of(&self.on_disk);
        match (self.random.below(8), written, on_disk) {
            (0..4, Some(task), _) => {
                self.writing.remove(&task);
                self.on_disk.insert(task);
                Event::Spilled { task }
            }
            (4, Some(task), _) => {
                self.writing.remove(&task);
                let is_disk = self.random.one_in(2);
                let failure = if is_disk { SpillFailure::Disk } else { SpillFailure::Value };
                Event::SpillFailed { task, failure }
            }
            (5, _, Some(task)) => {
                self.on_disk.remove(&task);
                Event::Unspilled { task }
            }
            (6, _, Some(task)) => Event::Lost { task },
            // Nonsense.
            (7, ..) if self.random.one_in(3) => {
                let (task, failure) = (TaskId(TASKS + 1), SpillFailure::Disk);
                match on_disk {
                    Some(_) => Event::Spilled { task },
                    None => Event::SpillFailed { task, failure },
                }
            }
            _ => {
                self.now += self.random.below(200_000_000);
                Event::Measured { memory: self.random.below(100) * 1_000_000 }
            }
        }
    }

    fn message(&mut self) -> SchedulerToWorker {
        match self.random.below(10) {
            0..5 => {
                self.next_run += 1;
                let task = self.task();
                self.attempts.insert(task, RunId(self.next_run));
                // A graph without cycles.
                let mut dependencies = self.tasks(3);
                dependencies.retain(|dependency| *dependency < task);
                let gpu = self.random.below(4);
                let resources = match gpu {
                    0 => vec![("GPU".to_owned(), 1.5)],
                    1 if self.random.one_in(8) => vec![("GPU".to_owned(), 3.0)],
                    _ => Vec::new(),
                };
                SchedulerToWorker::Compute(Box::new(Compute {
                    task,
                    run: RunId(self.next_run),
                    key: Key::new("k").expect("short"),
                    function: FunctionId(self.random.small(3)),
                    priority: Priority::new(0, self.random.below(5)),
                    dependencies: dependencies.into_iter().map(|t| self.place(t)).collect(),
                    resources,
                    body: Payload::default(),
                }))
            }
            5 | 6 => SchedulerToWorker::Free { tasks: self.tasks(4) },
            7 => SchedulerToWorker::Remove { tasks: self.tasks(2) },
            8 => {
                let tasks: Vec<_> = self.tasks(4).into_iter().map(|t| self.attempt(t)).collect();
                self.asked.extend(&tasks);
                SchedulerToWorker::Steal { tasks }
            }
            _ => {
                let tasks = self.tasks(3);
                let dependencies = tasks.into_iter().map(|t| self.place(t)).collect();
                SchedulerToWorker::Acquire { dependencies }
            }
        }
    }

    /// Mostly the attempt that is under way.
    fn attempt(&mut self, task: TaskId) -> (TaskId, RunId) {
        let latest = self.attempts.get(&task).copied();
        let latest = latest.filter(|_| !self.random.one_in(8));
        (task, latest.unwrap_or(RunId(self.random.small(100))))
    }

    fn place(&mut self, task: TaskId) -> Dependency {
        let count = self.random.below(3);
        let nbytes = if self.random.one_in(10) { 40_000_000 } else { 8 };
        // One id more than there are peers.
        let holders = (0..count).map(|_| WorkerId(self.random.small(PEERS + 1))).collect();
        Dependency { task, nbytes, holders, value: None }
    }

    fn end(&mut self, task: TaskId, run: RunId) -> RunEnded {
        self.runs.remove(&(task, run));
        let outcome = if self.random.one_in(4) {
            let key = Key::new("k").expect("short");
            let error = TaskError::new(TaskErrorKind::Returned, key, "no luck");
            Outcome::Failed(Box::new(error))
        } else if let Some(input) =
            self.random.one_of(&self.on_disk).filter(|_| self.random.one_in(4))
        {
            Outcome::InputsLost(vec![input])
        } else if self.random.one_in(12) {
            Outcome::Rescheduled
        } else {
            let value = Payload::default();
            let nbytes = if self.random.one_in(2) { 30_000_000 } else { 2000 };
            Outcome::Done { value, nbytes, inline: None }
        };
        let duration_ns = self.random.below(100_000);
        RunEnded { task, run, duration_ns, outcome }
    }

    fn landing(&mut self) -> Event {
        let Some((flight, mut tasks)) = self.fetches.pop_first() else {
            return Event::Timeout;
        };
        if self.random.one_in(4) {
            return Event::FetchFailed { flight };
        }
        if self.random.one_in(6) {
            tasks.pop();
        }
        let results = tasks.into_iter().map(|task| {
            let result = match self.random.below(5) {
                0 => ValueAt::Missing,
                1 => ValueAt::Failed("not today".to_owned()),
                _ => ValueAt::Found(Payload::default()),
            };
            (task, result)
        });
        let results = results.collect();
        Event::Fetched { flight, results }
    }

    fn handle(&mut self, event: Event) {
        self.now += 1;
        self.trace.push(format!("{event:?}"));
        let mut out = Instructions::new();
        let is_timeout = event == Event::Timeout;
        let now = Moment::from_nanos(self.now);
        self.state.handle(now, event, &mut out);
        self.state.check_invariants();
        assert!(!is_timeout || self.state.next_timeout() > Some(now), "it never sleeps");
        for instruction in out.drain() {
            self.trace.push(format!("  {instruction:?}"));
            match instruction {
                Instruction::Execute(compute) => {
                    for dependency in &compute.dependencies {
                        assert!(self.stored.contains(&dependency.task), "not in the store");
                    }
                    assert!(self.runs.insert((compute.task, compute.run)), "it runs already");
                }
                Instruction::Fetch { flight, tasks, .. } => {
                    assert!(self.fetches.insert(flight, tasks).is_none());
                }
                Instruction::Store { task, .. } => {
                    assert!(self.stored.insert(task), "{task} is stored twice");
                }
                Instruction::Spill { task } => {
                    assert!(self.stored.contains(&task), "{task} is not in the store");
                    assert!(!self.on_disk.contains(&task), "{task} is on disk");
                    assert!(self.writing.insert(task), "{task} is being written");
                }
                Instruction::Drop { task } => {
                    self.writing.remove(&task);
                    self.on_disk.remove(&task);
                    assert!(self.stored.remove(&task), "{task} is not in the store");
                }
                Instruction::ToScheduler(messages) => {
                    messages.iter().for_each(|message| self.hear(message));
                }
                _ => {}
            }
        }
        assert_eq!(self.asked, [], "no answer");
        let held = self.state.stages().filter(|(_, stage)| *stage == Stage::Memory);
        let held: BTreeSet<_> = held.map(|(task, _)| task).collect();
        assert_eq!(held, self.stored);
        // A thread is never idle while a task is ready that asks for no resources.
        let is_ready = self.state.stages().any(|(_, stage)| stage == Stage::Ready);
        let is_busy = self.runs.len() >= self.nthreads;
        assert!(!is_ready || is_busy || self.is_limited, "a thread is idle");
    }

    fn hear(&mut self, message: &WorkerToScheduler) {
        match message {
            WorkerToScheduler::Erred { error, .. } => {
                assert!(!error.message.contains("lost track"), "{error}");
            }
            WorkerToScheduler::Given { tasks } => {
                for (task, run) in tasks {
                    assert!(!self.runs.contains(&(*task, *run)), "{task} runs and is given");
                }
                self.given += tasks.len();
                self.hear_answers(tasks);
            }
            WorkerToScheduler::Kept { tasks } => self.hear_answers(tasks),
            _ => {}
        }
    }

    fn hear_answers(&mut self, tasks: &[(TaskId, RunId)]) {
        for task in tasks {
            let asked = self.asked.iter().position(|asked| asked == task);
            self.asked.remove(asked.expect("an answer to a question"));
        }
    }

    /// Everything under way ends, and everything is freed.
    fn wind_up(&mut self) {
        // Busy peers have rested by then.
        self.now += 1_000_000_000;
        self.handle(Event::Timeout);
        for _ in 0..200 {
            self.handle(Event::Measured { memory: 0 });
            for task in std::mem::take(&mut self.writing) {
                self.on_disk.insert(task);
                self.handle(Event::Spilled { task });
            }
            if self.runs.is_empty() && self.fetches.is_empty() && self.writing.is_empty() {
                break;
            }
            let runs = self.runs.clone().into_iter();
            let ended = runs.map(|(task, run)| self.end(task, run)).collect();
            self.handle(Event::RunsEnded(ended));
            while !self.fetches.is_empty() {
                let landing = self.landing();
                self.handle(landing);
            }
        }
        let stuck = self.state.stages().find(|(_, stage)| *stage != Stage::Memory);
        assert_eq!(stuck, None, "{}", self.trace.join("\n"));
        let tasks = (0..TASKS).map(TaskId).collect();
        self.handle(Event::SchedulerSaid(vec![SchedulerToWorker::Free { tasks }]));
        assert_eq!(self.state.stages().count(), 0);
        assert_eq!(self.state.cancelled().count(), 0);
    }
}
