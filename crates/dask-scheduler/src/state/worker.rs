use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::WorkerId;
use dask_proto::message::{Metrics, WorkerInfo, WorkerJoin, WorkerStatus};
use dask_proto::{Address, Moment};

use super::function::{FunctionRow, GroupRow, Rank};
use super::task::Row;

/// A worker's threads are kept busy this far ahead, in nanoseconds, as far as tasks are known to
/// be short: many times a round trip, so that a worker with tiny tasks never waits for one, and
/// short enough to leave work for a worker that joins later.
pub(super) const FEED_AHEAD: u64 = 20_000_000;

/// A worker is fed at most this many short tasks ahead.
const MOST_AHEAD: usize = 10_000;

/// How long a cancelled task is expected to keep its thread, in nanoseconds: it may look soon
/// whether it is cancelled, or never.
const LINGERING: u64 = 500_000_000;

/// What the scheduler knows about a worker.
#[derive(Debug)]
pub(super) struct WorkerEntry {
    pub(super) join: WorkerJoin,
    pub(super) group: GroupRow,
    /// The position by which it is chosen, as last computed.
    pub(super) rank: Option<Rank>,
    /// The tasks that it was given and has not finished.
    pub(super) processing: BTreeSet<Row>,
    /// Those of `processing` that left its pool of threads.
    pub(super) seceded: BTreeSet<Row>,
    /// How long those of `processing` that did not secede will keep one thread busy, in
    /// nanoseconds. Sums of a peer's claims wrap instead of panicking.
    pub(super) occupancy: u64,
    /// Threads that are busy with cancelled tasks.
    pub(super) lingering: u32,
    /// The results that it holds.
    pub(super) has: BTreeSet<Row>,
    /// Their sizes in bytes.
    pub(super) nbytes: u64,
    /// The functions it was told of.
    pub(super) functions: BTreeSet<FunctionRow>,
    /// The workers it was told of.
    pub(super) peers: BTreeSet<WorkerId>,
    pub(super) last_seen: Moment,
    pub(super) status: WorkerStatus,
    pub(super) metrics: Metrics,
    pub(super) finished: BTreeMap<FunctionRow, u64>,
}

impl WorkerEntry {
    pub(super) fn new(join: WorkerJoin, group: GroupRow, now: Moment) -> Self {
        Self {
            join,
            group,
            rank: None,
            processing: BTreeSet::new(),
            seceded: BTreeSet::new(),
            occupancy: 0,
            lingering: 0,
            has: BTreeSet::new(),
            nbytes: 0,
            functions: BTreeSet::new(),
            peers: BTreeSet::new(),
            last_seen: now,
            status: WorkerStatus::default(),
            metrics: Metrics::default(),
            finished: BTreeMap::new(),
        }
    }

    /// Nanoseconds until its threads are expected to be idle.
    pub(super) fn load(&self) -> u64 {
        let lingering = u64::from(self.lingering) * LINGERING;
        self.occupancy.wrapping_add(lingering) / u64::from(self.join.nthreads.max(1))
    }

    /// Whether it may be given tasks at all.
    pub(super) fn takes_tasks(&self) -> bool {
        self.join.nthreads > 0 && self.status == WorkerStatus::Running
    }

    /// Its position now; none while it takes no tasks.
    pub(super) fn rank_now(&self, worker: WorkerId, saturation: f64) -> Option<Rank> {
        self.takes_tasks().then(|| Rank {
            full: !self.has_room(saturation),
            load: self.load(),
            worker,
        })
    }

    /// Whether it should be given another root task.
    pub(super) fn has_room(&self, saturation: f64) -> bool {
        let threads = self.threads();
        let is_fed = |threads| self.occupancy / u64::from(threads) >= FEED_AHEAD;
        self.has_slot(saturation) || (threads > 0 && !is_fed(threads) && self.active() < MOST_AHEAD)
    }

    /// Whether it has fewer tasks than threads, as far as saturation goes.
    pub(super) fn has_slot(&self, saturation: f64) -> bool {
        let threads = self.threads();
        threads > 0 && (self.active() as f64) < (saturation * f64::from(threads)).ceil().max(1.0)
    }

    /// Its threads that no cancelled run keeps busy.
    fn threads(&self) -> u32 {
        self.join.nthreads.saturating_sub(self.lingering)
    }

    /// How many tasks it has that take a thread.
    fn active(&self) -> usize {
        self.processing.len() - self.seceded.len()
    }

    /// Whether it has as much of these resources as a task holds while it runs.
    pub(super) fn supplies(&self, resources: &[(String, f64)]) -> bool {
        resources.iter().all(|(name, amount)| {
            let supply = self.join.resources.get(name);
            supply.is_some_and(|supply| supply >= amount)
        })
    }

    pub(super) fn info(&self) -> WorkerInfo {
        WorkerInfo {
            address: self.join.address.clone(),
            name: self.join.name.clone(),
            nthreads: self.join.nthreads,
            memory_limit: self.join.memory_limit,
            resources: self.join.resources.clone(),
            pid: self.join.pid,
            nbytes: self.nbytes,
            processing: self.processing.len() as u64,
            status: self.status,
            metrics: self.metrics,
        }
    }
}

/// All workers, by id, name, address and host. Ids grow, so their order is that of joining.
#[derive(Debug, Default)]
pub(super) struct WorkerTable {
    entries: BTreeMap<WorkerId, WorkerEntry>,
    by_name: BTreeMap<String, WorkerId>,
    by_address: BTreeMap<Address, WorkerId>,
    by_host: BTreeMap<String, BTreeSet<WorkerId>>,
    by_resource: BTreeMap<String, BTreeSet<WorkerId>>,
    nthreads: u64,
}

impl WorkerTable {
    pub(super) fn insert(&mut self, worker: WorkerId, entry: WorkerEntry) {
        let join = &entry.join;
        self.by_name.insert(join.name.clone(), worker);
        self.by_address.insert(join.address.clone(), worker);
        let host = join.address.host().to_owned();
        self.by_host.entry(host).or_default().insert(worker);
        for resource in join.resources.keys() {
            let workers = self.by_resource.entry(resource.clone()).or_default();
            workers.insert(worker);
        }
        self.nthreads += u64::from(join.nthreads);
        self.entries.insert(worker, entry);
    }

    pub(super) fn remove(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let entry = self.entries.remove(&worker)?;
        self.by_name.remove(&entry.join.name);
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

    pub(super) fn get(&self, worker: WorkerId) -> Option<&WorkerEntry> {
        self.entries.get(&worker)
    }

    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerEntry> {
        self.entries.get_mut(&worker)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &WorkerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.entries.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The worker that joined last.
    pub(super) fn newest(&self) -> Option<WorkerId> {
        self.entries.keys().next_back().copied()
    }

    /// The threads of all workers.
    pub(super) fn nthreads(&self) -> u64 {
        self.nthreads
    }

    pub(super) fn by_address(&self, address: &Address) -> Option<WorkerId> {
        self.by_address.get(address).copied()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<WorkerId> {
        self.by_name.get(name).copied()
    }

    /// The workers that have a resource, in whatever amount.
    pub(super) fn by_resource(&self, resource: &str) -> impl Iterator<Item = WorkerId> + '_ {
        self.by_resource.get(resource).into_iter().flatten().copied()
    }

    /// The workers that a user means by a name, an address or a host.
    pub(super) fn named(&self, text: &str) -> Vec<WorkerId> {
        let by_address = || text.parse().ok().and_then(|a| self.by_address(&a));
        if let Some(worker) = self.by_name(text).or_else(by_address) {
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
