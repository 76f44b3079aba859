//! Work stealing: idle workers are given tasks that wait on others.
//!
//! Nothing is stolen without the consent of the victim, which alone knows what has started. So the
//! scheduler asks, counts the task with the thief from then on, and moves it when the victim gives
//! it. Attempts are made when something changes, a worker becomes idle or another saturated, and
//! never by a timer. A task moves when it is expected to be done earlier that way, and what is
//! cheapest to move goes first: Dask's cost ratio.

mod answer;
mod index;

use std::cmp::Reverse;

use dask_proto::id::WorkerId;

use crate::state::SchedulerState;
use crate::state::insight::story::Step;
use crate::state::table::function::FunctionRow;
use crate::state::table::spec::Spec;
use crate::state::table::task::{Row, TaskState};
use crate::state::table::worker::{FEED_AHEAD, WorkerEntry};
pub(in crate::state) use index::{Place, Restriction, Standing, Stealable, Stealing, Theft};

/// A worker whose last task waits this long is saturated, in nanoseconds. A worker is fed that far
/// ahead of its threads with short tasks, and one task further.
const SATURATED: u64 = 2 * FEED_AHEAD;

/// A thief is given tasks until it has this much to do, in nanoseconds: enough to be busy for many
/// round trips, and little to have moved in vain when tasks turn out to be shorter than expected.
const HORIZON: u64 = 1_000_000_000;

/// Asking the victim and telling the thief takes about this long, in nanoseconds.
const ROUND_TRIP: u64 = 1_000_000;

/// A task that runs for less than this many nanoseconds is not worth moving data for.
const SHORT: u64 = 5_000_000;

/// A task is not moved when fetching its dependencies takes this many times as long as itself.
const WORST_RATIO: u64 = 100;

/// How long the tasks of a worker that starts none are taken to wait at least, in nanoseconds.
const PAUSED: u64 = 10_000_000_000;

/// A task with more dependencies than this stays where it is: to weigh one up would cost too much.
const DEPENDENCIES: usize = 64;

/// How many tasks of a victim are weighed up in one attempt.
const LOOKED_AT: usize = 16;

/// How many attempts may fail after one event.
const FAILURES: usize = 3;

/// How many tasks are asked for after one event.
const ASKED_AT_ONCE: usize = 1000;

/// What a theft costs and brings, in nanoseconds.
struct Gain {
    /// How long the task is expected to run.
    cost: u64,
    /// How long its dependencies are fetched.
    fetch: u64,
}

impl WorkerEntry {
    /// Where it stands as a thief and as a victim.
    pub(in crate::state) fn standing_now(&self) -> Standing {
        let threads = if self.takes_tasks() { self.threads() as usize } else { 0 };
        let is_idle = self.active() < threads;
        let is_victim = self.active() - self.outgoing.len() > threads;
        let wait = if is_victim { self.wait(0) } else { 0 };
        Standing {
            idle: is_idle.then(|| index::step(self.load())),
            saturated: (wait >= SATURATED).then(|| index::step(wait)),
        }
    }

    /// How long its last task waits for a thread, if that task runs for so long; in nanoseconds.
    fn wait(&self, cost: u64) -> u64 {
        let others = self.spread(self.backlog().saturating_sub(cost));
        let paused = if self.takes_tasks() { 0 } else { PAUSED };
        // What runs now is half done on average.
        others.max(self.lag).saturating_sub(cost / 2).saturating_add(paused)
    }

    /// Whether its tasks wait for longer than their durations tell.
    fn is_stuck(&self) -> bool {
        self.lag > 0 || !self.takes_tasks()
    }

    /// When it would start another task, from now on in nanoseconds.
    fn start(&self) -> u64 {
        let has_thread = self.expected() < self.threads() as usize;
        if has_thread { 0 } else { self.load() }
    }

    /// Gives up the list of its tasks that can be stolen, once that has paid for itself.
    fn drop_stealable(&mut self) {
        if self.stealable.as_ref().is_some_and(|list| list.is_paid_for()) {
            self.stealable = None;
        }
    }
}

impl SchedulerState {
    /// Asks saturated workers for tasks that idle ones would be done with earlier.
    pub(in crate::state) fn balance(&mut self) {
        self.place_touched();
        if !self.stealing.is_due(self.now) {
            return;
        }
        let (mut asked, mut failures) = (0, 0);
        while asked < ASKED_AT_ONCE {
            let Some((victim, thief)) = self.pair(failures) else {
                return self.stealing.rest(self.now);
            };
            if self.steal(victim, thief) {
                self.place_touched();
                asked += 1;
                continue;
            }
            failures += 1;
            if failures == FAILURES {
                return self.stealing.rest(self.now);
            }
        }
    }

    fn place_touched(&mut self) {
        while let Some(worker) = self.stealing.next_touched() {
            if let Some(entry) = self.workers.get_mut(worker) {
                self.stealing.place(worker, entry);
            }
        }
    }

    /// Who is to steal from whom. First the two that differ most; after a failure others in turn,
    /// so that every pair is tried at some time.
    fn pair(&mut self, failures: usize) -> Option<(WorkerId, WorkerId)> {
        let victim = match failures {
            0 => self.stealing.most_saturated()?,
            _ => self.stealing.next_victim()?,
        };
        let thief = match failures {
            0 | 1 => self.stealing.idlest(self.workers.get(victim)?.group)?,
            _ => self.stealing.next_thief()?,
        };
        Some((victim, thief))
    }

    /// Asks one worker for one task, if another would be done with it earlier; whether it did.
    fn steal(&mut self, victim: WorkerId, thief: WorkerId) -> bool {
        self.list_stealable(victim);
        let list = self.workers.get_mut(victim).and_then(|entry| entry.stealable.take());
        let Some(mut list) = list else { return false };
        let free = list.first(LOOKED_AT).into_iter();
        let mut found = free.map(|row| (row, self.gain(row, victim, thief)));
        let mut found = found.find_map(|(row, gain)| Some((row, gain?)));
        for _ in 0..list.restricted_len().min(LOOKED_AT) {
            if found.is_some() {
                break;
            }
            let next = list.next_restricted();
            found = next.and_then(|row| Some((row, self.gain(row, victim, thief)?)));
        }
        if let Some(entry) = self.workers.get_mut(victim) {
            entry.stealable = Some(list);
        }
        let is_found = found.is_some();
        if let Some((row, Gain { cost, fetch })) = found {
            self.ask(row, Theft { victim, thief: Some(thief), cost, fetch });
        }
        is_found
    }

    fn ask(&mut self, row: Row, theft: Theft) {
        let task = &self.tasks[row];
        let (priority, id) = (task.priority(), (self.tasks.id(row), task.run));
        let victim = theft.victim;
        let step = match theft.thief {
            Some(thief) => Step::AskedFor { victim, thief },
            None => Step::Asked { victim },
        };
        self.record_step(row, step);
        self.stealing.begin(row, theft);
        if let Some(entry) = self.workers.get_mut(theft.victim) {
            entry.not_stealable(priority, row);
            entry.outgoing.add(row, theft.cost);
        }
        let thief = theft.thief.and_then(|thief| self.workers.get_mut(thief));
        if let Some(entry) = thief {
            entry.incoming.add(row, theft.cost.saturating_add(theft.fetch));
        }
        self.out.steal(theft.victim, id);
        self.rerank(theft.victim);
        theft.thief.into_iter().for_each(|thief| self.rerank(thief));
    }

    /// What it takes to move a task, if it is done earlier that way.
    fn gain(&self, row: Row, victim: WorkerId, thief: WorkerId) -> Option<Gain> {
        let spec = self.tasks[row].spec()?;
        if !self.may_run(thief, spec) {
            return None;
        }
        let (from, to) = (self.workers.get(victim)?, self.workers.get(thief)?);
        let cost = self.expected_duration(spec.function);
        let fetch = self.fetch_time(self.missing_bytes(row, thief));
        let is_too_short = cost < SHORT || fetch / WORST_RATIO > cost;
        if fetch > 0 && is_too_short && !from.is_stuck() {
            return None;
        }
        let start = to.start();
        let done = start.saturating_add(fetch).saturating_add(ROUND_TRIP);
        (start < HORIZON && done <= from.wait(cost)).then_some(Gain { cost, fetch })
    }

    /// Makes the list of the tasks of a worker that can be stolen, if there is none.
    fn list_stealable(&mut self, worker: WorkerId) {
        let Some(entry) = self.workers.get(worker) else { return };
        if entry.stealable.is_some() {
            return;
        }
        let mut list = Stealable::default();
        for row in entry.processing.iter() {
            if let Some((place, restriction)) = self.stealable_place(row) {
                list.insert(place, restriction);
            }
        }
        list.is_built();
        if let Some(entry) = self.workers.get_mut(worker) {
            entry.stealable = Some(Box::new(list));
        }
    }

    /// Adds a task that a worker was given to the list of those that can be stolen from it, if
    /// there is such a list.
    pub(in crate::state) fn add_stealable(&mut self, row: Row, worker: WorkerId) {
        if self.workers.get(worker).is_some_and(|entry| entry.stealable.is_some())
            && let Some((place, restriction)) = self.stealable_place(row)
            && let Some(entry) = self.workers.get_mut(worker)
            && let Some(list) = &mut entry.stealable
        {
            list.insert(place, restriction);
        }
    }

    /// Where a task stands among those that can be stolen, if it can.
    pub(in crate::state) fn stealable_place(&self, row: Row) -> Option<(Place, Restriction)> {
        let task = &self.tasks[row];
        let spec = task.spec()?;
        let is_open =
            matches!(task.state, TaskState::Processing { seceded: false, kept: false, .. });
        if !is_open
            || task.dependencies.len() > DEPENDENCIES
            || self.stealing.in_flight().contains_key(&row)
            || self.is_call(row)
        {
            return None;
        }
        let options = spec.options();
        let is_free = options.workers.is_empty() && options.resources.is_empty();
        let restriction = if is_free { Restriction::None } else { Restriction::Some };
        let level = self.level(row, spec.function);
        Some(((level, Reverse(task.priority()), Reverse(row)), restriction))
    }

    /// The cost ratio in powers of two: how long it takes to fetch the dependencies, by how long
    /// the task runs.
    fn level(&self, row: Row, function: FunctionRow) -> u8 {
        let dependencies = self.tasks[row].dependencies.iter();
        let sizes = dependencies.map(|dependency| self.tasks[*dependency].nbytes().unwrap_or(0));
        let Some(bytes) = sizes.reduce(u64::saturating_add) else {
            return 0;
        };
        let cost = self.expected_duration(function);
        let ratio = self.fetch_time(bytes.max(1)).saturating_mul(64) / cost;
        let level = ratio.checked_ilog2().map_or(1, |bits| bits + 2);
        u8::try_from(level).unwrap_or(u8::MAX)
    }

    /// The bytes of a task's dependencies that a worker does not hold.
    fn missing_bytes(&self, row: Row, worker: WorkerId) -> u64 {
        let dependencies = self.tasks[row].dependencies.iter().map(|d| &self.tasks[*d]);
        let missing = dependencies
            .filter(|dependency| !dependency.holders().is_some_and(|h| h.contains(worker)));
        // An empty value has to be fetched too.
        missing.fold(0, |sum, task| sum.saturating_add(task.nbytes().unwrap_or(0).max(1)))
    }

    /// Whether a worker takes tasks, has the function, and satisfies the restrictions.
    fn may_run(&self, worker: WorkerId, spec: &Spec) -> bool {
        let options = spec.options();
        let mut names = options.workers.iter();
        self.can_run(worker, spec.function)
            && self.workers.get(worker).is_some_and(|entry| entry.supplies(&options.resources))
            && (options.workers.is_empty()
                || options.allow_other_workers
                || names.any(|text| self.workers.is_named(text, worker)))
    }
}
