//! Which results are in memory and which on disk, and what may start while memory is scarce.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::id::{FunctionId, RunId, TaskId};
use dask_proto::map::TaskMap;
use dask_proto::message::{Compute, WorkerStatus};

use super::event::SpillFailure;

pub(super) use check::{Results, Started};

/// Bytes at which a worker acts; [`NEVER`](MemoryLimits::NEVER) where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Results in memory beyond this go to disk, least recently used first.
    pub target: u64,
    /// Memory of the process beyond this: results go to disk until it is below `target`.
    pub spill: u64,
    /// Memory of the process beyond this: nothing starts. Nor does anything that is known to take
    /// it there.
    pub pause: u64,
}

/// How often memory is measured while it may run out (Dask's `worker.memory.monitor-interval`).
const INTERVAL: Duration = Duration::from_millis(100);

/// How often the allocator is asked to give back what it does not use.
const TRIM_INTERVAL: Duration = Duration::from_millis(500);

/// Writes to disk under way.
const WRITES: usize = 8;

/// Bytes that are under way to disk, unless it is one result alone.
const WRITE_BYTES: u64 = 64 << 20;

/// Results below this stay in memory: what is kept about a file takes as much.
const SMALLEST: u64 = 1024;

/// How long nothing is written after a disk failed: doubled from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Measurements after which a paused worker with nothing to do and nothing to write goes on, one
/// step at a time: what fills its memory does not go away by itself.
const STUCK: u32 = 10;

/// Memory, by task and in all.
#[derive(Debug)]
pub(super) struct Memory {
    limits: Option<MemoryLimits>,
    /// Bytes of memory of the process.
    resident: u64,
    /// Bytes of the process, when it was measured last, that are neither results nor what runs and
    /// fetches take: code, what tasks allocate, what was freed and kept (Dask's unmanaged memory).
    unmanaged: u64,
    /// Bytes of results in memory.
    in_memory: u64,
    /// Bytes of results on disk only.
    spilled: u64,
    /// Every result; empty without limits, as everything below is.
    places: TaskMap<Place>,
    /// What could go to disk, least recently used first.
    recent: BTreeSet<(u64, TaskId)>,
    uses: u64,
    writes: usize,
    write_bytes: u64,
    claims: BTreeMap<(TaskId, RunId), Claim>,
    claimed: u64,
    /// The usual size of a function's results.
    outputs: BTreeMap<FunctionId, u64>,
    /// Bytes that are to go to disk because the process is too large.
    excess: u64,
    is_paused: bool,
    /// Measurements since the worker is paused and cannot help itself.
    stuck: u32,
    /// Set while the disk fails.
    retry: Option<Retry>,
    /// What could not start within this event for want of memory.
    wanted: Option<u64>,
    /// The task in front of the line that waits for memory.
    waiting: Option<TaskId>,
    next_measure: Option<Moment>,
    next_trim: Moment,
    /// Starts within this event.
    started: u32,
}

/// Where a result is.
#[derive(Debug)]
struct Place {
    nbytes: u64,
    site: Site,
    /// Runs that use it: it takes memory for as long, wherever it is.
    claims: u32,
    /// Whether it cannot be written.
    stays: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// In memory, since this use.
    Memory(u64),
    /// In memory, and being written.
    Writing,
    /// On disk only.
    Disk,
}

/// What a run takes.
#[derive(Debug)]
struct Claim {
    inputs: Vec<TaskId>,
    /// Inputs that come from disk, and the result as far as it can be foreseen.
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Moment,
    wait: Duration,
}

impl MemoryLimits {
    /// More bytes than there are.
    pub const NEVER: u64 = u64::MAX;

    /// Whether results ever go to disk.
    #[must_use]
    pub fn spills(&self) -> bool {
        self.target < Self::NEVER || self.spill < Self::NEVER
    }

    /// How far results go to disk once the process is too large.
    fn low(&self) -> u64 {
        self.target.min(self.spill)
    }

    fn lowest(&self) -> u64 {
        self.low().min(self.pause)
    }
}

impl Memory {
    pub(super) fn new(limits: Option<MemoryLimits>) -> Self {
        Self {
            limits,
            resident: 0,
            unmanaged: 0,
            in_memory: 0,
            spilled: 0,
            places: TaskMap::default(),
            recent: BTreeSet::new(),
            uses: 0,
            writes: 0,
            write_bytes: 0,
            claims: BTreeMap::new(),
            claimed: 0,
            outputs: BTreeMap::new(),
            excess: 0,
            is_paused: false,
            stuck: 0,
            retry: None,
            wanted: None,
            waiting: None,
            next_measure: None,
            next_trim: Moment::default(),
            started: 0,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limits.is_some()
    }

    pub(super) fn resident(&self) -> u64 {
        self.resident
    }

    pub(super) fn in_memory(&self) -> u64 {
        self.in_memory
    }

    pub(super) fn spilled(&self) -> u64 {
        self.spilled
    }

    /// When memory is to be measured, or the disk tried again.
    pub(super) fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let retry = self.retry.map(|retry| retry.at).filter(|at| *at > now);
        let retry = retry.filter(|_| !self.recent.is_empty());
        self.next_measure.into_iter().chain(retry).min()
    }

    /// A result is here.
    pub(super) fn stored(&mut self, task: TaskId, nbytes: u64) {
        self.in_memory = self.in_memory.saturating_add(nbytes);
        if self.is_limited() {
            let site = Site::Memory(0);
            self.places.insert(task, Place { nbytes, site, claims: 0, stays: false });
            self.used(task);
        }
    }

    /// A result is dropped.
    pub(super) fn dropped(&mut self, task: TaskId, nbytes: u64) {
        if !self.is_limited() {
            self.in_memory = self.in_memory.saturating_sub(nbytes);
            return;
        }
        let Some(place) = self.places.remove(&task) else {
            return;
        };
        match place.site {
            Site::Memory(at) => {
                self.recent.remove(&(at, task));
                self.in_memory = self.in_memory.saturating_sub(place.nbytes);
            }
            Site::Writing => {
                self.written(place.nbytes);
                self.in_memory = self.in_memory.saturating_sub(place.nbytes);
            }
            Site::Disk => self.spilled = self.spilled.saturating_sub(place.nbytes),
        }
    }

    /// A run begins: its inputs are in memory until it ends.
    pub(super) fn claim(&mut self, compute: &Compute) {
        if !self.is_limited() {
            return;
        }
        self.started += 1;
        let bytes = self.need(compute);
        let inputs = distinct(compute);
        for input in &inputs {
            let Some(place) = self.places.get_mut(input) else {
                continue;
            };
            place.claims += 1;
            if let Site::Memory(at) = place.site {
                self.recent.remove(&(at, *input));
            }
        }
        self.claimed = self.claimed.saturating_add(bytes);
        self.claims.insert((compute.task, compute.run), Claim { inputs, bytes });
    }

    /// A run ended.
    pub(super) fn unclaim(&mut self, task: TaskId, run: RunId) {
        let Some(claim) = self.claims.remove(&(task, run)) else {
            return;
        };
        self.claimed = self.claimed.saturating_sub(claim.bytes);
        for input in claim.inputs {
            if let Some(place) = self.places.get_mut(&input) {
                place.claims = place.claims.saturating_sub(1);
                self.used(input);
            }
        }
    }

    /// Learns what a function gives.
    pub(super) fn learn(&mut self, function: FunctionId, nbytes: u64) {
        if self.is_limited() {
            let mean = self.outputs.entry(function).or_insert(nbytes);
            *mean = *mean / 2 + nbytes / 2;
        }
    }

    /// Bytes that a run adds: inputs from disk, and its result as far as it can be foreseen.
    pub(super) fn need(&self, compute: &Compute) -> u64 {
        if !self.is_limited() {
            return 0;
        }
        let inputs = distinct(compute);
        let places = inputs.iter().filter_map(|input| self.places.get(input));
        // One that is being written is on disk soon.
        let away = places.filter(|place| !matches!(place.site, Site::Memory(_)));
        let inputs = away.fold(0_u64, |sum, place| sum.saturating_add(place.nbytes));
        let output = self.outputs.get(&compute.function).copied().unwrap_or(0);
        inputs.saturating_add(output)
    }

    /// A result is on disk and no longer in memory.
    pub(super) fn spilled_to_disk(&mut self, task: TaskId) {
        let Some(place) = self.places.get_mut(&task).filter(|p| p.site == Site::Writing) else {
            return;
        };
        place.site = Site::Disk;
        let nbytes = place.nbytes;
        self.written(nbytes);
        self.retry = None;
        self.in_memory = self.in_memory.saturating_sub(nbytes);
        self.excess = self.excess.saturating_sub(nbytes);
        self.spilled = self.spilled.saturating_add(nbytes);
    }

    /// A result could not be written.
    pub(super) fn spill_failed(&mut self, now: Moment, task: TaskId, failure: SpillFailure) {
        let Some(place) = self.places.get_mut(&task).filter(|p| p.site == Site::Writing) else {
            return;
        };
        place.site = Site::Memory(0);
        place.stays = failure == SpillFailure::Value;
        let nbytes = place.nbytes;
        self.written(nbytes);
        self.used(task);
        if failure == SpillFailure::Disk && self.retry.is_none_or(|retry| retry.at <= now) {
            let wait = self.retry.map_or(BACK_OFF.0, |retry| (retry.wait * 2).min(BACK_OFF.1));
            self.retry = Some(Retry { at: now + wait, wait });
        }
    }

    /// A result is in memory again.
    pub(super) fn unspilled(&mut self, task: TaskId) {
        let Some(place) = self.places.get_mut(&task).filter(|p| p.site == Site::Disk) else {
            return;
        };
        place.site = Site::Memory(0);
        let nbytes = place.nbytes;
        self.spilled = self.spilled.saturating_sub(nbytes);
        self.in_memory = self.in_memory.saturating_add(nbytes);
        self.used(task);
    }

    /// Takes a measurement; the status of the worker where it changes.
    pub(super) fn measured(&mut self, resident: u64, under_way: UnderWay) -> Option<WorkerStatus> {
        self.resident = resident;
        self.next_measure = None;
        let limits = self.limits?;
        self.unmanaged = resident.saturating_sub(self.committed(under_way.flying));
        let is_shrinking = self.excess > 0 && resident > limits.low();
        self.excess = if resident > limits.spill || is_shrinking {
            resident.saturating_sub(limits.low())
        } else {
            0
        };
        let was_paused = std::mem::replace(&mut self.is_paused, resident > limits.pause);
        let is_stuck =
            self.is_paused && under_way.is_idle && self.writes == 0 && self.recent.is_empty();
        self.stuck = if is_stuck { self.stuck.saturating_add(1) } else { 0 };
        let status = if self.is_paused { WorkerStatus::Paused } else { WorkerStatus::Running };
        (was_paused != self.is_paused).then_some(status)
    }

    /// Whether the allocator is to give back what it does not use: it keeps what was freed, and
    /// the system counts it as used.
    pub(super) fn is_trim_due(&mut self, now: Moment) -> bool {
        let is_due = now >= self.next_trim;
        let is_wanted = self.limits.is_some_and(|limits| self.resident > limits.lowest());
        if is_due && is_wanted {
            self.next_trim = now + TRIM_INTERVAL;
        }
        is_due && is_wanted
    }

    /// An event begins: what could not start may be able to now.
    pub(super) fn reconsider(&mut self, now: Moment) {
        self.wanted = None;
        self.started = 0;
        if self.next_measure.is_some_and(|at| at <= now) {
            self.next_measure = None;
        }
    }

    /// An event ends. Memory is measured again soon while it may run out.
    pub(super) fn schedule_measure(&mut self, now: Moment, under_way: UnderWay) {
        let Some(limits) = self.limits else {
            return;
        };
        let most = self.resident.max(self.in_memory);
        if !under_way.is_idle || most > limits.lowest() / 2 {
            self.next_measure.get_or_insert(now + INTERVAL);
        }
    }

    /// Whether a task or a fetch that adds so much may start. One that is too large for the worker
    /// may when nothing else goes on and nothing more can go to disk.
    pub(super) fn admits(&mut self, need: u64, under_way: UnderWay, now: Moment) -> bool {
        if !self.is_limited() {
            return true;
        }
        let is_failing = self.retry.is_some_and(|retry| retry.at > now);
        let is_alone =
            under_way.is_idle && self.writes == 0 && (self.recent.is_empty() || is_failing);
        if self.is_paused {
            let goes_on = is_alone && self.stuck >= STUCK;
            if goes_on {
                self.stuck = 0;
            }
            return goes_on;
        }
        let total = self.committed(under_way.flying).saturating_add(need);
        let is_admitted = total <= self.available() || is_alone;
        if !is_admitted {
            self.wanted = Some(need);
        }
        is_admitted
    }

    /// A task waits for memory in front of all others: what it needs is not what goes to disk
    /// next.
    pub(super) fn wait(&mut self, compute: &Compute) {
        if self.waiting.replace(compute.task) == Some(compute.task) {
            return;
        }
        for input in distinct(compute) {
            self.used(input);
        }
    }

    /// A fetch begins.
    pub(super) fn departed(&mut self) {
        self.started += 1;
    }

    /// Bytes that tasks and fetches may add.
    pub(super) fn room(&self, flying: u64) -> u64 {
        self.available().saturating_sub(self.committed(flying))
    }

    /// The next result that is to go to disk.
    pub(super) fn next_spill(&mut self, now: Moment, flying: u64) -> Option<TaskId> {
        let limits = self.limits.filter(MemoryLimits::spills)?;
        let most = match self.retry {
            Some(retry) if retry.at > now => 0,
            // Whether it works again is tried with one.
            Some(_) => 1,
            None => WRITES,
        };
        if self.writes >= most || (self.writes > 0 && self.write_bytes >= WRITE_BYTES) {
            return None;
        }
        let goal = self.wanted.map_or(limits.target, |need| {
            let others = self.claimed.saturating_add(flying).saturating_add(need);
            limits.target.min(self.available().saturating_sub(others))
        });
        let staying = self.in_memory.saturating_sub(self.write_bytes);
        if staying <= goal && self.excess <= self.write_bytes {
            return None;
        }
        let (_, task) = self.recent.pop_first()?;
        let place = self.places.get_mut(&task)?;
        place.site = Site::Writing;
        self.writes += 1;
        self.write_bytes += place.nbytes;
        Some(task)
    }

    /// What there is for results and for what uses them.
    fn available(&self) -> u64 {
        let pause = self.limits.map_or(MemoryLimits::NEVER, |limits| limits.pause);
        if pause == MemoryLimits::NEVER { pause } else { pause.saturating_sub(self.unmanaged) }
    }

    /// What is in memory or comes to be there by what has started.
    fn committed(&self, flying: u64) -> u64 {
        self.in_memory.saturating_add(self.claimed).saturating_add(flying)
    }

    fn written(&mut self, nbytes: u64) {
        self.writes = self.writes.saturating_sub(1);
        self.write_bytes = self.write_bytes.saturating_sub(nbytes);
    }

    /// A result was used just now.
    fn used(&mut self, task: TaskId) {
        let spills = self.limits.is_some_and(|limits| limits.spills());
        let Some(place) = self.places.get_mut(&task).filter(|_| spills) else {
            return;
        };
        if let Site::Memory(at) = place.site {
            self.recent.remove(&(at, task));
            self.uses += 1;
            place.site = Site::Memory(self.uses);
            if place.claims == 0 && !place.stays && place.nbytes >= SMALLEST {
                self.recent.insert((self.uses, task));
            }
        }
    }
}

/// What else goes on when something is to start.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnderWay {
    /// Bytes that are being fetched.
    pub(super) flying: u64,
    /// Whether nothing runs and nothing is fetched.
    pub(super) is_idle: bool,
}

fn distinct(compute: &Compute) -> Vec<TaskId> {
    let mut inputs: Vec<_> = compute.dependencies.iter().map(|d| d.task).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}
