use std::collections::BinaryHeap;
use std::sync::Arc;

use dask_proto::id::{TaskId, WorkerId};
use dask_proto::{Address, TaskError, TaskErrorKind};

use crate::state::SchedulerState;
use crate::state::insight::observe::Observation;
use crate::state::instruction::Peer;
use crate::state::table::task::{Row, TaskState};
use crate::state::table::worker::WorkerEntry;
use crate::state::transition::Goal;

/// How often as many workers as may die under a task may die while it seems to wait there for its
/// turn, before it is suspected nonetheless. Dask suspects it at once.
const PATIENCE: u32 = 2;

/// How a worker went.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) enum Departure<'a> {
    /// Nobody knows why: what it was running is suspicious.
    Lost(&'a str),
    /// It said goodbye, or said which task is killing it: no other task is to blame.
    Explained,
}

/// What a task may have to do with the death of the worker that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// It may have been running.
    Running,
    /// It seems to have waited for its turn.
    Beside,
}

impl SchedulerState {
    /// Forgets a worker: what it was computing and the results that it alone held are computed
    /// elsewhere.
    pub(in crate::state) fn remove_worker(&mut self, worker: WorkerId, departure: Departure<'_>) {
        let Some(entry) = self.workers.remove(worker) else {
            return;
        };
        self.log_own_event(&format!("remove-worker {}", entry.join.address));
        self.functions.rerank(entry.group, entry.rank, None);
        self.functions.leave_group(entry.group);
        self.program_left(entry.join.program, worker);
        self.stealing.withdraw(worker, entry.group, entry.standing);
        self.lose_thief(&entry);
        self.out.discard(Peer::Worker(worker));
        self.replicas.forget_worker(worker);
        self.target_lost(worker);
        self.end_retirement(worker);
        self.answer_for_the_gone(worker, &entry.join.address);
        self.happened(|| {
            let (worker, name) = (entry.join.address.clone(), entry.join.name.clone());
            Observation::WorkerRemoved { worker, name }
        });
        for row in entry.has.iter() {
            self.lose_copy(row, worker);
        }
        if let Departure::Lost(reason) = departure {
            for (row, suspicion) in self.suspicions(&entry) {
                self.suspect(row, suspicion, (&entry.join.address, reason));
            }
        }
        for row in self.in_order(entry.processing.iter()) {
            self.recommend(row, Goal::Waiting);
        }
        self.rejudge_queued();
        self.remove_clients_of(worker);
    }

    /// A worker cannot read back from its disk what it had.
    pub(in crate::state) fn copies_lost(&mut self, worker: WorkerId, tasks: &[TaskId]) {
        for task in tasks {
            if let Some(row) = self.tasks.row(*task) {
                self.lose_copy(row, worker);
            }
        }
    }

    /// Notes that a worker has no copy of a result: the last copy gone means that it is lost.
    pub(in crate::state) fn lose_copy(&mut self, row: Row, worker: WorkerId) {
        if !self.remove_holder(row, worker) {
            return;
        }
        // The worker may have it after all, and be asked only too late: then nobody counts on it.
        self.tell_to_remove(row, worker);
        if self.tasks[row].holders().is_some_and(|holders| holders.is_empty()) {
            let goal = match self.tasks[row].spec() {
                Some(_) => self.afterlife(row),
                None => Goal::Erred(Arc::new(self.lost_data(
                    row,
                    "every worker that held the scattered data is gone, and it cannot be \
                     computed again",
                ))),
            };
            self.recommend(row, goal);
        }
    }

    pub(in crate::state) fn lost_data(&self, row: Row, message: &str) -> TaskError {
        let key = self.tasks[row].key.clone();
        TaskError::new(TaskErrorKind::LostData, key, message)
    }

    /// Why scattered data cannot be had that is wanted again.
    pub(in crate::state) fn let_go(&self, row: Row) -> TaskError {
        self.lost_data(
            row,
            "the scattered data was dropped when nobody held it any more, and it cannot be \
             computed again",
        )
    }

    /// Gives up workers that have been silent for too long.
    pub(in crate::state) fn remove_silent_workers(&mut self) {
        while let Some((at, worker)) = self.deadlines.first().copied() {
            if at > self.now {
                return;
            }
            self.deadlines.remove(&(at, worker));
            let Some(entry) = self.workers.get(worker) else {
                continue;
            };
            let deadline = entry.last_seen + self.config.worker_ttl;
            if deadline > self.now {
                self.deadlines.insert((deadline, worker));
            } else {
                let ttl = self.config.worker_ttl;
                self.disconnect(
                    Peer::Worker(worker),
                    format!("nothing was heard from the worker for {ttl:?}"),
                );
            }
        }
    }

    /// The tasks that a worker had when it died, and which of them it may have been executing.
    ///
    /// Dask suspects all that it was given; with thousands of them fed ahead most of those had no
    /// part in it. A worker starts tasks in the order of their priority, so the suspects are the
    /// first ones, as many as it has threads, and those that had left the pool of threads. But it
    /// does not stop one for another that is more urgent and came later: suspects are also those
    /// that were to wait for fewer than it has threads when they came.
    fn suspicions(&self, entry: &WorkerEntry) -> Vec<(Row, Suspicion)> {
        let nthreads = usize::try_from(entry.nthreads).unwrap_or(usize::MAX);
        let seceded = entry.seceded.iter().map(|row| (row, Suspicion::Running));
        let mut suspicions: Vec<_> = seceded.collect();
        // When those were given that are more urgent: of as many as has threads, the earliest.
        let mut ahead = BinaryHeap::new();
        let in_pool = entry.processing.difference(&entry.seceded);
        for (place, row) in self.in_order(in_pool).into_iter().enumerate() {
            let mut is_running = place < nthreads;
            if let Some(given) = self.could_start_since(row, entry) {
                let is_later = |last: &u32| given < *last;
                is_running |= ahead.len() < nthreads || ahead.peek().is_some_and(is_later);
                // One that needs resources can have waited for them instead.
                if self.tasks[row].spec().is_some_and(|spec| spec.options().resources.is_empty()) {
                    ahead.push(given);
                }
                if ahead.len() > nthreads {
                    ahead.pop();
                }
            }
            let suspicion = if is_running { Suspicion::Running } else { Suspicion::Beside };
            suspicions.push((row, suspicion));
        }
        suspicions
    }

    /// When a worker was given a task, if all that it depends on is there.
    fn could_start_since(&self, row: Row, entry: &WorkerEntry) -> Option<u32> {
        let task = &self.tasks[row];
        let TaskState::Processing { given, .. } = &task.state else {
            return None;
        };
        let has_all = task.dependencies.iter().all(|dependency| entry.has.contains(*dependency));
        has_all.then_some(*given)
    }

    /// Tasks in the order of their priority.
    fn in_order(&self, rows: impl Iterator<Item = Row>) -> Vec<Row> {
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by_key(|row| (self.tasks[*row].priority(), *row));
        rows
    }

    /// A worker died that had a task. One that has been beside too many deaths in a row is
    /// suspected too: it may be that it did run, and that others were blamed for what it did.
    fn suspect(&mut self, row: Row, suspicion: Suspicion, (worker, reason): (&Address, &str)) {
        let allowed = self.config.allowed_failures;
        let deaths = self.tasks[row].deaths_mut();
        if suspicion == Suspicion::Beside {
            deaths.beside = deaths.beside.saturating_add(1);
            if deaths.beside <= allowed.saturating_add(1).saturating_mul(PATIENCE) {
                return;
            }
        }
        deaths.suspected.push(worker.clone());
        if deaths.suspected.len() > allowed as usize {
            let error = self.killed_workers(row, reason);
            self.recommend(row, Goal::Erred(Arc::new(error)));
        }
    }

    /// Dask's `KilledWorker`.
    fn killed_workers(&self, row: Row, reason: &str) -> TaskError {
        let task = &self.tasks[row];
        let deaths = task.suspected();
        let names: Vec<&str> = deaths.iter().map(|address| address.as_str()).collect();
        let message = format!(
            "{} workers died while they had this task: {}; the last because {reason}. Usual causes \
             are too little memory (the system kills the process), a stack overflow, a crash in \
             foreign code, or somebody killing the process: see the logs of these workers",
            names.len(),
            names.join(", "),
        );
        let function = task.function().map(|f| self.functions.get(f));
        TaskError {
            function: function.map_or_else(String::new, |f| f.function.path.clone()),
            worker: deaths.last().cloned(),
            ..TaskError::new(TaskErrorKind::KilledWorker, task.key.clone(), message)
        }
    }
}
