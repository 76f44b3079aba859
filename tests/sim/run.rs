//! Runs seeds, and says which failed.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use crate::sim::Sim;
use crate::trace::Trace;

/// How many seeds an ordinary test run tries.
const SEEDS: u64 = 60;

/// How many failures are told of before a run gives up.
const FAILURES: u64 = 5;

/// An event takes far less than a millisecond: one that takes this long never ends.
const LONGEST: Duration = Duration::from_secs(60);

thread_local! {
    /// What the last panic of this thread said, and where.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics are part of the report of their seed, and are not told of twice.
fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let other = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(SEED_THREAD) {
                let payload = info.payload();
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref().copied()).unwrap_or("a panic");
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                PANIC.set(format!("{} ({place})", text.replace('\n', "; ")));
            } else {
                other(info);
            }
        }));
    });
}

const SEED_THREAD: &str = "seeds";

/// Why a seed failed, and how the cluster stood.
#[derive(Debug)]
struct Failure {
    check: String,
    report: Vec<String>,
}

/// Runs one seed; its trace, or what went wrong.
fn run_seed(seed: u64, trace: Trace) -> Result<Trace, Failure> {
    run_sim(Sim::new(seed, trace))
}

fn run_sim(mut sim: Sim) -> Result<Trace, Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| sim.run()));
    outcome.map_err(|_| Failure { check: PANIC.take(), report: sim.report() })?;
    Ok(sim.trace)
}

/// What a lock protects, even if a thread panicked while it had it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment, for `cargo xtask sim`.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A seed that a thread is at, and how far it has come.
struct Current {
    seed: u64,
    pulse: Arc<AtomicU64>,
    /// What the pulse was when it was last seen to change.
    seen: (u64, Instant),
}

/// Some seeds, which threads take one by one.
struct Seeds {
    first: u64,
    end: u64,
    next: AtomicU64,
    done: AtomicU64,
    /// After so many failures no more seeds are begun.
    enough: u64,
    failed: Mutex<Vec<u64>>,
    /// What each thread is at.
    current: Vec<Mutex<Option<Current>>>,
    started: Instant,
}

impl Seeds {
    fn from_environment() -> Self {
        let first = number("SIM_SEED").unwrap_or(0);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let jobs = number("SIM_JOBS").filter(|jobs| *jobs > 0).unwrap_or(cores);
        Self {
            first,
            end: first + number("SIM_SEEDS").unwrap_or(SEEDS),
            next: AtomicU64::new(first),
            done: AtomicU64::new(0),
            enough: number("SIM_FAILURES").unwrap_or(FAILURES),
            failed: Mutex::new(Vec::new()),
            current: (0..jobs).map(|_| Mutex::new(None)).collect(),
            started: Instant::now(),
        }
    }

    fn work(&self, thread: usize) {
        loop {
            let is_enough = locked(&self.failed).len() as u64 >= self.enough;
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end || is_enough {
                *locked(&self.current[thread]) = None;
                return;
            }
            let sim = Sim::new(seed, Trace::Off);
            let (pulse, seen) = (sim.pulse.clone(), (0, Instant::now()));
            *locked(&self.current[thread]) = Some(Current { seed, pulse, seen });
            if let Err(failure) = run_sim(sim) {
                let mut failed = locked(&self.failed);
                println!("\nseed {seed} failed: {}", failure.check);
                failure.report.iter().for_each(|line| println!("{line}"));
                failed.push(seed);
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs them all.
    fn run(&self) {
        std::thread::scope(|scope| {
            let thread = |index| {
                let builder = std::thread::Builder::new().name(SEED_THREAD.to_owned());
                builder.spawn_scoped(scope, move || self.work(index)).expect("a thread")
            };
            let threads: Vec<_> = (0..self.current.len()).map(thread).collect();
            let mut told = Instant::now();
            while !threads.iter().all(|thread| thread.is_finished()) {
                std::thread::park_timeout(Duration::from_millis(100));
                self.watch();
                let is_seen = std::io::stdout().is_terminal();
                if told.elapsed() >= Duration::from_secs(if is_seen { 1 } else { 10 }) {
                    told = Instant::now();
                    let end = if is_seen { "" } else { "\n" };
                    print!("\r{}  {end}", self.progress());
                    // A bar that is not shown is no failure.
                    let _ = std::io::stdout().flush();
                }
            }
            println!("\r{}  ", self.progress());
        });
    }

    /// A seed that never ends ends the process: its thread cannot be stopped.
    fn watch(&self) {
        let longest = number("SIM_LONGEST_S").map_or(LONGEST, Duration::from_secs);
        for current in &self.current {
            let mut current = locked(current);
            let Some(current) = &mut *current else {
                continue;
            };
            let pulse = current.pulse.load(Ordering::Relaxed);
            if current.seen.0 != pulse {
                current.seen = (pulse, Instant::now());
            }
            if current.seen.1.elapsed() > longest {
                println!("\nseed {} failed: an event does not end ({longest:?})", current.seed);
                std::process::exit(1);
            }
        }
    }

    fn progress(&self) -> String {
        let (done, all) = (self.done.load(Ordering::Relaxed), self.end - self.first);
        let rate = done as f64 / self.started.elapsed().as_secs_f64();
        let width = 40;
        let full = (done * width).checked_div(all).unwrap_or(width) as usize;
        format!("[{:<40}] {done} of {all} seeds, {rate:.0} a second", "#".repeat(full))
    }
}

#[test]
fn every_wanted_key_resolves_whatever_happened_before() {
    if std::env::var_os("SIM_VERBOSE").is_some() {
        return run_aloud(number("SIM_SEED").unwrap_or(0));
    }
    keep_panics();
    let seeds = Seeds::from_environment();
    seeds.run();
    let failed = std::mem::take(&mut *locked(&seeds.failed));
    for seed in &failed {
        println!("replay with: cargo xtask sim --seed {seed} --seeds 1 --verbose");
    }
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

fn run_aloud(seed: u64) {
    if let Err(failure) = run_seed(seed, Trace::Print) {
        failure.report.iter().for_each(|line| println!("{line}"));
        panic!("seed {seed} failed");
    }
}

/// The seeds draw clusters in which some are idle and others have too much to do.
#[test]
fn tasks_are_stolen() {
    let given = |seed| {
        let mut sim = Sim::new(seed, Trace::Off);
        sim.run();
        sim.desk.given
    };
    let given: Vec<usize> = (0..40).map(given).collect();
    let seeds = given.iter().filter(|given| **given > 0).count();
    assert!(seeds >= 10, "only {seeds} seeds of 40 steal: {given:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let digest = |seed| match run_seed(seed, Trace::Digest(0)) {
        Ok(Trace::Digest(digest)) => digest,
        other => panic!("seed {seed}: {other:?}"),
    };
    for seed in 0..5 {
        assert_eq!(digest(seed), digest(seed));
        assert_ne!(digest(seed), digest(seed + 1));
    }
}
