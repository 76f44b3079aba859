//! How a run goes and how it is judged.

use std::collections::BTreeMap;
use std::time::Duration;

use dask_proto::{TaskError, TaskErrorKind};
use dask_worker::state::WorkerState;

use crate::book::Page;
use crate::client::Status;
use crate::sim::{PeerId, Sim};

/// How long the wild part may take, if programs act for so long.
const WILD: Duration = Duration::from_secs(120);

/// How long everything may take that is still to be done once the faults have stopped. A lone
/// worker with one thread starts a long graph from its beginning after every death, and a graph may
/// have a few tasks that kill four workers each.
const SETTLING: Duration = Duration::from_secs(7_200);

impl Sim {
    /// The whole run.
    ///
    /// # Panics
    /// When something is not as it should be.
    pub(crate) fn run(&mut self) {
        let wild = self.dice.micros(1_000, 60_000_000).min(WILD);
        self.run_until(wild, |sim| sim.events.is_multiple_of(64) && sim.is_dull());
        self.note(|| "no more faults".to_owned());
        self.calm();
        self.settle("after the faults");
        let clients: Vec<PeerId> = self.programs.keys().copied().collect();
        for client in clients {
            self.retry_all(client);
        }
        self.settle("after a retry");
        self.release_all();
        let is_empty =
            self.run_until(SETTLING, |sim| sim.events.is_multiple_of(16) && sim.is_empty());
        assert!(is_empty, "something is left though nobody wants it");
    }

    /// Whether nothing more will be tried.
    fn is_dull(&self) -> bool {
        let mut programs = self.programs.values();
        self.weather.faults == 0 && !self.programs.is_empty() && programs.all(|p| p.acts == 0)
    }

    fn settle(&mut self, when: &str) {
        let is_settled = |sim: &Self| {
            let mut programs = sim.programs.values();
            programs.all(crate::client::Program::is_settled)
        };
        let settled = self.run_until(SETTLING, is_settled);
        assert!(settled, "a key that is wanted does not resolve {when}");
    }

    fn release_all(&mut self) {
        let clients: Vec<PeerId> = self.programs.keys().copied().collect();
        for client in clients {
            let futures = self.programs[&client].tickets.keys().copied();
            for future in futures.collect::<Vec<_>>() {
                self.release(client, future);
            }
            self.perform(client);
        }
    }

    /// Whether nothing is left over: no task, no copy, no future, no thread or resource in use.
    fn is_empty(&self) -> bool {
        let at_work = |process: &crate::process::Process| {
            let is_idle = process.state.as_ref().is_some_and(WorkerState::is_idle);
            !is_idle || !process.store.is_empty() || !process.active.is_empty()
        };
        let is_forgotten = self.desk.state.tasks() == 0 && self.desk.state.futures() == 0;
        is_forgotten && !self.processes.values().any(|process| at_work(process))
    }

    /// Every failure has a cause among the faults that were drawn.
    pub(crate) fn explain_error(&self, page: Page, error: &TaskError) {
        let closure = self.book.closure(page);
        let is_meant = |page: &&Page| self.book.specs[**page].key == error.key;
        let causes: Vec<Page> = closure.iter().filter(is_meant).copied().collect();
        let key = &self.book.specs[page].key;
        assert!(!causes.is_empty(), "{key} failed because of a stranger: {error}");
        let is_explained = causes.iter().any(|cause| self.is_explained(*cause, error));
        assert!(is_explained, "nothing explains this: {error}");
    }

    fn is_explained(&self, cause: Page, error: &TaskError) -> bool {
        let spec = &self.book.specs[cause];
        match error.kind {
            TaskErrorKind::Returned => self.failed.contains(&cause),
            TaskErrorKind::KilledWorker => {
                self.killers.contains(&cause) || self.losses > self.desk.allowed_failures
            }
            TaskErrorKind::NoFunction => spec.function != 0,
            TaskErrorKind::LostData => spec.is_data,
            TaskErrorKind::KeyCollision => self.book.has_twin(cause),
            _ => false,
        }
    }

    /// What is stuck, and why, as far as the states can tell.
    pub(crate) fn report(&self) -> Vec<String> {
        let mut lines =
            vec![format!("at {}, after {} events; the scheduler has:", self.now, self.events)];
        lines.extend(self.desk.state.summary().into_iter().map(|l| format!("  {l}")));
        for (peer, program) in &self.programs {
            for (future, ticket) in &program.tickets {
                if matches!(ticket.status, Status::Pending | Status::Finished) {
                    let key = &self.book.specs[ticket.page].key;
                    lines.push(format!("client {peer} waits for {key} ({future}):"));
                    let story = self.desk.state.story(key.as_str());
                    lines.extend(story.into_iter().map(|line| format!("    {line}")));
                }
            }
            if !program.is_settled() {
                lines.push(format!("client {peer} is not settled: {program:?}"));
            }
        }
        for (peer, process) in &self.processes {
            let stages =
                process.state.as_ref().map(|state| state.stages().collect::<BTreeMap<_, _>>());
            lines.push(format!(
                "{} is process {peer}: {stages:?}, runs {:?}, frozen: {}",
                self.slots[process.slot].join.name, process.running, process.is_frozen
            ));
        }
        lines
    }
}
