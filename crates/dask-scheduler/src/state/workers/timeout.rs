use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use dask_proto::graph::TaskOptions;
use dask_proto::id::TaskId;
use dask_proto::{Moment, TaskError, TaskErrorKind};

use crate::state::SchedulerState;
use crate::state::table::function::FunctionRow;
use crate::state::table::task::{Row, Since, StateName};
use crate::state::transition::Goal;

/// This many tasks fail at a time for want of a worker, so that other peers are heard meanwhile.
const FAILED_AT_ONCE: usize = 1_000;

/// What waits for time to pass, apart from the workers' times to live.
#[derive(Debug)]
pub(in crate::state) struct Patience {
    /// The tasks that came into state no-worker, in that order, with the moment: those that left
    /// it are passed over when their time comes. Empty without a `no_workers_timeout`.
    unrunnable: VecDeque<(Moment, TaskId)>,
    /// Since when nothing runs and nothing is asked: from the start, which no event tells of.
    idle_since: Option<Moment>,
    /// Whether a task came into another state since that was last looked at.
    pub(in crate::state) has_stirred: bool,
}

impl Default for Patience {
    fn default() -> Self {
        let idle_since = Some(Moment::default());
        Self { unrunnable: VecDeque::new(), idle_since, has_stirred: false }
    }
}

impl SchedulerState {
    /// The earliest moment at which something is to be done if nothing else happens.
    pub(in crate::state) fn next_deadline(&self) -> Option<Moment> {
        if self.is_closing {
            return None;
        }
        let silent = self.deadlines.first().map(|(at, _)| *at);
        let unrunnable = self.patience.unrunnable.front();
        let unrunnable =
            unrunnable.and_then(|(since, _)| Some(*since + self.config.no_workers_timeout?));
        let idle = self.idle_deadline();
        let unneeded = self.programs.next_look();
        let times =
            [silent, self.replicas.next_round, unrunnable, idle, self.watchdog.next(), unneeded];
        times.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(in crate::state) fn timed_out(&mut self) {
        self.remove_silent_workers();
        self.reduce_replicas();
        self.fail_unrunnable();
        self.watch();
        self.stop_unneeded_programs();
        self.end_stuck_fetches();
        if self.idle_deadline().is_some_and(|at| at <= self.now) {
            let timeout = self.config.idle_timeout.unwrap_or_default();
            self.shut_down(&format!("the scheduler was idle for {timeout:?}"));
        }
    }

    /// Starts the time that a task may be in state no-worker.
    pub(in crate::state) fn start_patience(&mut self, row: Row) {
        if self.config.no_workers_timeout.is_some() {
            let id = self.tasks.id(row);
            self.patience.unrunnable.push_back((self.now, id));
            if self.patience.unrunnable.len() > FAILED_AT_ONCE + 2 * self.no_worker.len() {
                let mut unrunnable = std::mem::take(&mut self.patience.unrunnable);
                unrunnable.retain(|(since, id)| self.still_unrunnable(*id, *since).is_some());
                self.patience.unrunnable = unrunnable;
            }
        }
    }

    /// Whether every task in state no-worker will fail in time; for the invariants.
    pub(in crate::state) fn all_patience_ends(&self) -> bool {
        let awaited = self.patience.unrunnable.iter();
        let awaited: BTreeSet<Row> =
            awaited.filter_map(|(since, id)| self.still_unrunnable(*id, *since)).collect();
        self.config.no_workers_timeout.is_none() || awaited.len() == self.no_worker.len()
    }

    /// Notes whether the scheduler is idle, after an event. Dask's rule: nothing is processing,
    /// queued or waiting for a worker, and no task changes its state; and here also, no client said
    /// anything.
    pub(in crate::state) fn note_idleness(&mut self, asked: Asked) {
        if self.config.idle_timeout.is_none() {
            return;
        }
        let patience = &mut self.patience;
        let has_stirred = std::mem::take(&mut patience.has_stirred) || asked == Asked::Something;
        if self.counts[StateName::Waiting as usize..=StateName::Processing as usize] != [0; 4] {
            patience.idle_since = None;
        } else if has_stirred || patience.idle_since.is_none() {
            patience.idle_since = Some(self.now);
        }
    }

    fn idle_deadline(&self) -> Option<Moment> {
        let timeout = self.config.idle_timeout?;
        self.patience.idle_since.map(|since| since + timeout)
    }

    /// Fails tasks that no worker came for in time (Dask's `no-workers-timeout`).
    fn fail_unrunnable(&mut self) {
        let Some(timeout) = self.config.no_workers_timeout else {
            return;
        };
        // Thousands of tasks share their reason, which takes a look at workers to say.
        let mut last: Option<(FunctionRow, Arc<TaskOptions>, String)> = None;
        for _ in 0..FAILED_AT_ONCE {
            let Some((since, id)) = self.patience.unrunnable.front().copied() else {
                break;
            };
            if since + timeout > self.now {
                break;
            }
            self.patience.unrunnable.pop_front();
            let Some(row) = self.still_unrunnable(id, since) else {
                continue;
            };
            let Some(spec) = self.tasks[row].spec() else {
                continue;
            };
            let (function, options) = (spec.function, spec.options().clone());
            let is_same = |known: &(FunctionRow, Arc<TaskOptions>, String)| {
                known.0 == function && *known.1 == *options
            };
            if !last.as_ref().is_some_and(is_same) {
                let mut lines = vec![format!("none came within {timeout:?} that may run it")];
                self.explain_no_worker(row, &mut lines);
                last = Some((function, options, lines.join("\n")));
            }
            let message = last.as_ref().map_or("", |(.., message)| message);
            let error = TaskError {
                function: self.functions.get(function).function.path.clone(),
                ..TaskError::new(TaskErrorKind::NoWorker, self.tasks[row].key.clone(), message)
            };
            self.recommend(row, Goal::Erred(Arc::new(error)));
        }
    }

    /// A task that has been in state no-worker ever since.
    fn still_unrunnable(&self, id: TaskId, since: Moment) -> Option<Row> {
        let row = self.tasks.row(id)?;
        let task = &self.tasks[row];
        let is_there = task.state.name() == StateName::NoWorker;
        (is_there && task.since == Since::from(since)).then_some(row)
    }
}

/// Whether a client said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Asked {
    Something,
    Nothing,
}
