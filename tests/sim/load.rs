//! What a worker with limited memory has taken on, counted from outside: from what it hears and
//! does, with none of its own sums. Sizes are the least that was said of each result, so the load
//! is at least this.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::Address;
use dask_proto::id::{RunId, TaskId};
use dask_proto::message::{Compute, Dependency, SchedulerToWorker};
use dask_worker::state::{Event, FlightId, Instruction, MemoryLimits, Outcome};

use crate::process::RunKey;

/// The load of one process.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pause: Option<u64>,
    sizes: BTreeMap<TaskId, u64>,
    in_memory: BTreeSet<TaskId>,
    on_disk: BTreeSet<TaskId>,
    /// Fetches: whom they ask, and for what.
    flights: BTreeMap<FlightId, (Address, Vec<TaskId>)>,
    /// Runs, with what they read.
    runs: BTreeMap<RunKey, Vec<TaskId>>,
    /// Those of them that left the pool of threads.
    seceded: BTreeSet<RunKey>,
    is_paused: bool,
    /// Starts since the event that is handled now began.
    started: usize,
}

impl Load {
    pub(crate) fn new(limits: Option<MemoryLimits>) -> Self {
        let pause = limits.map(|limits| limits.pause).filter(|p| *p < MemoryLimits::NEVER);
        Self { pause, ..Self::default() }
    }

    /// The worker is about to handle an event.
    pub(crate) fn begin(&mut self, event: &Event) {
        let Some(pause) = self.pause else {
            return;
        };
        self.started = 0;
        match event {
            Event::SchedulerSaid(messages) => messages.iter().for_each(|m| self.said(m)),
            Event::RunsEnded(runs) => {
                for ended in runs {
                    let run = (ended.task, ended.run);
                    self.runs.remove(&run);
                    self.seceded.remove(&run);
                    if let Outcome::Done { nbytes, .. } = ended.outcome {
                        self.has_size(ended.task, nbytes);
                    }
                }
            }
            Event::Seceded { task, run } => drop(self.seceded.insert((*task, *run))),
            Event::Fetched { flight, .. }
            | Event::FetchFailed { flight }
            | Event::PeerBusy { flight } => drop(self.flights.remove(flight)),
            Event::Put { values, .. } => {
                values.iter().for_each(|(task, nbytes, _)| self.has_size(*task, *nbytes));
            }
            Event::Spilled { task } if self.in_memory.remove(task) => {
                self.on_disk.insert(*task);
            }
            Event::Unspilled { task } if self.on_disk.remove(task) => {
                self.in_memory.insert(*task);
            }
            Event::Measured { memory } => self.is_paused = *memory > pause,
            _ => {}
        }
    }

    fn said(&mut self, message: &SchedulerToWorker) {
        match message {
            SchedulerToWorker::Compute(compute) => self.have_sizes(&compute.dependencies),
            SchedulerToWorker::Acquire { dependencies } => self.have_sizes(dependencies),
            _ => {}
        }
    }

    fn have_sizes(&mut self, dependencies: &[Dependency]) {
        dependencies.iter().for_each(|d| self.has_size(d.task, d.nbytes));
    }

    fn has_size(&mut self, task: TaskId, nbytes: u64) {
        let size = self.sizes.entry(task).or_insert(nbytes);
        *size = nbytes.min(*size);
    }

    /// The worker does something.
    pub(crate) fn does(&mut self, instruction: &Instruction) {
        if self.pause.is_none() {
            return;
        }
        match instruction {
            Instruction::Store { task, .. } => drop(self.in_memory.insert(*task)),
            Instruction::Drop { task } => {
                self.in_memory.remove(task);
                self.on_disk.remove(task);
            }
            Instruction::Execute(compute) => self.executes(compute),
            Instruction::Rejoin { task, run } => drop(self.seceded.remove(&(*task, *run))),
            Instruction::Fetch { flight, address, tasks } => {
                self.started += 1;
                self.flights.insert(*flight, (address.clone(), tasks.clone()));
            }
            // What took too long is given up.
            Instruction::Disconnect { address } => {
                self.flights.retain(|_, (asked, _)| asked != address);
            }
            _ => {}
        }
    }

    fn executes(&mut self, compute: &Compute) {
        self.started += 1;
        let inputs = compute.dependencies.iter().map(|d| d.task);
        let run: (TaskId, RunId) = (compute.task, compute.run);
        self.runs.insert(run, inputs.collect());
    }

    /// Memory admission: whatever starts leaves a worker below its limit, unless it is the one
    /// thing that goes on.
    pub(crate) fn what_starts_has_room(&self) {
        let Some(pause) = self.pause.filter(|_| self.started > 0) else {
            return;
        };
        let in_pool = self.runs.keys().filter(|run| !self.seceded.contains(run)).count();
        let is_alone = self.started == 1 && in_pool + self.flights.len() == 1;
        let total = self.total();
        assert!(!self.is_paused || is_alone, "a paused worker starts something");
        assert!(total <= pause || is_alone, "what starts takes a worker to {total} of {pause}");
    }

    /// What is in memory, or will be because of what has started.
    fn total(&self) -> u64 {
        let read = self.runs.values().flatten().filter(|task| self.on_disk.contains(task));
        let read: BTreeSet<&TaskId> = read.collect();
        let fetched = self.flights.values().flat_map(|(_, tasks)| tasks);
        let all = self.in_memory.iter().chain(read).chain(fetched);
        all.map(|task| self.sizes.get(task).copied().unwrap_or(0)).sum()
    }
}
