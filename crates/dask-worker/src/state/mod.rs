#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What a worker knows and decides: a function of its events, without clock, sockets or threads.
//!
//! Reading order: [`Event`] and [`Instruction`]; [`Stage`], where a task can stand; `transition`,
//! the table of what leads from where to where; `gather`, which results are fetched from whom;
//! `resources`, which tasks start; `pool`, which leave their thread and come back; `memory`, what
//! goes to disk, and when nothing starts.

mod admission;
mod event;
mod gather;
mod handle;
mod instruction;
mod invariants;
mod log;
mod memory;
mod pool;
mod ranking;
mod resources;
mod steal;
mod story;
mod task;
mod transition;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dask_proto::id::{RunId, StimulusId, TaskId, WorkerId};
use dask_proto::map::TaskMap;
use dask_proto::{Address, Moment};

pub use event::{Event, Outcome, RunEnded, SpillFailure};
pub use instruction::{FlightId, Instruction, Instructions, PutId};
pub use memory::MemoryLimits;
pub use story::Chapter;
pub use task::Stage;

use gather::Gather;
use log::Log;
use memory::Memory;
use pool::Pool;
use resources::Resources;
use story::Story;
use task::{Run, TaskEntry};
use transition::Next;

/// What a state has to know from the start.
#[derive(Debug, Clone)]
pub struct StateConfig {
    /// The id that the scheduler gave the worker.
    pub id: WorkerId,
    /// Where its peers reach it.
    pub address: Address,
    /// How many tasks run at once.
    pub nthreads: u32,
    /// Abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// How often the scheduler wants to hear from it.
    pub heartbeat: Duration,
    /// What it does as its memory fills; nothing without.
    pub memory: Option<MemoryLimits>,
}

/// The pure part of a worker.
#[derive(Debug)]
pub struct WorkerState {
    config: StateConfig,
    now: Moment,
    stimulus: StimulusId,
    tasks: TaskMap<TaskEntry>,
    gather: Gather,
    resources: Resources,
    pool: Pool,
    /// Runs whose results will be dropped.
    cancelled: BTreeMap<(TaskId, RunId), Run>,
    /// Results that no peer has, within one event.
    missing: BTreeSet<TaskId>,
    /// Transitions to come, within one event.
    work: VecDeque<(TaskId, Next)>,
    log: Log,
    story: Story,
    memory: Memory,
    next_heartbeat: Moment,
}

impl WorkerState {
    /// A worker that was just admitted.
    #[must_use]
    pub fn new(config: StateConfig) -> Self {
        Self {
            now: Moment::default(),
            stimulus: StimulusId(0),
            tasks: TaskMap::default(),
            gather: Gather::new(config.id, config.address.clone()),
            resources: Resources::new(config.nthreads, config.resources.clone()),
            pool: Pool::default(),
            cancelled: BTreeMap::new(),
            missing: BTreeSet::new(),
            work: VecDeque::new(),
            log: Log::default(),
            story: Story::default(),
            memory: Memory::new(config.memory),
            next_heartbeat: Moment::default() + config.heartbeat,
            config,
        }
    }

    /// When the state wants to hear [`Event::Measured`] and [`Event::Timeout`]: the next heartbeat
    /// is due, a peer has taken too long to answer, memory may run out, the disk is to be tried
    /// again, or lines of logs have waited for long enough.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        let (gather, memory) = (self.gather.next_deadline(), self.memory.next_deadline(self.now));
        let others = [gather, memory, self.log.due()];
        others.into_iter().flatten().chain([self.next_heartbeat]).min()
    }

    /// Where a task stands.
    #[must_use]
    pub fn stage(&self, task: TaskId) -> Stage {
        let entry = self.tasks.get(&task);
        entry.map_or(Stage::Released, |entry| entry.state.stage())
    }

    /// The attempt at a task that is to be made here or is under way, and counts.
    #[must_use]
    pub fn run(&self, task: TaskId) -> Option<RunId> {
        self.tasks.get(&task).and_then(|entry| entry.state.run())
    }

    /// The fetches that are under way.
    pub fn flights(&self) -> impl Iterator<Item = FlightId> + '_ {
        self.gather.flights().keys().copied()
    }

    /// Whether nothing is held, asked for, run or kept for anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_empty = self.tasks.is_empty() && self.cancelled.is_empty();
        is_empty && self.memory.in_memory() == 0 && self.resources.are_free()
    }

    /// Every task that the worker knows, in no order that means anything.
    pub fn stages(&self) -> impl Iterator<Item = (TaskId, Stage)> + '_ {
        self.tasks.iter().map(|(id, entry)| (*id, entry.state.stage()))
    }

    /// Runs that go on although their results will be dropped.
    pub fn cancelled(&self) -> impl Iterator<Item = (TaskId, RunId)> + '_ {
        self.cancelled.keys().copied()
    }

    /// The latest transitions of a task, oldest first (Dask's `story`).
    pub fn story(&self, task: TaskId) -> impl Iterator<Item = &Chapter> {
        self.story.of(task)
    }
}
