//! Events: what each leads to at first. What follows from that is in the table of transitions.

use dask_proto::id::{TaskId, WorkerId};
use dask_proto::message::{
    Compute, Dependency, Metrics, SchedulerToWorker, ValueAt, WorkerToScheduler,
};
use dask_proto::{Moment, Payload, TaskError, TaskErrorKind};

use super::WorkerState;
use super::event::{Event, Outcome, RunEnded};
use super::gather::Flight;
use super::instruction::{FlightId, Instruction, Instructions, PutId};
use super::task::{Stage, TaskState};
use super::transition::Next;

impl WorkerState {
    /// Takes one event and appends everything that follows from it.
    pub fn handle(&mut self, now: Moment, event: Event, out: &mut Instructions) {
        self.now = now;
        self.stimulus.0 += 1;
        out.begin(self.stimulus);
        match event {
            Event::SchedulerSaid(messages) => {
                for message in messages {
                    self.scheduler_said(message, out);
                    self.run_transitions(out);
                }
            }
            Event::SchedulerLost => out.close("the connection to the scheduler was lost".into()),
            Event::RunsEnded(runs) => {
                for run in runs {
                    self.run_ended(run, out);
                    self.run_transitions(out);
                }
            }
            Event::Seceded { task, run } => self.seceded(task, run),
            Event::Rejoining { task, run } => self.rejoining(task, run),
            Event::Fetched { flight, results } => self.fetched(flight, results, out),
            Event::FetchFailed { flight } => self.fetch_failed(flight),
            Event::PeerBusy { flight } => self.peer_busy(flight),
            Event::Put { put, values } => self.put(put, values, out),
            Event::Logged { records, dropped } => self.logged(records, dropped),
            Event::Measured { memory } => self.measured(memory, out),
            Event::Spilled { task } => self.memory.spilled_to_disk(task),
            Event::SpillFailed { task, failure } => {
                self.memory.spill_failed(self.now, task, failure);
            }
            Event::Unspilled { task } => self.memory.unspilled(task),
            Event::Lost { task } => self.lost(task, out),
            Event::Timeout => self.timed_out(out),
            Event::Shutdown => {
                self.tell_last_lines(out);
                out.tell(WorkerToScheduler::Leaving);
                out.close("the worker was asked to end".into());
            }
        }
        self.run_transitions(out);
        // What is given back may be what another task here needs: then that goes back as well.
        while !self.missing.is_empty() {
            self.report_missing(out);
        }
        self.start(out);
        self.tell_lingering(out);
        self.tell_lines(out);
    }

    fn scheduler_said(&mut self, message: SchedulerToWorker, out: &mut Instructions) {
        match message {
            SchedulerToWorker::Peer { id, address } => self.gather.define(id, address),
            SchedulerToWorker::Compute(compute) => self.compute(compute, out),
            SchedulerToWorker::Free { tasks } => {
                for task in tasks {
                    self.free(task);
                    self.run_transitions(out);
                }
            }
            SchedulerToWorker::Acquire { dependencies } => {
                for dependency in dependencies {
                    self.acquire(&dependency, out);
                }
            }
            SchedulerToWorker::Steal { tasks } => self.steal(tasks, out),
            SchedulerToWorker::Remove { tasks } => {
                for &task in &tasks {
                    self.free(task);
                    self.run_transitions(out);
                }
                out.tell(WorkerToScheduler::Removed { tasks });
            }
            SchedulerToWorker::Close { reason } => out.close(reason),
            // Functions are the shell's.
            _ => {}
        }
    }

    fn compute(&mut self, compute: Box<Compute>, out: &mut Instructions) {
        let task = compute.task;
        let entry = self.tasks.get(&task);
        if let Some(entry) = entry.filter(|entry| matches!(entry.state, TaskState::Memory)) {
            out.tell(WorkerToScheduler::Finished {
                task,
                run: compute.run,
                nbytes: entry.nbytes,
                duration_ns: 0,
                value: None,
            });
            return;
        }
        let earlier = entry.and_then(|entry| entry.state.run());
        if earlier == Some(compute.run) {
            return;
        }
        if earlier.is_some() {
            self.work.push_back((task, Next::Released));
        }
        self.work.push_back((task, Next::Waiting(compute)));
    }

    fn free(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        entry.acquired = false;
        let is_fetched =
            matches!(entry.state, TaskState::Fetch | TaskState::Flight(_) | TaskState::Missing);
        // What a task here still waits for goes on coming; a copy is reported, and freed then.
        if !(is_fetched && entry.is_needed()) {
            self.work.push_back((task, Next::Released));
        }
    }

    /// The scheduler wants a copy here. It hears of every one: that it is here, which it was told
    /// already when there is one, or that it could not be had.
    fn acquire(&mut self, dependency: &Dependency, out: &mut Instructions) {
        let task = dependency.task;
        self.inform(dependency);
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        match entry.state.stage() {
            Stage::Memory => {}
            // A fetch that is under way goes on.
            Stage::Fetch | Stage::Flight => entry.acquired = true,
            Stage::Released | Stage::Missing => {
                entry.acquired = true;
                self.work.push_back((task, Next::Fetch));
            }
            // It is to be computed here, and the scheduler hears of that.
            _ => out.not_acquired(task),
        }
    }

    fn run_ended(&mut self, ended: RunEnded, out: &mut Instructions) {
        let RunEnded { task, run: id, .. } = ended;
        self.memory.unclaim(task, id);
        if let Outcome::InputsLost(lost) = &ended.outcome {
            lost.iter().for_each(|input| self.lost(*input, out));
        }
        if self.lingered(task, id) {
            if self.stage(task) == Stage::Resumed {
                self.work.push_back((task, Next::Unblocked));
            }
            return;
        }
        let Some(entry) = self.tasks.get(&task) else {
            return;
        };
        let run = match &entry.state {
            TaskState::Executing(run) | TaskState::LongRunning(run) if run.id == id => *run,
            _ => return,
        };
        let duration_ns = ended.duration_ns;
        let next = match ended.outcome {
            Outcome::Done { value, nbytes, inline } => {
                self.resources.measured(run.function, duration_ns);
                self.memory.learn(run.function, nbytes);
                out.tell(WorkerToScheduler::Finished {
                    task,
                    run: id,
                    nbytes,
                    duration_ns,
                    value: inline,
                });
                Next::Memory(value, nbytes)
            }
            Outcome::Failed(error) => Next::Error(error),
            Outcome::InputsLost(lost) => Next::GivenBack(lost),
            Outcome::Rescheduled => Next::Rescheduled,
            // Only a run that is cancelled here can be skipped.
            Outcome::Skipped => match self.defect(task) {
                Some(error) => Next::Error(error),
                None => return,
            },
        };
        self.work.push_back((task, next));
    }

    fn fetched(
        &mut self,
        flight: FlightId,
        results: Vec<(TaskId, ValueAt)>,
        out: &mut Instructions,
    ) {
        let Some(Flight { peer, tasks, .. }) = self.gather.land(flight) else {
            return;
        };
        for (task, result) in results {
            if !self.is_on(task, flight) {
                continue;
            }
            match result {
                ValueAt::Found(value) => {
                    let entry = self.tasks.get(&task);
                    let nbytes = entry.map_or(0, |entry| entry.nbytes);
                    out.added(task, nbytes);
                    self.work.push_back((task, Next::Memory(value, nbytes)));
                }
                ValueAt::Failed(reason) => self.unsendable(task, &reason, out),
                _ => self.refused(task, peer),
            }
            self.run_transitions(out);
        }
        for task in tasks {
            if self.is_on(task, flight) {
                self.refused(task, peer);
            }
        }
    }

    fn fetch_failed(&mut self, flight: FlightId) {
        let Some(Flight { peer, tasks, .. }) = self.gather.land(flight) else {
            return;
        };
        for task in tasks {
            if self.is_on(task, flight) {
                self.refused(task, peer);
            }
        }
        for task in self.gather.line(peer) {
            self.refused(task, peer);
        }
        // What others are being asked for is not asked of it next, should they not have it.
        let under_way = self.gather.flights().values().flat_map(|flight| &flight.tasks);
        for task in under_way {
            if let Some(entry) = self.tasks.get_mut(task)
                && matches!(entry.state, TaskState::Flight(_))
                && entry.holders.remove(peer)
            {
                entry.failed.insert(peer);
            }
        }
    }

    /// The results stand in the lines of their holders again, the busy one among them: whichever
    /// has time first is asked.
    fn peer_busy(&mut self, flight: FlightId) {
        let Some(Flight { peer, tasks, .. }) = self.gather.land(flight) else {
            return;
        };
        self.gather.rest(peer, self.now);
        for task in tasks {
            if self.is_on(task, flight) {
                self.work.push_back((task, Next::Fetch));
            }
        }
    }

    fn is_on(&self, task: TaskId, flight: FlightId) -> bool {
        let entry = self.tasks.get(&task);
        entry.is_some_and(|e| matches!(e.state, TaskState::Flight(id) if id == flight))
    }

    /// A peer does not have a result, or cannot be asked: the next holder is.
    fn refused(&mut self, task: TaskId, peer: WorkerId) {
        self.unlist(task);
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        entry.holders.remove(peer);
        entry.failed.insert(peer);
        self.work.push_back((task, Next::Fetch));
    }

    /// A peer has a result and cannot send it: what needs it here fails.
    fn unsendable(&mut self, task: TaskId, reason: &str, out: &mut Instructions) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        if std::mem::take(&mut entry.acquired) {
            out.not_acquired(task);
        }
        let dependents: Vec<_> = entry.dependents.iter().collect();
        self.work.push_back((task, Next::Released));
        for dependent in dependents {
            let entry = self.tasks.get(&dependent);
            if let Some(compute) = entry.and_then(|entry| entry.state.compute()) {
                let error = TaskError {
                    worker: Some(self.config.address.clone()),
                    causes: vec![reason.to_owned()],
                    ..TaskError::new(
                        TaskErrorKind::Serialization,
                        compute.key.clone(),
                        "the result of a dependency could not be sent",
                    )
                };
                let error = Box::new(error);
                self.work.push_front((dependent, Next::Error(error)));
            }
        }
    }

    fn put(&mut self, put: PutId, values: Vec<(TaskId, u64, Payload)>, out: &mut Instructions) {
        for (task, nbytes, value) in values {
            let entry = self.tasks.get_or_default(task);
            let run = entry.state.run();
            if entry.state.stage() == Stage::Memory {
                out.added(task, entry.nbytes);
                continue;
            }
            match run {
                Some(run) => {
                    out.tell(WorkerToScheduler::Finished {
                        task,
                        run,
                        nbytes,
                        duration_ns: 0,
                        value: None,
                    });
                    self.work.push_back((task, Next::Released));
                }
                None => out.added(task, nbytes),
            }
            self.work.push_back((task, Next::Memory(value, nbytes)));
            self.run_transitions(out);
        }
        out.stored(put);
    }

    fn timed_out(&mut self, out: &mut Instructions) {
        self.gather.end_rests(self.now);
        for (flight, address) in self.gather.overdue(self.now) {
            out.act(Instruction::Disconnect { address });
            self.fetch_failed(flight);
            self.run_transitions(out);
        }
        if self.now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = self.now + self.config.heartbeat;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.tell(WorkerToScheduler::Heartbeat(Metrics {
            memory: self.memory.resident(),
            managed: self.memory.in_memory(),
            executing: self.resources.executing(),
            ready: count(self.resources.ready()),
            in_flight: count(self.gather.in_flight()),
            spilled: self.memory.spilled(),
        }));
    }

    /// Gives back every task that needs a result which no peer has.
    fn report_missing(&mut self, out: &mut Instructions) {
        let own = self.config.id;
        let mut reports = std::collections::BTreeMap::<TaskId, Vec<(TaskId, WorkerId)>>::new();
        for task in std::mem::take(&mut self.missing) {
            let Some(entry) = self.tasks.get_mut(&task) else {
                continue;
            };
            if std::mem::take(&mut entry.acquired) {
                out.not_acquired(task);
            }
            let asked =
                if entry.failed.is_empty() { vec![own] } else { entry.failed.iter().collect() };
            for dependent in entry.dependents.iter() {
                let report = reports.entry(dependent).or_default();
                report.extend(asked.iter().map(|holder| (task, *holder)));
            }
            self.work.push_back((task, Next::Released));
        }
        for (task, missing) in reports {
            let run = self.tasks.get(&task).and_then(|entry| entry.state.run());
            if let Some(run) = run {
                out.tell(WorkerToScheduler::MissingDependencies { task, run, missing });
            }
            self.work.push_front((task, Next::Released));
        }
        self.run_transitions(out);
    }

    /// Takes a result out of the lines of its holders.
    pub(super) fn unlist(&mut self, task: TaskId) {
        if let Some(entry) = self.tasks.get(&task) {
            self.gather.remove((entry.priority, task), &entry.holders);
        }
    }
}
