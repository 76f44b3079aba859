use std::collections::BTreeSet;
use std::sync::Arc;

use dask_proto::id::{RunId, TaskId, WorkerId};
use dask_proto::message::{Rejection, Welcome, WorkerJoin, WorkerStatus, WorkerToScheduler};
use dask_proto::{Payload, TaskError, TaskErrorKind};

use super::departure::Departure;
use crate::state::SchedulerState;
use crate::state::insight::observe::Observation;
use crate::state::insight::story::Step;
use crate::state::instruction::Peer;
use crate::state::program::UNKNOWN;
use crate::state::table::spec::Source;
use crate::state::table::task::{Row, TaskState};
use crate::state::table::worker::WorkerEntry;
use crate::state::transition::{Copy, Goal};

/// A task is believed to have run at most this long, in nanoseconds: a day.
const LONGEST: u64 = 86_400_000_000_000;

/// A task that a worker reports done.
struct Finished {
    task: TaskId,
    run: RunId,
    nbytes: u64,
    duration_ns: u64,
    value: Option<Payload>,
}

impl SchedulerState {
    pub(in crate::state) fn worker_joined(&mut self, worker: WorkerId, mut join: Box<WorkerJoin>) {
        let peer = Peer::Worker(worker);
        // The names of agents are unique, so a namesake of another program is of the same agent.
        let is_taken = |id| {
            let other = self.workers.get(id).and_then(|entry| entry.join.program);
            other.is_none() || join.program.is_none() || other == join.program
        };
        let name = if self.workers.by_name(&join.name).any(is_taken) {
            Some(join.name.clone())
        } else {
            let address = self.workers.by_address(&join.address);
            address.map(|_| join.address.to_string())
        };
        let rejection = match name {
            _ if self.is_closing => Some(Rejection::Closing),
            // It would be given the tasks whose program is not known yet.
            _ if join.program == Some(UNKNOWN) => {
                let reason = "no executable has the hash of this worker's".to_owned();
                Some(Rejection::Program { reason })
            }
            Some(name) => Some(Rejection::NameTaken { name }),
            None => None,
        };
        if let Some(rejection) = rejection {
            self.out.welcome(peer, Welcome::Rejected(rejection));
            return;
        }
        let heartbeat = self.config.heartbeat.as_millis();
        let welcome = Welcome::Worker {
            id: worker,
            heartbeat_ms: u64::try_from(heartbeat).unwrap_or(u64::MAX),
        };
        self.out.welcome(peer, welcome);
        self.log_own_event(&format!("add-worker {}", join.address));
        self.forget_unused_functions();
        let functions = std::mem::take(&mut join.functions);
        let group = self.functions.join_group(join.program, &functions);
        let program = join.program;
        self.happened(|| {
            let (worker, name) = (join.address.clone(), join.name.clone());
            Observation::WorkerAdded { worker, name }
        });
        self.workers.insert(worker, WorkerEntry::new(join, group, self.now));
        self.equip(worker);
        self.have_newcomer_record(worker);
        self.rerank(worker);
        self.deadlines.insert((self.now + self.config.worker_ttl, worker));
        self.program_runs(program, worker);
        self.rejudge_no_worker();
        self.answer_waits();
    }

    pub(in crate::state) fn worker_said(
        &mut self,
        worker: WorkerId,
        messages: Vec<WorkerToScheduler>,
    ) {
        for message in messages {
            // A message of this batch may have been the last that counts.
            let Some(entry) = self.workers.get_mut(worker) else {
                return;
            };
            entry.last_seen = self.now;
            self.worker_message(worker, message);
            self.settle_agenda();
        }
    }

    fn worker_message(&mut self, worker: WorkerId, message: WorkerToScheduler) {
        match message {
            WorkerToScheduler::Finished { task, run, nbytes, duration_ns, value } => {
                let finished = Finished { task, run, nbytes, duration_ns, value };
                self.finished(worker, finished);
            }
            WorkerToScheduler::Erred { task, run, error } => {
                if let Some(row) = self.attempt(worker, task, run) {
                    self.progressed(worker);
                    self.erred(row, *error);
                }
            }
            WorkerToScheduler::MissingDependencies { task, run, missing } => {
                if let Some(row) = self.attempt(worker, task, run) {
                    self.missing_dependencies(worker, row, &missing);
                }
            }
            WorkerToScheduler::Added { tasks } => {
                for (task, nbytes) in tasks {
                    self.added(worker, task, nbytes);
                }
            }
            WorkerToScheduler::LongRunning { task, run } => {
                if let Some(row) = self.attempt(worker, task, run) {
                    self.long_running(row);
                }
            }
            WorkerToScheduler::Rejoined { task, run } => {
                if let Some(row) = self.attempt(worker, task, run) {
                    self.rejoined(row);
                }
            }
            WorkerToScheduler::Rescheduled { task, run } => self.rescheduled(worker, task, run),
            WorkerToScheduler::Lingering { runs } => self.lingering(worker, runs),
            WorkerToScheduler::NotAcquired { tasks } => {
                for task in tasks {
                    if let Some(row) = self.tasks.row(task) {
                        self.copy_refused(row, worker);
                    }
                }
            }
            WorkerToScheduler::Removed { tasks } => self.removed(worker, &tasks),
            WorkerToScheduler::Lost { tasks } => self.copies_lost(worker, &tasks),
            WorkerToScheduler::Status(status) => self.status_changed(worker, status),
            WorkerToScheduler::Given { tasks } => self.given(worker, &tasks),
            WorkerToScheduler::Kept { tasks } => self.kept(worker, &tasks),
            WorkerToScheduler::Logged { records } => self.logged(worker, records),
            WorkerToScheduler::Heartbeat(metrics) => {
                if let Some(entry) = self.workers.get_mut(worker) {
                    *entry.metrics = metrics;
                    entry.note_lag(self.now);
                    self.rerank(worker);
                }
            }
            WorkerToScheduler::Dying { task, run, reason } => {
                if let Some(row) = self.attempt(worker, task, run) {
                    self.killed_its_worker(row, worker, &reason);
                }
                self.remove_worker(worker, Departure::Explained);
                self.out.disconnect(Peer::Worker(worker), reason);
            }
            WorkerToScheduler::Leaving => {
                self.remove_worker(worker, Departure::Explained);
                let reason = "the worker is leaving".to_owned();
                self.out.disconnect(Peer::Worker(worker), reason);
            }
            WorkerToScheduler::Did { activities } => self.did(worker, activities),
            WorkerToScheduler::Replied { id, reply } => self.replied(worker, id, reply),
            // A worker of a later version says more than this scheduler can use.
            _ => {}
        }
    }

    /// A worker ran out of memory, has room again, or wants to leave.
    fn status_changed(&mut self, worker: WorkerId, status: WorkerStatus) {
        if status == WorkerStatus::Retiring {
            return self.begin_retirement(worker, None);
        }
        if let Some(retirement) = self.retirements.workers.get_mut(&worker) {
            retirement.status = status;
            return;
        }
        let Some(entry) = self.workers.get_mut(worker) else { return };
        if entry.status == status {
            return;
        }
        entry.status = status;
        self.rerank(worker);
        if status == WorkerStatus::Running {
            self.rejudge_no_worker();
        } else {
            self.target_lost(worker);
        }
    }

    /// The task that a worker is computing, if this attempt is the one that counts.
    pub(in crate::state) fn attempt(
        &self,
        worker: WorkerId,
        task: TaskId,
        run: RunId,
    ) -> Option<Row> {
        let row = self.tasks.row(task)?;
        let entry = &self.tasks[row];
        let is_current = entry.run == run && self.is_processing_on(row, worker);
        is_current.then_some(row)
    }

    fn is_processing_on(&self, row: Row, worker: WorkerId) -> bool {
        matches!(&self.tasks[row].state, TaskState::Processing { worker: on, .. } if *on == worker)
    }

    fn finished(&mut self, worker: WorkerId, finished: Finished) {
        let Some(row) = self.attempt(worker, finished.task, finished.run) else {
            self.free_stray(worker, finished.task);
            return;
        };
        if let Some(function) = self.tasks[row].function() {
            // Without a duration it did not run: the worker still had the result.
            if finished.duration_ns > 0 {
                let duration = finished.duration_ns.min(LONGEST);
                let unknown = self.unknown_duration();
                self.functions.learn(function, duration, unknown);
            }
            let expected = self.expected_duration(function);
            if let Some(entry) = self.workers.get_mut(worker) {
                entry.work.finish(function, expected);
                entry.progressed(self.now);
            }
        }
        let copy = Copy { worker, nbytes: finished.nbytes, value: finished.value };
        self.transition(row, Goal::Memory(copy));
    }

    /// A run on this worker came to its end.
    fn progressed(&mut self, worker: WorkerId) {
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.progressed(self.now);
        }
    }

    fn erred(&mut self, row: Row, error: TaskError) {
        let spec = self.tasks[row].spec_mut().filter(|spec| spec.retries > 0);
        if let Some(spec) = spec {
            spec.retries -= 1;
            self.recommend(row, Goal::Waiting);
        } else {
            self.recommend(row, Goal::Erred(Arc::new(error)));
        }
    }

    /// A task asks to be run elsewhere: Dask's `reschedule`.
    fn rescheduled(&mut self, worker: WorkerId, task: TaskId, run: RunId) {
        let Some(row) = self.attempt(worker, task, run) else { return };
        self.progressed(worker);
        self.record_step(row, Step::Rescheduled { worker });
        self.call_off_steal(row);
        let other = self.elsewhere(row, worker);
        self.transition(row, other.map_or(Goal::Waiting, Goal::Processing));
    }

    fn missing_dependencies(&mut self, worker: WorkerId, row: Row, missing: &[(TaskId, WorkerId)]) {
        let dependencies = self.tasks[row].dependencies.iter();
        let dependencies: BTreeSet<Row> = dependencies.copied().collect();
        for (dependency, holder) in missing {
            let dependency = self.tasks.row(*dependency);
            if let Some(dependency) = dependency.filter(|d| dependencies.contains(d)) {
                self.lose_copy(dependency, *holder);
                self.not_fetched(dependency, worker);
            }
        }
        self.recommend(row, Goal::Waiting);
    }

    fn added(&mut self, worker: WorkerId, task: TaskId, nbytes: u64) {
        let Some(row) = self.tasks.row(task) else {
            self.free_stray(worker, task);
            return;
        };
        let entry = &self.tasks[row];
        match (&entry.state, &entry.source) {
            // Said before it heard that it is to have none.
            (TaskState::Memory(_), _) if self.replicas.is_leaving(worker, task) => {}
            (TaskState::Memory(_), _) => {
                self.add_holder(row, worker);
                self.copy_arrived(row, worker);
            }
            (TaskState::Released, Source::Data { .. }) => {
                let copy = Copy { worker, nbytes, value: None };
                self.transition(row, Goal::Memory(copy));
            }
            _ => self.free_stray(worker, task),
        }
    }

    /// Has a worker drop a copy that nobody counts on, unless it was told so already. Not while the
    /// worker computes the task: it was told to drop the copy before it was told to compute, and
    /// would stop computing now.
    fn free_stray(&mut self, worker: WorkerId, task: TaskId) {
        let Some(row) = self.tasks.row(task) else {
            return self.free(worker, task);
        };
        let holders = self.tasks[row].holders();
        let is_holder = holders.is_some_and(|holders| holders.contains(worker));
        let is_told = self.replicas.is_leaving(worker, task);
        if !is_holder && !is_told && !self.is_processing_on(row, worker) {
            self.tell_to_remove(row, worker);
        }
    }

    /// A worker names the task that is killing it.
    fn killed_its_worker(&mut self, row: Row, worker: WorkerId, reason: &str) {
        let address = self.workers.get(worker).map(|w| w.join.address.clone());
        let task = &self.tasks[row];
        let function = task.function().map(|f| self.functions.get(f));
        let error = TaskError {
            function: function.map_or_else(String::new, |f| f.function.path.clone()),
            worker: address,
            ..TaskError::new(TaskErrorKind::KilledWorker, task.key.clone(), reason)
        };
        self.recommend(row, Goal::Erred(Arc::new(error)));
    }
}
