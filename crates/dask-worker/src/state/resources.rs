//! What may start now: threads, abstract resources, and how far ahead of the threads.

use std::collections::BTreeMap;

use dask_proto::graph::Priority;
use dask_proto::id::{FunctionId, TaskId};

use super::ranking::Ranking;
use super::task::Run;

/// A set of abstract resources that tasks ask for, by number; 0 asks for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Requirement(u32);

impl Requirement {
    pub(super) const NONE: Self = Self(0);
}

/// A worker without the resource that a task asks for, or with too little of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("it needs {needed} of the resource {name:?}, and this worker has {total}")]
pub(super) struct Lacking {
    name: String,
    needed: f64,
    total: f64,
}

/// Work that each thread may be handed ahead of time. Tasks this short would otherwise cost a
/// round trip between the threads and the state each; longer ones stay where they can be put in
/// order, and given away.
const AHEAD_NS: u32 = 1_000_000;

/// Tasks that each thread may be handed ahead of time, however short they are.
const AHEAD_TASKS: u32 = 256;

/// Tasks that are ready, and what they wait for: tasks with the same requirement stand in one line
/// by priority, so a line whose resources are taken does not hold up the others.
#[derive(Debug)]
pub(super) struct Resources {
    nthreads: u32,
    total: BTreeMap<String, f64>,
    used: BTreeMap<String, f64>,
    lines: Vec<Line>,
    /// Requirements by name and amount; amounts as bits, which are ordered.
    known: BTreeMap<Vec<(String, u64)>, Requirement>,
    /// Runs in the pool.
    handed: usize,
    /// The sum of their expected durations.
    handed_ns: u64,
    durations: BTreeMap<FunctionId, u64>,
}

#[derive(Debug, Default)]
struct Line {
    needs: Vec<(String, f64)>,
    tasks: Ranking<(Priority, TaskId)>,
}

impl Resources {
    pub(super) fn new(nthreads: u32, total: BTreeMap<String, f64>) -> Self {
        Self {
            nthreads: nthreads.max(1),
            total,
            used: BTreeMap::new(),
            lines: vec![Line::default()],
            known: BTreeMap::from([(Vec::new(), Requirement::NONE)]),
            handed: 0,
            handed_ns: 0,
            durations: BTreeMap::new(),
        }
    }

    /// The number of a set of resources.
    pub(super) fn requirement(&mut self, needs: &[(String, f64)]) -> Result<Requirement, Lacking> {
        if needs.is_empty() {
            return Ok(Requirement::NONE);
        }
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, amount) in needs {
            // A peer may send anything; what is not above zero asks for nothing.
            *sums.entry(name).or_default() += amount.max(0.0);
        }
        sums.retain(|_, amount| *amount > 0.0);
        for (&name, &needed) in &sums {
            let total = self.total.get(name).copied().unwrap_or(0.0);
            if needed > total {
                let name = name.to_owned();
                return Err(Lacking { name, needed, total });
            }
        }
        let key = sums.iter().map(|(n, a)| ((*n).to_owned(), a.to_bits()));
        let next = Requirement(u32::try_from(self.lines.len()).unwrap_or(u32::MAX));
        let requirement = *self.known.entry(key.collect()).or_insert(next);
        if requirement == next {
            let needs = sums.into_iter().map(|(n, a)| (n.to_owned(), a)).collect();
            self.lines.push(Line { needs, tasks: Ranking::default() });
        }
        Ok(requirement)
    }

    pub(super) fn enqueue(&mut self, line: Requirement, priority: Priority, task: TaskId) {
        self.lines[line.0 as usize].tasks.insert((priority, task));
    }

    pub(super) fn withdraw(&mut self, line: Requirement, priority: Priority, task: TaskId) {
        self.lines[line.0 as usize].tasks.remove(&(priority, task));
    }

    /// The most urgent task that may start now, as far as abstract resources go.
    pub(super) fn first(&self) -> Option<TaskId> {
        let fitting = self.lines.iter().filter(|line| self.fits(line));
        let heads = fitting.filter_map(|line| line.tasks.first());
        heads.min().map(|(_, task)| *task)
    }

    /// Whether the pool takes one more run of this expected duration.
    pub(super) fn has_room(&self, cost_ns: u32) -> bool {
        let nthreads = u64::from(self.nthreads);
        let ahead_ns = nthreads * u64::from(AHEAD_NS);
        (self.handed as u64) < nthreads
            || (cost_ns < AHEAD_NS && self.handed_ns + u64::from(cost_ns) <= ahead_ns)
    }

    /// How long a function is expected to run, in nanoseconds; a whole share for an unknown one.
    pub(super) fn cost(&self, function: FunctionId) -> u32 {
        let known = self.durations.get(&function);
        let known = known.and_then(|mean| u32::try_from(*mean).ok());
        known.unwrap_or(AHEAD_NS).clamp(AHEAD_NS / AHEAD_TASKS, AHEAD_NS)
    }

    /// Learns from a run.
    pub(super) fn measured(&mut self, function: FunctionId, duration_ns: u64) {
        let mean = self.durations.entry(function).or_insert(duration_ns);
        *mean = *mean / 2 + duration_ns / 2;
    }

    pub(super) fn start(&mut self, run: &Run) {
        self.join(run);
        for (name, amount) in &self.lines[run.requirement.0 as usize].needs {
            *self.used.entry(name.clone()).or_default() += amount;
        }
    }

    /// A run leaves the pool and goes on.
    pub(super) fn secede(&mut self, run: &mut Run) {
        if !run.seceded {
            run.seceded = true;
            self.leave(run);
        }
    }

    /// Whether a thread is free for a run that comes back into the pool.
    pub(super) fn has_seat(&self) -> bool {
        self.handed < self.nthreads as usize
    }

    /// A run that left the pool is back.
    pub(super) fn rejoin(&mut self, run: &mut Run) {
        if run.seceded {
            run.seceded = false;
            run.returning = false;
            self.join(run);
        }
    }

    pub(super) fn end(&mut self, run: &Run) {
        if !run.seceded {
            self.leave(run);
        }
        for (name, amount) in &self.lines[run.requirement.0 as usize].needs {
            if let Some(used) = self.used.get_mut(name) {
                *used -= amount;
            }
        }
    }

    fn join(&mut self, run: &Run) {
        self.handed += 1;
        self.handed_ns += u64::from(run.cost_ns);
    }

    fn leave(&mut self, run: &Run) {
        self.handed = self.handed.saturating_sub(1);
        self.handed_ns = self.handed_ns.saturating_sub(u64::from(run.cost_ns));
    }

    fn fits(&self, line: &Line) -> bool {
        line.needs.iter().all(|(name, amount)| {
            let total = self.total.get(name).copied().unwrap_or(0.0);
            let used = self.used.get(name).copied().unwrap_or(0.0);
            // Sums of fractions are a little off.
            used + amount <= total + 1e-9 * total.abs()
        })
    }

    /// Whether nothing runs and no resource is in use.
    pub(super) fn are_free(&self) -> bool {
        // Sums of fractions are a little off.
        let is_free = |used: &f64| used.abs() < 1e-6;
        self.handed == 0 && self.handed_ns == 0 && self.used.values().all(is_free)
    }

    /// Runs on the threads or handed to them.
    pub(super) fn handed(&self) -> usize {
        self.handed
    }

    pub(super) fn executing(&self) -> u32 {
        let handed = u32::try_from(self.handed).unwrap_or(u32::MAX);
        handed.min(self.nthreads)
    }

    /// Tasks that wait for a thread.
    pub(super) fn ready(&self) -> usize {
        let queued: usize = self.lines.iter().map(|line| line.tasks.len()).sum();
        queued + self.handed.saturating_sub(self.nthreads as usize)
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = (Requirement, Priority, TaskId)> + '_ {
        let lines = (0..).map(Requirement).zip(&self.lines);
        lines.flat_map(|(number, line)| {
            let tasks = line.tasks.iter();
            tasks.map(move |&(priority, task)| (number, priority, task))
        })
    }
}
