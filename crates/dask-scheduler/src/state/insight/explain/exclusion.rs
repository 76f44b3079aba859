use dask_proto::ByteSize;
use dask_proto::graph::TaskOptions;
use dask_proto::id::WorkerId;
use dask_proto::message::WorkerStatus;

use super::format::{and_more, counted};
use crate::state::SchedulerState;
use crate::state::table::spec::Spec;
use crate::state::table::task::Row;
use crate::state::table::worker::WorkerEntry;

/// How many workers are listed with what excludes them.
const LISTED: usize = 10;

impl SchedulerState {
    /// Why no worker may run a task.
    pub(in crate::state) fn explain_no_worker(&self, row: Row, lines: &mut Vec<String>) {
        let Some(spec) = self.tasks[row].spec() else {
            return;
        };
        let function = self.functions.get(spec.function);
        if let Some(program) =
            function.program.filter(|_| !self.functions.is_offered(spec.function))
        {
            return self.explain_program(program, lines);
        }
        if self.workers.is_empty() {
            lines.push("no worker is connected".to_owned());
            return;
        }
        self.list_exclusions(spec, lines);
    }

    /// The workers that come closest to running a task, and why they do not.
    pub(super) fn list_exclusions(&self, spec: &Spec, lines: &mut Vec<String>) {
        let total = self.workers.len();
        lines.push(format!("none of {} may run it:", counted(total, "worker")));
        let absent: Vec<&str> = spec
            .options()
            .workers
            .iter()
            .filter(|name| self.workers.named(name).is_empty())
            .map(String::as_str)
            .collect();
        if !absent.is_empty() {
            let count = absent.len();
            let named = and_more(&absent[..count.min(LISTED)], count);
            lines.push(format!("  it is restricted to {named}: not connected"));
        }
        let listed = self.closest(spec);
        for worker in &listed {
            let reasons = self.exclusions(spec, *worker);
            let reasons = match reasons.is_empty() {
                true => "nothing that the scheduler knows of excludes it".to_owned(),
                false => reasons.join(", and "),
            };
            lines.push(format!("  {}: {reasons}", self.worker_name(*worker)));
        }
        if total > listed.len() {
            lines.push(format!("  and {}", counted(total - listed.len(), "more worker")));
        }
    }

    /// Some workers, first those that a restriction names or that have what the task needs.
    fn closest(&self, spec: &Spec) -> Vec<WorkerId> {
        let options = spec.options();
        let named = options.workers.iter().flat_map(|text| self.workers.named(text));
        let resource = options.resources.first().into_iter();
        let supplying = resource.flat_map(|(name, _)| self.workers.by_resource(name));
        let mut listed = Vec::new();
        for worker in named.chain(supplying.take(LISTED)).chain(self.workers.ids()) {
            if listed.len() == LISTED {
                break;
            }
            if !listed.contains(&worker) {
                listed.push(worker);
            }
        }
        listed
    }

    /// Everything that keeps a worker from running a task.
    fn exclusions(&self, spec: &Spec, worker: WorkerId) -> Vec<String> {
        let Some(entry) = self.workers.get(worker) else {
            return vec!["it is not connected".to_owned()];
        };
        let mut reasons = Vec::new();
        if !self.functions.has(entry.group, spec.function) {
            let function = &self.functions.get(spec.function).function;
            reasons.push(format!("it lacks the function {function}"));
        }
        if !self.is_named(spec.options(), worker) {
            reasons.push("it is not among the workers that the task is restricted to".to_owned());
        }
        reasons.extend(not_taking_tasks(entry));
        for (name, needed) in &spec.options().resources {
            let supply = entry.join.resources.get(name).copied().unwrap_or(0.0);
            if supply < *needed {
                reasons.push(format!("it lacks resource {name} (it has {supply} of {needed})"));
            }
        }
        reasons
    }

    /// Whether the restriction to named workers lets a worker run it.
    fn is_named(&self, options: &TaskOptions, worker: WorkerId) -> bool {
        options.workers.is_empty()
            || options.allow_other_workers
            || options.workers.iter().any(|text| self.workers.named(text).contains(&worker))
    }
}

/// Why a worker takes no task at all.
pub(super) fn not_taking_tasks(entry: &WorkerEntry) -> Option<String> {
    if entry.nthreads == 0 {
        return Some("it has no threads".to_owned());
    }
    match entry.status {
        WorkerStatus::Running => None,
        WorkerStatus::Paused => Some(format!("it is paused ({})", memory_use(entry))),
        status => Some(format!("it is {status}")),
    }
}

fn memory_use(entry: &WorkerEntry) -> String {
    let used = entry.metrics.memory;
    match entry.join.memory_limit {
        Some(limit) if limit > 0 => {
            let percent = u128::from(used) * 100 / u128::from(limit);
            format!("memory {percent} % of its limit of {}", ByteSize(limit))
        }
        _ => format!("memory {}", ByteSize(used)),
    }
}
