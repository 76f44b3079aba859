//! Looks at the threads that run tasks, from outside: a sampling profiler, and the stacks of all
//! tasks at one moment.
//!
//! Which task's function a thread is in, and whether the system has it compute or wait, is seen
//! without doing anything there. The frames inside of the function are asked of the thread itself:
//! it is interrupted, and copies a part of its stack ([`frames`]). While nobody asks, nothing of
//! this costs anything.

#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "elsewhere.rs"
)]
mod frames;
mod thread;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dask_proto::Key;
use dask_proto::limits::{MAX_STACKS, MAX_STACKS_BYTES, MAX_STACKS_FRAMES};
use dask_proto::message::{CallStack, RunningTask, Sample, StackFrame};
use dask_task::TaskDef;

use crate::executor::{Sampler, Seen};

pub(crate) use frames::watch_thread;
use frames::{Frames, Trace, depth};
pub(crate) use thread::this_thread;

/// For how long a profile is taken at most; it keeps a thread.
const LONGEST: Duration = Duration::from_secs(600);

/// How often the threads are looked at most often.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a thread is given to answer: one that is not on a processor answers once it is.
const PATIENCE: Duration = Duration::from_millis(200);

/// The same once the time is over.
const LEAST_PATIENCE: Duration = Duration::from_millis(10);

/// How long the stacks of one moment may take together.
const MOMENT: Duration = Duration::from_secs(5);

/// Why a thread is not asked that the system lets nobody interrupt.
const DEAF: &str = "[not to be interrupted]";

/// What is said of a task that came to its end while it was looked at: nothing.
const ENDED: &str = "[ended]";

/// Stands for the frames of a task that was found in one place too many.
const MORE: &str = "[more stacks than are kept]";

/// Where a task was found.
type Inside = Result<Trace, &'static str>;

/// Threads were found in the same place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// The path of the task's function.
    path: &'static str,
    activity: &'static str,
    inside: Inside,
}

/// Looks at the threads for so long, so often; what they did, most often first.
pub(crate) fn profile(sampler: &Sampler, duration: Duration, interval: Duration) -> Vec<Sample> {
    let end = Instant::now() + duration.min(LONGEST);
    let interval = interval.max(SHORTEST);
    let mut profile = Profile::default();
    while let Some(tasks) = sampler.look() {
        for seen in &tasks {
            profile.look(seen, end);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(interval.min(left));
    }
    profile.samples()
}

/// The stacks of the tasks with these keys that run now, or of all, those first that have run for
/// longest.
pub(crate) fn call_stacks(sampler: &Sampler, keys: &[Key]) -> Vec<CallStack> {
    let end = Instant::now() + MOMENT;
    let mut frames = None;
    let mut found = Vec::new();
    for seen in sampler.look().unwrap_or_default() {
        let asked = seen.task().filter(|task| keys.is_empty() || keys.contains(&task.key));
        let Some(task) = asked else { continue };
        let (activity, inside) = look(&mut frames, &seen, end);
        if matches!(inside, Err(ENDED)) {
            continue;
        }
        found.push((task, activity, seen.def, inside));
    }
    prepare(&mut frames, found.iter().map(|(_, _, def, inside)| (*def, inside)));
    let stack = |(task, activity, def, inside): (RunningTask, &str, _, Inside)| {
        let RunningTask { key, function, elapsed_ns, seceded } = task;
        let frames = named(frames.as_ref(), def, &function, &inside);
        let activity = activity.to_owned();
        CallStack { key, function, elapsed_ns, seceded, activity, frames }
    };
    let mut stacks: Vec<CallStack> = found.into_iter().map(stack).collect();
    stacks.sort_by(|a, b| (b.elapsed_ns, &a.key).cmp(&(a.elapsed_ns, &b.key)));
    let mut room = MAX_STACKS_BYTES;
    for stack in &mut stacks {
        let bytes = stack.frames.iter().map(frame_bytes).sum();
        match room.checked_sub(bytes) {
            Some(left) => room = left,
            None => stack.frames.truncate(1),
        }
    }
    stacks
}

/// What was seen so far.
#[derive(Default)]
struct Profile {
    frames: Option<Frames>,
    /// How often each function was found at each place.
    counts: BTreeMap<Place, (Option<&'static TaskDef>, u64)>,
    /// How many frames all of these have.
    depths: usize,
}

impl Profile {
    fn look(&mut self, seen: &Seen, end: Instant) {
        let (activity, inside) = look(&mut self.frames, seen, end);
        if matches!(inside, Err(ENDED)) {
            return;
        }
        self.count(Place { path: seen.path(), activity, inside }, seen.def);
    }

    fn count(&mut self, mut place: Place, def: Option<&'static TaskDef>) {
        if !self.counts.contains_key(&place) {
            let depths = self.depths + place.inside.as_ref().map_or(0, depth);
            if self.counts.len() >= MAX_STACKS || depths > MAX_STACKS_FRAMES {
                place.inside = Err(MORE);
            } else {
                self.depths = depths;
            }
        }
        self.counts.entry(place).or_insert((def, 0)).1 += 1;
    }

    /// By names: places that differ in their lines alone are the same.
    fn samples(mut self) -> Vec<Sample> {
        let mut counts: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        let found = self.counts.iter().map(|(place, (def, _))| (*def, &place.inside));
        prepare(&mut self.frames, found);
        for (Place { path, activity, inside }, (def, count)) in self.counts {
            let stack = named(self.frames.as_ref(), def, path, &inside);
            let mut stack: Vec<String> = stack.into_iter().map(|frame| frame.function).collect();
            stack.push(activity.to_owned());
            *counts.entry(stack).or_default() += count;
        }
        let mut samples: Vec<Sample> =
            counts.into_iter().map(|(stack, count)| Sample { stack, count }).collect();
        samples.sort_by(|a, b| (b.count, &a.stack).cmp(&(a.count, &b.stack)));
        bounded(samples)
    }
}

/// As many as fit a reply; of the others the functions and what their threads did.
fn bounded(samples: Vec<Sample>) -> Vec<Sample> {
    let mut room = MAX_STACKS_BYTES;
    let mut kept = Vec::with_capacity(samples.len());
    let mut rest: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for Sample { mut stack, count } in samples {
        let bytes = stack.iter().map(|name| name.len() + 8).sum::<usize>() + 16;
        if let Some(left) = room.checked_sub(bytes) {
            room = left;
            kept.push(Sample { stack, count });
        } else {
            let inner = stack.len().saturating_sub(1).max(1);
            stack.drain(1..inner);
            *rest.entry(stack).or_default() += count;
        }
    }
    for (stack, count) in rest {
        match kept.iter_mut().find(|sample| sample.stack == stack) {
            Some(sample) => sample.count += count,
            None => kept.push(Sample { stack, count }),
        }
    }
    kept
}

/// What a task's thread does, and where it is.
fn look(frames: &mut Option<Frames>, seen: &Seen, end: Instant) -> (&'static str, Inside) {
    let condition = thread::condition(seen.thread);
    if seen.def.is_none() || !condition.hears {
        return (condition.activity, Err(DEAF));
    }
    let left = end.saturating_duration_since(Instant::now());
    let patience = left.clamp(LEAST_PATIENCE, PATIENCE);
    let inside = frames.get_or_insert_with(Frames::new).look(seen, patience);
    (condition.activity, inside)
}

/// Looks up what it takes to name these.
fn prepare<'a>(
    frames: &mut Option<Frames>,
    found: impl Iterator<Item = (Option<&'static TaskDef>, &'a Inside)>,
) {
    if let Some(frames) = frames {
        frames.prepare(found.filter_map(|(def, inside)| Some((def?, inside.as_ref().ok()?))));
    }
}

/// A task's stack by names, outermost first, which is its function.
fn named(
    frames: Option<&Frames>,
    def: Option<&TaskDef>,
    path: &str,
    inside: &Inside,
) -> Vec<StackFrame> {
    let frame = |name: &str| StackFrame { function: name.to_owned(), file: None, line: None };
    match (inside, def, frames) {
        (Ok(trace), Some(def), Some(frames)) => frames.name(def, trace),
        (Err(why), Some(_), _) => vec![frame(path), frame(why)],
        _ => vec![frame(path)],
    }
}

/// About how many bytes a frame takes in a message.
fn frame_bytes(frame: &StackFrame) -> usize {
    frame.function.len() + frame.file.as_ref().map_or(0, String::len) + 24
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    /// A recursion is found at another depth by each look.
    #[test]
    fn a_profile_of_deep_stacks_keeps_no_more_frames_than_it_may() {
        let place = |depth: u64| {
            let inside = Ok(Trace::new((1..=depth).collect()));
            Place { path: "app::dive", activity: "computing", inside }
        };
        let mut profile = Profile::default();
        let looks = 1000;
        for depth in 1..=looks {
            profile.count(place(depth), None);
        }
        let kept: usize =
            profile.counts.keys().filter_map(|place| place.inside.as_ref().ok()).map(depth).sum();
        assert_eq!(kept, profile.depths);
        assert!(kept <= MAX_STACKS_FRAMES && kept > MAX_STACKS_FRAMES / 2, "{kept}");
        // Those that are known are counted still, and every look is in the profile.
        profile.count(place(1), None);
        assert_eq!(profile.counts[&place(1)].1, 2);
        let counted: u64 = profile.counts.values().map(|(_, count)| count).sum();
        assert_eq!(counted, looks + 1);
    }
}
