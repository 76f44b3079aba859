//! A sampling profiler of the threads that run tasks.
//!
//! At every interval it looks at each of these threads from outside: which task's function it is
//! in, and whether the system has it compute or wait. Nothing is done on the threads themselves, so
//! a profile changes nothing that it measures, and cannot go wrong there. The frames inside of a
//! function are not looked at: only a signal handler on the thread could, and one that interrupts
//! the allocator or an unwinder has to stay clear of whatever these hold; from outside of the
//! process `perf` can.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dask_proto::message::Sample;

use crate::executor::Sampler;

/// For how long a profile is taken at most; it keeps a thread.
const LONGEST: Duration = Duration::from_secs(600);

/// How often the threads are looked at most often.
const SHORTEST: Duration = Duration::from_millis(1);

/// Functions that are told of; a profile has as many as the program.
const FUNCTIONS: usize = 10_000;

/// Looks at the threads for so long, so often; what they did, most often first.
pub(crate) fn profile(sampler: &Sampler, duration: Duration, interval: Duration) -> Vec<Sample> {
    let end = Instant::now() + duration.min(LONGEST);
    let interval = interval.max(SHORTEST);
    let mut counts: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
    while let Some(threads) = sampler.look() {
        for (function, thread) in threads {
            *counts.entry((function, activity(thread))).or_default() += 1;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(interval.min(left));
    }
    let sample = |((function, activity), count): ((&str, &str), u64)| Sample {
        stack: vec![function.to_owned(), activity.to_owned()],
        count,
    };
    let mut samples: Vec<Sample> = counts.into_iter().map(sample).collect();
    samples.sort_by(|a, b| (b.count, &a.stack).cmp(&(a.count, &b.stack)));
    samples.truncate(FUNCTIONS);
    samples
}

/// What the system says that a thread does.
fn activity(thread: Option<u32>) -> &'static str {
    match thread.and_then(state) {
        Some('R') => "computing",
        Some('D') => "waiting for the disk",
        Some(_) => "waiting",
        None => "running",
    }
}

/// The letter of a thread's state, as in `ps`.
fn state(thread: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // Behind the name, which is in parentheses and may have any of its own.
    text.rsplit_once(") ")?.1.chars().next()
}

/// The number by which the system knows the calling thread, where it says.
pub(crate) fn this_thread() -> Option<u32> {
    let path = std::fs::read_link("/proc/thread-self").ok()?;
    path.file_name()?.to_str()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_is_told_from_one_that_computes() {
        let (number, told) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            number.send(this_thread()).expect("it is asked");
            // The end of the channel is what it waits for.
            let _ = stopped.recv();
        });
        let thread = told.recv().expect("it says").expect("the system says");
        let begun = Instant::now();
        while activity(Some(thread)) != "waiting" {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never waits");
            std::thread::yield_now();
        }
        drop(stop);
        waiting.join().expect("it ends");
        assert_eq!(activity(this_thread()), "computing");
        assert_eq!((activity(None), activity(Some(u32::MAX))), ("running", "running"));
    }
}
