//! Runs seeds, and says which failed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sim::Sim;
use crate::trace::Trace;

/// How many seeds an ordinary test run tries.
const SEEDS: u64 = 60;

/// How many failures are told of before a run gives up.
const FAILURES: usize = 5;

/// Runs one seed; its trace, or what went wrong.
fn run_seed(seed: u64, trace: Trace) -> Result<Trace, Vec<String>> {
    let mut sim = Sim::new(seed, trace);
    let outcome = catch_unwind(AssertUnwindSafe(|| sim.run()));
    outcome.map_err(|_| sim.report())?;
    Ok(sim.trace)
}

/// A number from the environment, for `cargo xtask sim`.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn every_wanted_key_resolves_whatever_happened_before() {
    let first = number("SIM_SEED").unwrap_or(0);
    let count = number("SIM_SEEDS").unwrap_or(SEEDS);
    if std::env::var_os("SIM_VERBOSE").is_some() {
        return run_aloud(first);
    }
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let is_enough = failed.lock().unwrap().len() >= FAILURES;
        if seed >= first + count || is_enough {
            return;
        }
        if let Err(report) = run_seed(seed, Trace::Off) {
            println!("seed {seed} failed");
            report.iter().for_each(|line| println!("{line}"));
            failed.lock().unwrap().push(seed);
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            std::thread::park_timeout(Duration::from_secs(1));
            tell_progress(next.load(Ordering::Relaxed).min(first + count) - first, started);
        }
    });
    let failed = failed.into_inner().unwrap();
    for seed in &failed {
        println!("replay with: cargo xtask sim --seed {seed} --seeds 1 --verbose");
    }
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

fn run_aloud(seed: u64) {
    if let Err(report) = run_seed(seed, Trace::Print) {
        report.iter().for_each(|line| println!("{line}"));
        panic!("seed {seed} failed");
    }
}

fn tell_progress(done: u64, started: Instant) {
    let rate = done as f64 / started.elapsed().as_secs_f64();
    println!("{done} seeds, {rate:.0} a second");
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
