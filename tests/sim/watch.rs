//! The scheduler's watchdog: what makes no progress is warned of in bounded time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::id::{RunId, TaskId, WorkerId};
use dask_proto::{Key, Moment};

use crate::sim::Sim;

/// How long tasks may be under way, or data may be waited for.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(1);

/// How long tasks may be without a worker.
pub(crate) const UNRUNNABLE_AFTER: Duration = Duration::from_millis(100);

/// What may pass until the scheduler warns of tasks without a worker: it counts in tenths of
/// seconds.
const LATEST_WITHOUT_WORKER: Duration = Duration::from_secs(1);

/// The same for data that is to come: it sweeps now and then.
const LATEST_OF_DATA: Duration = Duration::from_secs(5);

/// The same for what is under way: ten times as long as the longest task is well, and then the
/// first in line has to be seen to stay so.
const LATEST_OF_RUNS: Duration = Duration::from_secs(60);

/// So many things at most are warned of in one look.
const WARNED_AT_ONCE: usize = 10;

/// Attempts at tasks.
type Runs = BTreeSet<(TaskId, RunId)>;

/// What was seen to make no progress, and what was said.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    warned: BTreeSet<Key>,
    /// Keys that are without a worker, since when as the scheduler says, since when as seen: one
    /// that had a worker between two looks waits anew.
    without_worker: BTreeMap<(Key, Moment), Moment>,
    /// Data that is to come, since when.
    to_come: BTreeMap<Key, Moment>,
    /// All that a worker has to compute, unchanged since when.
    given: BTreeMap<WorkerId, (Runs, Moment)>,
}

impl Watch {
    pub(crate) fn warned(&mut self, key: Key) {
        self.warned.insert(key);
    }
}

impl Sim {
    /// Looked at whenever the scheduler's deadline has come, for then it looks itself.
    pub(crate) fn what_makes_no_progress_is_warned_of(&mut self) {
        let state = &self.desk.state;
        let to_come = self.desk.holds.iter().filter(|((client, future), (key, _))| {
            let state = state.held(*client, *future).map(|(_, state)| state);
            key.as_str().starts_with("data") && state == Some("released")
        });
        let to_come = to_come.map(|(_, (key, _))| key.clone());
        let to_come = still(&self.watch.to_come, to_come, self.now);
        let without_worker = state.without_worker().map(|(key, since)| (key.clone(), since));
        let without_worker = still(&self.watch.without_worker, without_worker, self.now);
        let mut given: BTreeMap<WorkerId, (Runs, Moment)> = BTreeMap::new();
        for (task, run, worker) in state.assignments() {
            given.entry(worker).or_insert((Runs::new(), self.now)).0.insert((task, run));
        }
        for (worker, (runs, since)) in &mut given {
            let known = self.watch.given.get(worker).filter(|(known, _)| known == runs);
            *since = known.map_or(self.now, |(_, since)| *since);
        }
        self.watch.to_come = to_come;
        self.watch.without_worker = without_worker;
        self.watch.given = given;
        // They are looked for apart from the others.
        if self.watch.without_worker.len() <= WARNED_AT_ONCE {
            self.what_has_no_worker_is_warned_of();
        }
        if self.watch.to_come.len() + self.watch.given.len() <= WARNED_AT_ONCE {
            self.what_does_not_come_is_warned_of();
            self.what_does_not_end_is_warned_of();
        }
    }

    /// Tasks with the same needs are warned of together.
    fn what_has_no_worker_is_warned_of(&self) {
        // What a client wrote of its needs may come to the same as what another wrote.
        let functions = |key: &Key| -> Vec<u32> {
            let specs = self.book.pages(key).iter().map(|page| &self.book.specs[*page]);
            specs.filter(|spec| !spec.is_data).map(|spec| spec.function).collect()
        };
        for ((key, _), since) in &self.watch.without_worker {
            let is_late = self.now.since(*since) > LATEST_WITHOUT_WORKER;
            let mut warned = self.watch.warned.iter();
            let is_like = |other: &Key| {
                key == other || functions(key).iter().any(|f| functions(other).contains(f))
            };
            assert!(!is_late || warned.any(is_like), "{key} has no worker, and nobody is warned");
        }
    }

    fn what_does_not_come_is_warned_of(&self) {
        for (key, since) in &self.watch.to_come {
            let is_late = self.now.since(*since) > LATEST_OF_DATA;
            let is_warned = self.watch.warned.contains(key);
            assert!(!is_late || is_warned, "{key} does not come, and nobody is warned");
        }
    }

    fn what_does_not_end_is_warned_of(&self) {
        for (worker, (runs, since)) in &self.watch.given {
            if self.now.since(*since) > LATEST_OF_RUNS {
                let keys = runs.iter().filter_map(|(task, _)| self.desk.state.known(*task));
                let is_warned = keys.map(|(key, _)| key).any(|k| self.watch.warned.contains(k));
                assert!(is_warned, "{worker} does not end {runs:?}, and nobody is warned");
            }
        }
    }
}

/// What is so now: what was so before has been since then.
fn still<K: Ord>(
    before: &BTreeMap<K, Moment>,
    things: impl Iterator<Item = K>,
    now: Moment,
) -> BTreeMap<K, Moment> {
    let since = |thing: K| {
        let since = before.get(&thing).copied().unwrap_or(now);
        (thing, since)
    };
    things.map(since).collect()
}
