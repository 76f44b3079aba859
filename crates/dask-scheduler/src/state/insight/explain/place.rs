use dask_proto::ByteSize;
use dask_proto::human::duration;
use dask_proto::id::WorkerId;

use super::exclusion::not_taking_tasks;
use super::format::{and_more, counted};
use super::{COUNTED, NAMED};
use crate::state::SchedulerState;
use crate::state::table::spec::Source;
use crate::state::table::task::{Row, TaskState};

/// How many tasks of a worker are looked at to find those that run before another.
const AHEAD: usize = 10_000;

impl SchedulerState {
    pub(super) fn explain_released(&self, row: Row, lines: &mut Vec<String>) {
        if let (Source::Data { by }, true) = (&self.tasks[row].source, self.is_announced(row)) {
            let name = self.clients.get(&{ by.client }).map_or("", |entry| entry.name.as_str());
            lines.push(format!("client {name} announced the data and has not put it anywhere"));
        }
    }

    pub(super) fn explain_queued(&self, row: Row, lines: &mut Vec<String>) {
        let task = &self.tasks[row];
        let Some(spec) = task.spec() else { return };
        let place = (task.priority(), row);
        let queue = &self.functions.get(spec.function).queue;
        let before = queue.before(place).take(COUNTED).count();
        let more = if before == COUNTED { "at least " } else { "" };
        lines.push(format!(
            "{more}{before} of {} of its function come before it",
            counted(queue.len(), "queued task")
        ));
        let ranked: Vec<WorkerId> =
            self.functions.ranked(spec.function).map(|rank| rank.worker()).take(NAMED).collect();
        if ranked.is_empty() {
            self.list_exclusions(spec, lines);
            return;
        }
        let total = self.functions.ranked_len(spec.function);
        let saturation = self.config.worker_saturation;
        lines.push(format!(
            "{} with its function, none with room for another task (worker saturation \
             {saturation}):",
            counted(total, "worker")
        ));
        lines.extend(ranked.iter().map(|worker| self.busy(*worker)));
        if total > ranked.len() {
            lines.push(format!("  and {}", counted(total - ranked.len(), "more worker")));
        }
    }

    /// What keeps a worker busy.
    fn busy(&self, worker: WorkerId) -> String {
        let name = self.worker_name(worker);
        let Some(entry) = self.workers.get(worker) else {
            return name;
        };
        let keys = entry.processing.iter().take(NAMED);
        let keys: Vec<&str> = keys.map(|row| self.tasks[row].key.as_str()).collect();
        let threads = counted(entry.nthreads as usize, "thread");
        let tasks = counted(entry.processing.len(), "task");
        let keys = and_more(&keys, entry.processing.len());
        format!("  {name}: {tasks} on {threads}: {keys}")
    }

    pub(super) fn explain_processing(&self, row: Row, on: WorkerId, lines: &mut Vec<String>) {
        let task = &self.tasks[row];
        let TaskState::Processing { seceded, .. } = &task.state else {
            return;
        };
        let (run, name) = (task.run, self.worker_name(on));
        lines.push(format!("worker {name} has it, as {run}"));
        let learned = task.function().and_then(|f| self.functions.get(f).duration);
        lines.push(match learned {
            Some(nanos) => {
                let usual = duration(std::time::Duration::from_nanos(nanos));
                format!("tasks of its function take {usual} on average")
            }
            None => {
                let assumed = duration(self.config.unknown_task_duration);
                format!("no task of its function has finished yet; {assumed} was assumed")
            }
        });
        if *seceded {
            lines.push("it left the worker's pool of threads, and may run for long".to_owned());
        } else {
            lines.push(self.ahead(row, on));
        }
        lines.extend(self.theft(row));
        lines.extend(self.data_there(row, on));
        self.describe_worker(row, on, lines);
    }

    /// Who is about to take it over.
    fn theft(&self, row: Row) -> Option<String> {
        let theft = self.stealing.in_flight().get(&row)?;
        let thief = theft.thief.map(|thief| self.worker_name(thief));
        let thief = thief.unwrap_or_else(|| "a worker that is gone by now".to_owned());
        Some(format!("its worker was asked to give it back for {thief}, and has not answered"))
    }

    /// How many tasks its worker takes up first.
    fn ahead(&self, row: Row, on: WorkerId) -> String {
        let place = (self.tasks[row].priority(), row);
        let Some(entry) = self.workers.get(on) else {
            return String::new();
        };
        let looked_at = entry.processing.iter().take(AHEAD);
        let first = looked_at
            .filter(|other| !entry.seceded.contains(*other))
            .filter(|other| (self.tasks[*other].priority(), *other) < place);
        let first: Vec<Row> = first.collect();
        let threads = counted(entry.nthreads as usize, "thread");
        match first.len() {
            0 => format!("nothing is ahead of it there, for {threads}"),
            count => {
                let least = if entry.processing.len() > AHEAD { "at least " } else { "" };
                let keys = first.iter().take(NAMED);
                let keys: Vec<&str> = keys.map(|r| self.tasks[*r].key.as_str()).collect();
                let keys = and_more(&keys, count);
                let tasks = counted(count, "task");
                format!("{least}{tasks} ahead of it there, for {threads}: {keys}")
            }
        }
    }

    /// Why that worker: what it has of the arguments.
    fn data_there(&self, row: Row, on: WorkerId) -> Option<String> {
        let dependencies = &self.tasks[row].dependencies;
        let (mut there, mut bytes, mut total) = (0, 0u64, 0u64);
        for dependency in dependencies.iter().take(AHEAD) {
            let task = &self.tasks[*dependency];
            let nbytes = task.nbytes().unwrap_or(0);
            total = total.saturating_add(nbytes);
            if task.holders().is_some_and(|holders| holders.contains(on)) {
                there += 1;
                bytes = bytes.saturating_add(nbytes);
            }
        }
        let of = counted(dependencies.len().min(AHEAD), "dependency");
        (!dependencies.is_empty()).then(|| {
            let (bytes, total) = (ByteSize(bytes), ByteSize(total));
            format!("{there} of its {of} are held there, {bytes} of {total}")
        })
    }

    /// What is known of the worker that has the task.
    fn describe_worker(&self, row: Row, on: WorkerId, lines: &mut Vec<String>) {
        let Some(entry) = self.workers.get(on) else { return };
        if let Some(reason) = not_taking_tasks(entry) {
            lines.push(format!("that worker starts no tasks: {reason}"));
        }
        let resources = self.tasks[row].spec().map(|spec| spec.options().resources.as_slice());
        for (name, needed) in resources.unwrap_or_default() {
            let supply = entry.join.resources.get(name).copied().unwrap_or(0.0);
            lines.push(format!(
                "it takes {needed} of the worker's {supply} {name}, and starts once that is free"
            ));
        }
        let metrics = &entry.metrics;
        lines.push(format!(
            "that worker was heard {} ago; it last reported {} executing, {} ready, {} being \
             fetched",
            duration(self.now.since(entry.last_seen)),
            metrics.executing,
            metrics.ready,
            metrics.in_flight
        ));
    }

    pub(super) fn explain_memory(&self, row: Row, lines: &mut Vec<String>) {
        let TaskState::Memory(holders) = &self.tasks[row].state else {
            return;
        };
        let named: Vec<String> =
            holders.iter().take(NAMED).map(|worker| self.worker_name(worker)).collect();
        let count = holders.len();
        let copies = if count == 1 { "1 copy".to_owned() } else { counted(count, "copy") };
        let named = and_more(&named, count);
        lines
            .push(format!("its result takes {}, {copies}: on {named}", ByteSize(holders.nbytes())));
    }
}
