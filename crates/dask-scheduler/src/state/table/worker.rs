use std::collections::{BTreeMap, BTreeSet};

use dask_proto::graph::Priority;
use dask_proto::id::WorkerId;
use dask_proto::message::{Metrics, WorkerInfo, WorkerJoin, WorkerStatus};
use dask_proto::{Address, Moment};

use super::function::GroupRow;
use super::rank::{Rank, Room};
use super::row_set::{RareRows, RowSet};
use super::task::Row;
use super::worker_map::WorkerMap;
use super::workload::Workload;
use crate::state::insight::log::WorkerLog;
use crate::state::schedule::stealing::{Standing, Stealable};

/// A worker's threads are kept busy this far ahead, in nanoseconds, as far as tasks are known to
/// be short: many times a round trip, so that a worker with tiny tasks never waits for one, and
/// short enough to leave work for a worker that joins later.
pub(in crate::state) const FEED_AHEAD: u64 = 20_000_000;

/// A worker is fed at most this many short tasks ahead.
const MOST_AHEAD: usize = 10_000;

/// How long a cancelled task is expected to keep its thread, in nanoseconds: it may look soon
/// whether it is cancelled, or never.
const LINGERING: u64 = 500_000_000;

/// Tasks that are to move from one worker to another.
#[derive(Debug, Default)]
pub(in crate::state) struct Moving {
    rows: RareRows,
    /// What they will cost, in nanoseconds.
    nanos: u64,
}

impl Moving {
    pub(in crate::state) fn add(&mut self, row: Row, nanos: u64) {
        self.rows.insert(row);
        self.nanos = self.nanos.wrapping_add(nanos);
    }

    pub(in crate::state) fn remove(&mut self, row: Row, nanos: u64) {
        self.rows.remove(row);
        self.nanos = self.nanos.wrapping_sub(nanos);
    }

    pub(in crate::state) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(in crate::state) fn contains(&self, row: Row) -> bool {
        self.rows.contains(row)
    }

    pub(in crate::state) fn nanos(&self) -> u64 {
        self.nanos
    }

    pub(in crate::state) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows.iter()
    }
}

/// What the scheduler knows about a worker.
///
/// Of ten thousand workers each is met after all others, when nothing of it is in a cache any more:
/// so what is looked at for each task lies close together, in the order that is written here, and
/// the rest apart.
#[derive(Debug)]
#[repr(C)]
pub(in crate::state) struct WorkerEntry {
    pub(in crate::state) last_seen: Moment,
    pub(in crate::state) group: GroupRow,
    /// As it said.
    pub(in crate::state) nthreads: u32,
    pub(in crate::state) status: WorkerStatus,
    /// Threads that are busy with cancelled tasks.
    pub(in crate::state) lingering: u32,
    /// How long those of `processing` that did not secede will keep one thread busy.
    pub(in crate::state) work: Workload,
    /// When a run last ended here, or there was nothing to do.
    progress: Moment,
    /// Nanoseconds since then, as of its last report, if all that it has should have been done by
    /// now: its tasks are longer than expected, and whatever waits will wait as long again.
    pub(in crate::state) lag: u64,
    /// The tasks that it was given and has not finished.
    pub(in crate::state) processing: RowSet,
    /// Those of `processing` that left its pool of threads.
    pub(in crate::state) seceded: RareRows,
    /// Those of `processing` that it was asked to give back.
    pub(in crate::state) outgoing: Moving,
    /// The tasks that others were asked for, for this worker.
    pub(in crate::state) incoming: Moving,
    /// Those of `processing` that can be stolen, while somebody wants to.
    pub(in crate::state) stealable: Option<Box<Stealable>>,
    /// The position by which it is chosen, as last computed.
    pub(in crate::state) rank: Option<Rank>,
    /// Where it stands as a thief and as a victim, as last computed.
    pub(in crate::state) standing: Standing,
    /// Whether it may stand elsewhere by now.
    pub(in crate::state) is_touched: bool,
    /// The results that it holds.
    pub(in crate::state) has: RowSet,
    /// Their sizes in bytes.
    pub(in crate::state) nbytes: u64,
    /// The workers it was told of.
    pub(in crate::state) peers: BTreeSet<WorkerId>,
    /// What it said of itself; its functions are those of its group.
    pub(in crate::state) join: Box<WorkerJoin>,
    pub(in crate::state) metrics: Box<Metrics>,
    /// What was said there.
    pub(in crate::state) log: Box<WorkerLog>,
}

/// Four lines of a cache, of the usual size.
const _: () = assert!(std::mem::offset_of!(WorkerEntry, peers) <= 256);

impl WorkerEntry {
    pub(in crate::state) fn new(join: Box<WorkerJoin>, group: GroupRow, now: Moment) -> Self {
        Self {
            last_seen: now,
            group,
            nthreads: join.nthreads,
            status: WorkerStatus::default(),
            lingering: 0,
            work: Workload::default(),
            progress: now,
            lag: 0,
            processing: RowSet::default(),
            seceded: RareRows::default(),
            outgoing: Moving::default(),
            incoming: Moving::default(),
            stealable: None,
            rank: None,
            standing: Standing::default(),
            is_touched: false,
            has: RowSet::default(),
            nbytes: 0,
            peers: BTreeSet::new(),
            join,
            metrics: Box::default(),
            log: Box::default(),
        }
    }

    /// Nanoseconds until its threads are expected to be idle.
    pub(in crate::state) fn load(&self) -> u64 {
        let load = self.spread(self.backlog());
        if self.active() < self.threads() as usize { load } else { load.max(self.lag) }
    }

    /// Nanoseconds of work for one thread, with what is being stolen counted where it goes.
    pub(in crate::state) fn occupancy(&self) -> u64 {
        let total = self.work.total().wrapping_add(self.incoming.nanos);
        // What is moving was valued earlier than what is here.
        total.saturating_sub(self.outgoing.nanos)
    }

    /// The same with what keeps its threads busy beside.
    pub(in crate::state) fn backlog(&self) -> u64 {
        self.occupancy().wrapping_add(u64::from(self.lingering) * LINGERING)
    }

    /// How long so much work for one thread takes on all its threads.
    pub(in crate::state) fn spread(&self, nanos: u64) -> u64 {
        nanos / u64::from(self.nthreads.max(1))
    }

    /// The tasks that run in its pool of threads or wait for it.
    pub(in crate::state) fn active(&self) -> usize {
        self.processing.len() - self.seceded.len()
    }

    /// A run ended.
    pub(in crate::state) fn progressed(&mut self, now: Moment) {
        self.progress = now;
        self.lag = 0;
    }

    /// Notes for how long no run has ended although all should have.
    pub(in crate::state) fn note_lag(&mut self, now: Moment) {
        let silence = now.since(self.progress).as_nanos();
        let silence = u64::try_from(silence).unwrap_or(u64::MAX);
        let is_late = self.active() > 0 && silence > self.spread(self.backlog());
        self.lag = if is_late { silence } else { 0 };
    }

    /// A task cannot be stolen any more.
    pub(in crate::state) fn not_stealable(&mut self, priority: Priority, row: Row) {
        if let Some(list) = &mut self.stealable {
            list.remove(priority, row);
        }
    }

    /// Whether it may be given tasks at all.
    pub(in crate::state) fn takes_tasks(&self) -> bool {
        self.nthreads > 0 && self.status == WorkerStatus::Running
    }

    /// Its position now; none while it takes no tasks.
    pub(in crate::state) fn rank_now(&self, worker: WorkerId, saturation: f64) -> Option<Rank> {
        let room = if self.has_room(saturation) { Room::Some } else { Room::None };
        self.takes_tasks().then(|| Rank::new(worker, self.load(), room))
    }

    /// Whether it should be given another root task.
    pub(in crate::state) fn has_room(&self, saturation: f64) -> bool {
        let threads = self.threads();
        let load = |threads| (self.occupancy() / u64::from(threads)).max(self.lag);
        let is_fed = |threads| load(threads) >= FEED_AHEAD || self.expected() >= MOST_AHEAD;
        self.has_slot(saturation) || (threads > 0 && !is_fed(threads))
    }

    /// Whether it has fewer tasks than threads, as far as saturation goes.
    pub(in crate::state) fn has_slot(&self, saturation: f64) -> bool {
        let threads = self.threads();
        threads > 0 && self.expected() < slots(saturation, threads)
    }

    /// Its threads that no cancelled run keeps busy.
    pub(in crate::state) fn threads(&self) -> u32 {
        self.nthreads.saturating_sub(self.lingering)
    }

    /// How many tasks take its threads, or will once others have given them.
    pub(in crate::state) fn expected(&self) -> usize {
        self.active() + self.incoming.len()
    }

    /// Whether it has as much of these resources as a task holds while it runs.
    pub(in crate::state) fn supplies(&self, resources: &[(String, f64)]) -> bool {
        resources.iter().all(|(name, _)| {
            let same = resources.iter().filter(|(other, _)| other == name);
            let needed: f64 = same.map(|(_, amount)| amount.max(0.0)).sum();
            let supply = self.join.resources.get(name);
            supply.is_some_and(|supply| *supply >= needed)
        })
    }

    pub(in crate::state) fn info(&self) -> WorkerInfo {
        WorkerInfo {
            address: self.join.address.clone(),
            name: self.join.name.clone(),
            nthreads: self.nthreads,
            memory_limit: self.join.memory_limit,
            resources: self.join.resources.clone(),
            pid: self.join.pid,
            nbytes: self.nbytes,
            processing: self.processing.len() as u64,
            status: self.status,
            metrics: *self.metrics,
            program: self.join.program,
        }
    }
}

/// How many tasks saturate so many threads: rounded up, and at least one. Casts saturate, and cost
/// less than a call to round.
fn slots(saturation: f64, threads: u32) -> usize {
    let exact = saturation * f64::from(threads);
    let whole = exact as usize;
    let is_whole = whole as f64 >= exact;
    whole.saturating_add(usize::from(!is_whole)).max(1)
}

/// All workers, by id, name, address and host. Ids grow, so their order is that of joining.
#[derive(Debug, Default)]
pub(in crate::state) struct WorkerTable {
    entries: WorkerMap,
    newest: Option<WorkerId>,
    /// Workers of different programs that one agent started share their name.
    by_name: BTreeMap<String, BTreeSet<WorkerId>>,
    by_address: BTreeMap<Address, WorkerId>,
    by_host: BTreeMap<String, BTreeSet<WorkerId>>,
    by_resource: BTreeMap<String, BTreeSet<WorkerId>>,
    nthreads: u64,
}

impl WorkerTable {
    pub(in crate::state) fn insert(&mut self, worker: WorkerId, entry: WorkerEntry) {
        let join = &entry.join;
        self.by_name.entry(join.name.clone()).or_default().insert(worker);
        self.by_address.insert(join.address.clone(), worker);
        let host = join.address.host().to_owned();
        self.by_host.entry(host).or_default().insert(worker);
        for resource in join.resources.keys() {
            let workers = self.by_resource.entry(resource.clone()).or_default();
            workers.insert(worker);
        }
        self.nthreads += u64::from(join.nthreads);
        self.newest = self.newest.max(Some(worker));
        self.entries.insert(worker, entry);
    }

    pub(in crate::state) fn remove(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let entry = self.entries.remove(worker)?;
        self.newest = self.entries.iter().next_back().map(|(id, _)| id);
        remove_from(&mut self.by_name, &entry.join.name, worker);
        self.by_address.remove(&entry.join.address);
        remove_from(&mut self.by_host, entry.join.address.host(), worker);
        for resource in entry.join.resources.keys() {
            remove_from(&mut self.by_resource, resource, worker);
        }
        self.nthreads -= u64::from(entry.join.nthreads);
        for other in self.entries.values_mut() {
            other.peers.remove(&worker);
        }
        Some(entry)
    }

    pub(in crate::state) fn get(&self, worker: WorkerId) -> Option<&WorkerEntry> {
        self.entries.get(worker)
    }

    pub(in crate::state) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerEntry> {
        self.entries.get_mut(worker)
    }

    pub(in crate::state) fn iter(&self) -> impl Iterator<Item = (WorkerId, &WorkerEntry)> {
        self.entries.iter()
    }

    pub(in crate::state) fn ids(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.entries.iter().map(|(id, _)| id)
    }

    pub(in crate::state) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::state) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The worker that joined last.
    pub(in crate::state) fn newest(&self) -> Option<WorkerId> {
        self.newest
    }

    /// The threads of all workers.
    pub(in crate::state) fn nthreads(&self) -> u64 {
        self.nthreads
    }

    pub(in crate::state) fn by_address(&self, address: &Address) -> Option<WorkerId> {
        self.by_address.get(address).copied()
    }

    /// The workers with a name: more than one only if they run different programs.
    pub(in crate::state) fn by_name(&self, name: &str) -> impl Iterator<Item = WorkerId> + '_ {
        self.by_name.get(name).into_iter().flatten().copied()
    }

    /// The workers that have a resource, in whatever amount.
    pub(in crate::state) fn by_resource(
        &self,
        resource: &str,
    ) -> impl Iterator<Item = WorkerId> + '_ {
        self.by_resource.get(resource).into_iter().flatten().copied()
    }

    /// Whether a user means this worker by a name, an address or a host.
    pub(in crate::state) fn is_named(&self, text: &str, worker: WorkerId) -> bool {
        if let Some(workers) = self.by_name.get(text) {
            return workers.contains(&worker);
        }
        match text.parse().ok().and_then(|a| self.by_address(&a)) {
            Some(named) => named == worker,
            None => self.by_host.get(text).is_some_and(|workers| workers.contains(&worker)),
        }
    }

    /// The workers that a user means by a name, an address or a host.
    pub(in crate::state) fn named(&self, text: &str) -> Vec<WorkerId> {
        if let Some(workers) = self.by_name.get(text) {
            return workers.iter().copied().collect();
        }
        if let Some(worker) = text.parse().ok().and_then(|a| self.by_address(&a)) {
            return vec![worker];
        }
        let by_host = self.by_host.get(text).into_iter().flatten();
        by_host.copied().collect()
    }
}

fn remove_from(index: &mut BTreeMap<String, BTreeSet<WorkerId>>, text: &str, worker: WorkerId) {
    if let Some(workers) = index.get_mut(text) {
        workers.remove(&worker);
        if workers.is_empty() {
            index.remove(text);
        }
    }
}
