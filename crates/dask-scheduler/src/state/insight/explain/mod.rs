//! Why a task is where it is, in lines for people.
//!
//! Everything is counted and named up to a bound, so that an answer costs the same on a cluster
//! with ten thousand workers and a million tasks as on a small one.

mod cause;
mod exclusion;
mod format;
mod place;

use dask_proto::Address;
use dask_proto::human::duration;
use dask_proto::id::{ClientId, WorkerId};

use crate::state::SchedulerState;
use crate::state::table::task::{Hold, Row, StateName, TaskEntry, TaskState};
use format::{age, and_more, counted};

/// How many of anything a line names before it says how many more there are.
const NAMED: usize = 5;

/// How many elements of an index are looked at before the answer is "more than that".
const COUNTED: usize = 1_000;

/// How many lines of a story an explanation repeats.
const STORY_LINES: usize = 10;

impl SchedulerState {
    /// Why a task is not done, or why it is where it is, down to the last cause: lines for people,
    /// the more indented the deeper the cause.
    #[must_use]
    pub fn explain(&self, key: &str) -> Vec<String> {
        match self.tasks.find(key) {
            Some(row) => self.explain_row(row),
            None => self.explain_unknown(key),
        }
    }

    /// [`explain`](Self::explain), for a task that is known.
    pub(in crate::state) fn explain_row(&self, row: Row) -> Vec<String> {
        let task = &self.tasks[row];
        let mut lines = vec![self.headline(row), self.identity(task), self.interest(task)];
        lines.extend(self.attempts(task));
        if matches!(task.state, TaskState::Waiting { .. }) {
            self.explain_waiting(row, &mut lines);
        } else {
            self.explain_place(row, &mut lines);
        }
        lines
    }

    /// What its state entails, for any state but waiting, whose reasons are other tasks.
    fn explain_place(&self, row: Row, lines: &mut Vec<String>) {
        match &self.tasks[row].state {
            TaskState::Released => self.explain_released(row, lines),
            TaskState::Queued => self.explain_queued(row, lines),
            TaskState::NoWorker => self.explain_no_worker(row, lines),
            TaskState::Processing { worker, .. } => self.explain_processing(row, *worker, lines),
            TaskState::Memory(_) => self.explain_memory(row, lines),
            TaskState::Erred { error } => {
                if error.key != self.tasks[row].key {
                    lines.push(format!("it failed because {} did", error.key));
                }
                lines.push(error.to_string());
                lines.extend(error.causes.iter().take(NAMED).map(|c| format!("because {c}")));
            }
            TaskState::Waiting { .. } => {}
        }
    }

    /// Its key, its state, and since when.
    fn headline(&self, row: Row) -> String {
        let task = &self.tasks[row];
        let state = match task.state.name() {
            StateName::Memory => "in memory",
            StateName::NoWorker => "in state no-worker",
            state => state.as_str(),
        };
        format!("task {} is {state}, for {}", task.key, age(self.now, task.since))
    }

    /// What it computes.
    fn identity(&self, task: &TaskEntry) -> String {
        let Some(function) = task.function() else {
            return "it is data that a client scatters".to_owned();
        };
        let function = &self.functions.get(function).function;
        let count = task.dependencies.len();
        match count {
            0 => format!("it calls {function}, and depends on nothing"),
            _ => format!("it calls {function}, with {}", counted(count, "dependency")),
        }
    }

    /// Who wants it.
    fn interest(&self, task: &TaskEntry) -> String {
        let mut clients: Vec<(ClientId, usize)> = Vec::new();
        for Hold { client, .. } in task.holds.iter().take(COUNTED) {
            match clients.last_mut() {
                Some((last, futures)) if *last == client => *futures += 1,
                _ => clients.push((client, 1)),
            }
        }
        let named = clients.iter().take(NAMED).map(|(client, futures)| {
            let name = self.clients.get(client).map_or("", |entry| entry.name.as_str());
            format!("client {name} ({})", counted(*futures, "future"))
        });
        let mut by: Vec<String> = named.collect();
        if clients.len() > NAMED {
            by.push(counted(clients.len() - NAMED, "more client"));
        }
        if task.fired {
            by.push("a client that fired and forgot it".to_owned());
        }
        if task.waiters > 0 {
            by.push(format!("{} on the way to a result", counted(task.waiters as usize, "task")));
        }
        match (by.is_empty(), task.live_dependents) {
            (false, _) => format!("it is wanted by {}", by.join(", ")),
            (true, 0) => "nobody wants it".to_owned(),
            (true, kept) => {
                let kept = counted(kept as usize, "dependent");
                format!("nobody wants it now; it is remembered for {kept}")
            }
        }
    }

    /// What was tried.
    fn attempts(&self, task: &TaskEntry) -> Vec<String> {
        let mut lines = Vec::new();
        let runs = task.run.0 as usize;
        if runs > 1 {
            lines.push(format!("it was given to a worker {runs} times so far"));
        }
        if let Some(spec) = task.spec().filter(|spec| spec.options().retries > 0) {
            let (left, of) = (spec.retries, spec.options().retries);
            let failed = counted(of.saturating_sub(left) as usize, "time");
            lines.push(format!("its function failed {failed}; {left} of {of} retries are left"));
        }
        let deaths = task.suspected();
        if !deaths.is_empty() {
            let names: Vec<&str> = deaths.iter().take(NAMED).map(Address::as_str).collect();
            let names = and_more(&names, deaths.len());
            let allowed = self.config.allowed_failures;
            let count = counted(deaths.len(), "worker");
            lines.push(format!("{count} died under it, {allowed} may: {names}"));
        }
        lines
    }

    fn explain_unknown(&self, key: &str) -> Vec<String> {
        let (story, forgotten) = self.story.ending(key, STORY_LINES);
        let mut lines = match forgotten {
            Some(at) => vec![format!(
                "no task {key} is known: it was released by all who wanted it, and forgotten {} \
                 ago, at {at}",
                duration(self.now.since(at))
            )],
            None => vec![format!(
                "no task {key} is known: it was never submitted, was refused when it was, or was \
                 forgotten more than {} transitions ago",
                self.config.story_len
            )],
        };
        lines.extend(story.into_iter().map(|line| format!("  {line}")));
        lines
    }

    /// A worker for people: its name and its address.
    fn worker_name(&self, worker: WorkerId) -> String {
        let Some(entry) = self.workers.get(worker) else {
            return worker.to_string();
        };
        let (name, address) = (&entry.join.name, entry.join.address.as_str());
        if name == address { name.clone() } else { format!("{name} ({address})") }
    }

    /// Some tasks by key and state, of so many.
    fn name_tasks(&self, rows: &[Row], total: usize) -> String {
        let named = rows.iter().take(NAMED).map(|row| {
            let task = &self.tasks[*row];
            format!("{} ({})", task.key, task.state.name().as_str())
        });
        let named: Vec<String> = named.collect();
        and_more(&named, total)
    }
}

/// States in which a task can be while others wait for it, the most alarming first.
fn alarm(state: StateName) -> usize {
    let order = [
        StateName::NoWorker,
        StateName::Erred,
        StateName::Released,
        StateName::Queued,
        StateName::Processing,
    ];
    order.iter().position(|name| *name == state).unwrap_or(order.len())
}
