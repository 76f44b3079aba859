//! Looks for tasks that make no progress, and has the shell log why.
//!
//! No task has a timer. Tasks without a worker are found in their index every few seconds; tasks
//! that are processing are found by a sweep through the table, some rows at a time. While nothing
//! is unfinished nothing is looked for, and there is no deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dask_proto::Moment;
use dask_proto::graph::{Priority, TaskOptions};
use dask_proto::id::{RunId, TaskId, WorkerId};

use crate::state::SchedulerState;
use crate::state::table::function::FunctionRow;
use crate::state::table::task::{Row, StateName, TaskEntry, TaskState};

/// A task that takes this many times as long as others of its function makes no progress.
const LONG: u32 = 10;

/// Rows of the table that are looked at in one step of a sweep, and tasks without a worker in one
/// look.
const ROWS_AT_ONCE: usize = 4_096;

/// How long other events have between two steps of a sweep.
const PAUSE: Duration = Duration::from_millis(10);

/// So many things are warned of in one look; how many more there are is said with the last.
const WARNED_AT_ONCE: usize = 10;

/// Of so many tasks of a worker at most it is remembered since when they are the first in line.
const FIRST_IN_LINE: usize = 64;

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub(in crate::state) struct Watchdog {
    /// When to look for tasks without a worker, and when to go on with the sweep; none while
    /// nothing is unfinished.
    look: Option<Moment>,
    sweep: Option<Moment>,
    progress: Sweep,
    /// The tasks that were the first in line on their workers at the last sweep, and since when.
    first_in_line: BTreeMap<(TaskId, RunId), Moment>,
    /// What was warned of and still is so.
    warned: Vec<Warned>,
}

/// A sweep that is under way.
#[derive(Debug, Default)]
struct Sweep {
    next: usize,
    /// By worker, and by whether they left its pool of threads, the first in line of those that
    /// have been there for long.
    old: BTreeMap<(WorkerId, bool), BTreeSet<(Priority, Row)>>,
    /// Scattered data that does not come, and how much more there is of it.
    absent: Vec<Row>,
    more_absent: usize,
}

/// What makes no progress.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    /// Tasks with the same needs, none of which has a worker.
    Unrunnable(FunctionRow, Arc<TaskOptions>),
    /// Queued tasks, while no worker with their function takes tasks.
    Queue(FunctionRow),
    /// One attempt at a task that takes too long, or data that does not come.
    Task(TaskId, RunId),
}

#[derive(Debug)]
struct Warned {
    subject: Subject,
    again: Moment,
    interval: Duration,
    /// Whether the look that is under way found it still so.
    is_current: bool,
}

/// Something to warn of.
struct Finding {
    subject: Subject,
    row: Row,
    /// How many more tasks share the reason.
    more: usize,
}

impl Watchdog {
    pub(in crate::state) fn next(&self) -> Option<Moment> {
        [self.look, self.sweep].into_iter().flatten().min()
    }
}

impl SchedulerState {
    /// Starts watching when something is unfinished, and stops when nothing is; after each event.
    pub(in crate::state) fn mind_watchdog(&mut self) {
        let is_watching = self.watchdog.next().is_some();
        match (is_watching, self.is_unfinished()) {
            (false, true) => {
                let config = &self.config;
                self.watchdog.look = config.unrunnable_after.map(|after| self.now + after);
                self.watchdog.sweep = config.stuck_after.map(|after| self.now + after / 2);
            }
            (true, false) => self.watchdog = Watchdog::default(),
            _ => {}
        }
    }

    /// Looks for what makes no progress, where that is due.
    pub(in crate::state) fn watch(&mut self) {
        let is_due = |at: Option<Moment>, now| at.is_some_and(|at| at <= now);
        if let (true, Some(after)) =
            (is_due(self.watchdog.look, self.now), self.config.unrunnable_after)
        {
            self.watchdog.look = Some(self.now + (after / 2).max(PAUSE));
            self.look_for_workers(after);
        }
        if let (true, Some(after)) =
            (is_due(self.watchdog.sweep, self.now), self.config.stuck_after)
        {
            let pause = if self.sweep(after) { (after / 4).max(PAUSE) } else { PAUSE };
            self.watchdog.sweep = Some(self.now + pause);
        }
    }

    fn is_unfinished(&self) -> bool {
        self.announced > 0
            || self.counts[StateName::Waiting as usize..=StateName::Processing as usize] != [0; 4]
    }

    /// Warns of tasks that have been without a worker for so long.
    fn look_for_workers(&mut self, after: Duration) {
        let mut findings: Vec<Finding> = Vec::new();
        let mut others = 0;
        for (_, row) in self.no_worker.iter().take(ROWS_AT_ONCE) {
            let task = &self.tasks[*row];
            let (Some(spec), true) = (task.spec(), self.age(task) >= after) else {
                continue;
            };
            let subject = Subject::Unrunnable(spec.function, spec.options().clone());
            match findings.iter().position(|finding| finding.subject == subject) {
                Some(known) => findings[known].more += 1,
                None if findings.len() < WARNED_AT_ONCE => {
                    findings.push(Finding { subject, row: *row, more: 0 });
                }
                None => others += 1,
            }
        }
        for function in self.functions.queued() {
            let queue = &self.functions.get(function).queue;
            let head = queue.first().map(|(_, row)| row);
            let head = head.filter(|row| self.age(&self.tasks[*row]) >= after);
            if let (Some(row), 0) = (head, self.functions.ranked_len(function)) {
                let (subject, more) = (Subject::Queue(function), queue.len() - 1);
                findings.push(Finding { subject, row, more });
            }
        }
        findings.truncate(WARNED_AT_ONCE);
        let is_task = |subject: &Subject| matches!(subject, Subject::Task(..));
        self.warn(findings, others, after, |subject| !is_task(subject));
    }

    /// Goes on with the sweep; whether it came to its end.
    fn sweep(&mut self, after: Duration) -> bool {
        let start = self.watchdog.progress.next;
        let end = (start + ROWS_AT_ONCE).min(self.tasks.rows());
        let mut progress = std::mem::take(&mut self.watchdog.progress);
        for row in self.tasks.occupied(start..end) {
            self.inspect(row, after, &mut progress);
        }
        if end < self.tasks.rows() {
            progress.next = end;
            self.watchdog.progress = progress;
            return false;
        }
        self.conclude(progress, after);
        true
    }

    /// Notes a task that may make no progress.
    fn inspect(&self, row: Row, after: Duration, sweep: &mut Sweep) {
        let task = &self.tasks[row];
        match &task.state {
            TaskState::Processing { worker, seceded, .. } => {
                if self.age(task) < self.limit(row, after) / 2 {
                    return;
                }
                let threads = self.workers.get(*worker).map_or(0, |entry| entry.nthreads);
                let threads = usize::try_from(threads).unwrap_or(usize::MAX);
                let old = sweep.old.entry((*worker, *seceded)).or_default();
                old.insert((task.priority(), row));
                if old.len() > threads.clamp(1, FIRST_IN_LINE) {
                    old.pop_last();
                }
            }
            TaskState::Released if self.age(task) >= after && self.is_announced(row) => {
                if sweep.absent.len() < WARNED_AT_ONCE {
                    sweep.absent.push(row);
                } else {
                    sweep.more_absent += 1;
                }
            }
            _ => {}
        }
    }

    /// Warns of what the sweep found.
    fn conclude(&mut self, sweep: Sweep, after: Duration) {
        let before = std::mem::take(&mut self.watchdog.first_in_line);
        let mut first_in_line = BTreeMap::new();
        let mut findings: Vec<Finding> = Vec::new();
        let mut others = sweep.more_absent;
        for row in sweep.absent {
            findings.push(Finding { subject: self.subject(row), row, more: 0 });
        }
        for rows in sweep.old.into_values() {
            let mut of_worker: Option<Finding> = None;
            // Between the steps of a sweep tasks may have gone.
            for (_, row) in rows.into_iter().filter(|(_, row)| self.is_processing(*row)) {
                let id = (self.tasks.id(row), self.tasks[row].run);
                let since = before.get(&id).copied().unwrap_or(self.now);
                first_in_line.insert(id, since);
                let limit = self.limit(row, after);
                let is_stuck =
                    self.age(&self.tasks[row]) >= limit && self.now.since(since) >= limit / 2;
                match &mut of_worker {
                    Some(finding) => finding.more += usize::from(is_stuck),
                    None if is_stuck => {
                        of_worker = Some(Finding { subject: self.subject(row), row, more: 0 });
                    }
                    None => {}
                }
            }
            match of_worker {
                Some(finding) if findings.len() < WARNED_AT_ONCE => findings.push(finding),
                Some(finding) => others += 1 + finding.more,
                None => {}
            }
        }
        self.watchdog.first_in_line = first_in_line;
        self.warn(findings, others, after, |subject| matches!(subject, Subject::Task(..)));
    }

    /// Warns of what was found, unless that was done lately; forgets what is no longer so, among
    /// the subjects that were looked for.
    fn warn(
        &mut self,
        findings: Vec<Finding>,
        others: usize,
        interval: Duration,
        is_looked_for: impl Fn(&Subject) -> bool,
    ) {
        let mut warned = std::mem::take(&mut self.watchdog.warned);
        for entry in &mut warned {
            entry.is_current = !is_looked_for(&entry.subject);
        }
        let last = findings.len().saturating_sub(1);
        for (i, finding) in findings.into_iter().enumerate() {
            let mut lines = self.explain_row(finding.row);
            let others = if i == last { others } else { 0 };
            lines.extend((finding.more > 0).then(|| format!("{} more like it", finding.more)));
            lines.extend((others > 0).then(|| format!("{others} others make no progress either")));
            if is_due(&mut warned, finding.subject, self.now, interval) {
                let key = self.tasks[finding.row].key.clone();
                self.out.warn(key, lines);
            }
        }
        warned.retain(|entry| entry.is_current);
        self.watchdog.warned = warned;
    }

    fn subject(&self, row: Row) -> Subject {
        Subject::Task(self.tasks.id(row), self.tasks[row].run)
    }

    fn is_processing(&self, row: Row) -> bool {
        let task = self.tasks.get(row);
        task.is_some_and(|task| matches!(task.state, TaskState::Processing { .. }))
    }

    /// How long a task has been in its state.
    fn age(&self, task: &TaskEntry) -> Duration {
        self.now.since(task.since.moment())
    }

    /// How long a task may be processing.
    fn limit(&self, row: Row, after: Duration) -> Duration {
        let function = self.tasks[row].function();
        let usual = function.map_or(0, |function| self.expected_duration(function));
        Duration::from_nanos(usual).saturating_mul(LONG).max(after)
    }
}

/// Whether it is time to warn of something: when it is new, and then at doubling intervals.
fn is_due(warned: &mut Vec<Warned>, subject: Subject, now: Moment, interval: Duration) -> bool {
    let Some(known) = warned.iter_mut().find(|known| known.subject == subject) else {
        let (again, is_current) = (now + interval, true);
        warned.push(Warned { subject, again, interval, is_current });
        return true;
    };
    known.is_current = true;
    let is_due = known.again <= now;
    if is_due {
        known.interval = known.interval.saturating_mul(2);
        known.again = now + known.interval;
    }
    is_due
}
