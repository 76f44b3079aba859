use dask_proto::id::{TaskId, WorkerId};
use dask_proto::map::SmallList;
use dask_proto::message::{Compute, Dependency, SchedulerToWorker};

use crate::config::WorkStealing;
use crate::state::SchedulerState;
use crate::state::table::function::FunctionRow;
use crate::state::table::task::{Row, TaskState};

/// A worker is told of at most this many holders of a dependency.
const HOLDERS_TOLD: usize = 8;

impl SchedulerState {
    /// The end of every edge to processing: gives a task to a worker.
    pub(in crate::state) fn assign(&mut self, row: Row, worker: WorkerId) {
        let task = &mut self.tasks[row];
        task.run.0 = task.run.0.wrapping_add(1);
        // Its lower half, as is said there.
        let given = self.stimulus.0 as u32;
        self.set_state(row, TaskState::Processing { worker, given, seceded: false, kept: false });
        self.tell_to_compute(row, worker);
    }

    /// Tells a worker to forget a task, if it is still there.
    pub(in crate::state) fn free(&mut self, worker: WorkerId, task: TaskId) {
        if self.workers.get(worker).is_some() {
            self.out.free(worker, task);
        }
    }

    /// Notes where a worker stands now: among its group, and, once the event is over, as one that
    /// steals or is stolen from.
    pub(in crate::state) fn rerank(&mut self, worker: WorkerId) {
        let saturation = self.config.worker_saturation;
        if let Some(entry) = self.workers.get_mut(worker) {
            let (old, new) = (entry.rank, entry.rank_now(worker, saturation));
            if old != new {
                entry.rank = new;
                self.functions.rerank(entry.group, old, new);
            }
            if self.config.work_stealing == WorkStealing::On {
                self.stealing.touch(worker, entry);
            }
        }
    }

    /// How long a task of a function is expected to run, in nanoseconds.
    pub(in crate::state) fn expected_duration(&self, function: FunctionRow) -> u64 {
        let learned = self.functions.get(function).duration;
        learned.unwrap_or_else(|| self.unknown_duration()).max(1)
    }

    /// How long a task is assumed to run while nothing is known, in nanoseconds.
    pub(in crate::state) fn unknown_duration(&self) -> u64 {
        let unknown = self.config.unknown_task_duration.as_nanos();
        u64::try_from(unknown).unwrap_or(u64::MAX)
    }

    fn tell_to_compute(&mut self, row: Row, worker: WorkerId) {
        let dependencies = self.tasks[row].dependencies.iter();
        let dependencies: Vec<_> = dependencies.map(|row| self.input(*row, worker)).collect();
        self.introduce_peers(&dependencies, worker);
        let task = &self.tasks[row];
        let Some(spec) = task.spec() else { return };
        let compute = Compute {
            task: self.tasks.id(row),
            run: task.run,
            key: task.key.clone(),
            function: spec.function.id(),
            priority: task.priority(),
            dependencies,
            resources: spec.options().resources.clone(),
            body: task.body(),
        };
        let function = spec.function;
        let is_new = self.workers.get_mut(worker).is_some_and(|entry| entry.work.tell(function));
        if is_new {
            let define = SchedulerToWorker::Define {
                id: function.id(),
                function: self.functions.get(function).function.clone(),
            };
            self.out.tell_worker(worker, define);
        }
        let compute = SchedulerToWorker::Compute(Box::new(compute));
        self.out.tell_worker(worker, compute);
    }

    /// A result that a task of this worker needs: itself if it is small, also where the worker has
    /// a copy, since to name the holders costs more; else where it is.
    fn input(&self, row: Row, worker: WorkerId) -> Dependency {
        let known = self.tasks[row].holders();
        match known.and_then(|known| Some((known.nbytes(), known.value()?))) {
            Some((nbytes, value)) => {
                let (task, holders) = (self.tasks.id(row), SmallList::Empty);
                Dependency { task, nbytes, holders, value: Some(value) }
            }
            None => self.dependency(row, worker),
        }
    }

    /// Where a result is, for one worker: its own copy first, and then others, different ones for
    /// different results, so that the holders share the load.
    pub(in crate::state) fn dependency(&self, row: Row, worker: WorkerId) -> Dependency {
        let task = &self.tasks[row];
        let mut holders = SmallList::Empty;
        if let Some(known) = task.holders() {
            let own = known.contains(worker).then_some(worker);
            let newest = self.workers.newest().map_or(0, |newest| newest.0);
            let start = WorkerId(row.number() % newest.saturating_add(1).max(1));
            let others = known.iter_from(start).filter(|holder| *holder != worker);
            holders = own.into_iter().chain(others).take(HOLDERS_TOLD).collect();
        }
        let nbytes = task.nbytes().unwrap_or(0);
        Dependency { task: self.tasks.id(row), nbytes, holders, value: None }
    }

    /// Tells a worker the addresses of holders that it does not know yet.
    pub(in crate::state) fn introduce_peers(
        &mut self,
        dependencies: &[Dependency],
        worker: WorkerId,
    ) {
        let mut last = worker;
        for &id in dependencies.iter().flat_map(|d| d.holders.iter()) {
            // Neighbours are mostly on the same worker.
            if id == worker || std::mem::replace(&mut last, id) == id {
                continue;
            }
            let Some(peer) = self.workers.get(id) else {
                continue;
            };
            let address = peer.join.address.clone();
            let entry = self.workers.get_mut(worker);
            if entry.is_some_and(|entry| entry.peers.insert(id)) {
                let peer = SchedulerToWorker::Peer { id, address };
                self.out.tell_worker(worker, peer);
            }
        }
    }
}
