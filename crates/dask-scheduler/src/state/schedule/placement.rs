use std::collections::BTreeSet;
use std::sync::Arc;

use dask_proto::graph::Function;
use dask_proto::id::WorkerId;
use dask_proto::{TaskError, TaskErrorKind};

use crate::state::SchedulerState;
use crate::state::table::function::FunctionRow;
use crate::state::table::spec::Spec;
use crate::state::table::task::Row;
use crate::state::table::worker::FEED_AHEAD;
use crate::state::transition::Goal;

/// What fetching any dependency at all costs, in nanoseconds: a round trip and the work at both
/// ends. Without it a result of a few bytes would pull no task to its holder.
const FETCH_COST: u64 = 1_000_000;

/// This many holders of a dependency are considered. More would make a choice linear in workers,
/// and a result that has so many copies is no reason to prefer any of them.
const HOLDERS_CONSIDERED: usize = 20;

/// A task with this many dependencies or more is placed where they are, and not as a root task.
const ROOT_DEPENDENCIES: usize = 5;

/// How many functions an error message lists.
const FUNCTIONS_LISTED: usize = 8;

impl SchedulerState {
    /// What becomes of a task whose dependencies are all in memory.
    pub(in crate::state) fn judge(&self, row: Row) -> Goal {
        let task = &self.tasks[row];
        let Some(spec) = task.spec() else {
            return Goal::Released;
        };
        let is_offered = self.functions.is_offered(spec.function);
        if !is_offered && let Some(program) = self.functions.get(spec.function).program {
            return self.without_program(row, program);
        }
        if self.workers.is_empty() {
            return Goal::NoWorker;
        }
        if !is_offered {
            return Goal::Erred(Arc::new(self.no_function(row, spec)));
        }
        if let Some(goal) = self.judge_call(row, spec) {
            return goal;
        }
        if let Some(worker) = self.where_it_is_missed(row, spec) {
            return Goal::Processing(worker);
        }
        let options = spec.options();
        let worker = if !options.workers.is_empty() || !options.resources.is_empty() {
            self.choose(row, &self.eligible(spec))
        } else if self.config.worker_saturation.is_finite() && self.is_root_like(row) {
            return Goal::Queued;
        } else {
            self.choose_anywhere(row, spec.function)
        };
        worker.map_or(Goal::NoWorker, Goal::Processing)
    }

    /// Whether a task is one of many that could as well run anywhere: it depends on nothing, or
    /// only on what so many depend on that every worker will need a copy (Dask's `rootish`).
    fn is_root_like(&self, row: Row) -> bool {
        let dependencies = &self.tasks[row].dependencies;
        let many = 2 * self.workers.nthreads();
        dependencies.len() < ROOT_DEPENDENCIES
            && dependencies
                .iter()
                .all(|dependency| u64::from(self.tasks[*dependency].live_dependents) > many)
    }

    /// A worker for a task that may run anywhere: a holder of its dependencies, or the idlest.
    fn choose_anywhere(&self, row: Row, function: FunctionRow) -> Option<WorkerId> {
        let idlest = self.functions.idlest(function)?;
        let dependencies = &self.tasks[row].dependencies;
        if dependencies.is_empty() {
            return Some(idlest);
        }
        let inputs = self.inputs(row);
        let holders = inputs.present.iter().filter(|(worker, _)| self.can_run(*worker, function));
        let candidates = holders.copied().chain([(idlest, 0)]);
        let starts = candidates.filter_map(|(worker, bytes)| self.start(worker, bytes, &inputs));
        starts.min().map(|(_, _, worker)| worker)
    }

    /// The candidate where the task is estimated to start first: once the worker's threads are
    /// idle and the dependencies that it lacks are fetched.
    pub(in crate::state) fn choose(&self, row: Row, candidates: &[WorkerId]) -> Option<WorkerId> {
        let inputs = self.inputs(row);
        let starts = candidates.iter().filter_map(|worker| {
            let held = inputs.present.binary_search_by_key(worker, |(holder, _)| *holder);
            let bytes = held.map_or(0, |index| inputs.present[index].1);
            self.start(*worker, bytes, &inputs)
        });
        starts.min().map(|(_, _, worker)| worker)
    }

    /// What a task needs, and who has how much of it.
    fn inputs(&self, row: Row) -> Inputs {
        let dependencies = &self.tasks[row].dependencies;
        let mut present: Vec<(WorkerId, u64)> = Vec::new();
        let mut total = 0u64;
        for dependency in dependencies.iter() {
            let task = &self.tasks[*dependency];
            // An empty value has to be fetched too.
            let nbytes = task.nbytes().unwrap_or(0).max(1);
            total = total.saturating_add(nbytes);
            let holders = task.holders().into_iter().flat_map(|holders| holders.iter());
            for holder in holders.take(HOLDERS_CONSIDERED) {
                match present.last_mut() {
                    // Neighbours are mostly on the same worker.
                    Some((last, bytes)) if *last == holder => *bytes = bytes.saturating_add(nbytes),
                    _ => present.push((holder, nbytes)),
                }
            }
        }
        present.sort_unstable_by_key(|(holder, _)| *holder);
        present.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            if is_same {
                first.1 = first.1.saturating_add(next.1);
            }
            is_same
        });
        Inputs { present, total, overhead: self.fetch_overhead(row) }
    }

    /// When a task would start on a worker that has so many bytes of its inputs. Of workers where
    /// it starts at the same time, the one that holds least comes first.
    fn start(&self, worker: WorkerId, bytes: u64, inputs: &Inputs) -> Option<(u64, u64, WorkerId)> {
        let entry = self.workers.get(worker)?;
        let fetch = match inputs.total.saturating_sub(bytes) {
            0 => 0,
            missing => inputs.overhead.saturating_add(self.transfer_time(missing)),
        };
        Some((entry.load().saturating_add(fetch), entry.nbytes, worker))
    }

    /// What it costs that a task's worker has to fetch at all, in nanoseconds of start time. A
    /// fetch is worth a few hundred short tasks: they stay where their dependencies are as long as
    /// the workers stay fed.
    fn fetch_overhead(&self, row: Row) -> u64 {
        let function = self.tasks[row].function();
        let is_short = function.is_some_and(|f| self.expected_duration(f) < FETCH_COST);
        if is_short { FEED_AHEAD } else { FETCH_COST }
    }

    /// How long it takes to fetch so many bytes, in nanoseconds.
    pub(in crate::state) fn fetch_time(&self, nbytes: u64) -> u64 {
        if nbytes == 0 { 0 } else { FETCH_COST.saturating_add(self.transfer_time(nbytes)) }
    }

    /// How long it takes to move so many bytes, in nanoseconds.
    fn transfer_time(&self, nbytes: u64) -> u64 {
        let nanos = u128::from(nbytes) * 1_000_000_000 / u128::from(self.config.bandwidth.max(1));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// Whether a worker takes tasks and has the function.
    pub(in crate::state) fn can_run(&self, worker: WorkerId, function: FunctionRow) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|entry| entry.takes_tasks() && self.functions.has(entry.group, function))
    }

    /// The workers that satisfy a task's restrictions.
    fn eligible(&self, spec: &Spec) -> Vec<WorkerId> {
        let options = spec.options();
        let is_eligible = |worker: &WorkerId| {
            let entry = self.workers.get(*worker);
            self.can_run(*worker, spec.function)
                && entry.is_some_and(|entry| entry.supplies(&options.resources))
        };
        let names = options.workers.iter();
        let named: BTreeSet<WorkerId> = names.flat_map(|text| self.workers.named(text)).collect();
        let named: Vec<WorkerId> = named.into_iter().filter(is_eligible).collect();
        if !named.is_empty() || !(options.workers.is_empty() || options.allow_other_workers) {
            return named;
        }
        match options.resources.first() {
            Some((resource, _)) => {
                let workers = self.workers.by_resource(resource);
                workers.filter(is_eligible).collect()
            }
            None => self.workers.ids().filter(is_eligible).collect(),
        }
    }

    /// The best of the workers that may run a task, other than this one.
    pub(in crate::state) fn elsewhere(&self, row: Row, than: WorkerId) -> Option<WorkerId> {
        let eligible = self.eligible(self.tasks[row].spec()?);
        let others: Vec<WorkerId> = eligible.into_iter().filter(|w| *w != than).collect();
        self.choose(row, &others)
    }

    /// Says which function is missing, and what the workers have instead.
    fn no_function(&self, row: Row, spec: &Spec) -> TaskError {
        let wanted = &self.functions.get(spec.function).function;
        let (likeness, close) = self.offered_like(spec.function);
        let close: Vec<String> = close
            .into_iter()
            .map(|function| self.functions.get(function).function.to_string())
            .collect();
        let close = close.join(", ");
        let total = self.offered().count();
        let hint = match likeness {
            _ if total == 0 => "the workers have none at all: do they run your program?".to_owned(),
            Likeness::Path => format!("they have it with another signature: {close}"),
            Likeness::Name => format!("they have one of that name elsewhere: {close}"),
            Likeness::None => format!("they have {total} others, such as {close}"),
        };
        let message = format!("no worker has the function {wanted}; {hint}");
        let key = self.tasks[row].key.clone();
        TaskError {
            function: wanted.path.clone(),
            ..TaskError::new(TaskErrorKind::NoFunction, key, message)
        }
    }

    /// The functions that workers have, each once.
    fn offered(&self) -> impl Iterator<Item = FunctionRow> + '_ {
        let rows = self.functions.rows();
        let rows = rows.filter(|row| self.functions.get(*row).program.is_none());
        rows.filter(|row| self.functions.is_offered(*row))
    }

    /// Some functions that workers have: those that are most like the one that is wanted.
    fn offered_like(&self, wanted: FunctionRow) -> (Likeness, Vec<FunctionRow>) {
        let wanted = &self.functions.get(wanted).function;
        let mut offered: Vec<_> = self
            .offered()
            .map(|row| {
                let function = &self.functions.get(row).function;
                (Likeness::between(function, wanted), function, row)
            })
            .collect();
        offered.sort();
        let best = offered.first().map_or(Likeness::None, |(best, ..)| *best);
        let close = offered.iter().take_while(|(likeness, ..)| *likeness == best);
        let close = close.take(FUNCTIONS_LISTED).map(|(.., row)| *row);
        (best, close.collect())
    }
}

/// What a task needs.
struct Inputs {
    /// The workers that hold some of it, by id, and how many bytes: of each dependency the first
    /// [`HOLDERS_CONSIDERED`].
    present: Vec<(WorkerId, u64)>,
    /// Bytes of it all.
    total: u64,
    /// What it costs to fetch anything, in nanoseconds.
    overhead: u64,
}

/// How much one function is like another; the most alike first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Path,
    Name,
    None,
}

impl Likeness {
    fn between(one: &Function, other: &Function) -> Self {
        if one.path == other.path {
            Self::Path
        } else if one.name() == other.name() {
            Self::Name
        } else {
            Self::None
        }
    }
}
