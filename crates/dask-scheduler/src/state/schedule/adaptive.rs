//! How many workers there should be: Dask's `adaptive_target`.

use crate::state::SchedulerState;
use crate::state::table::worker::WorkerEntry;

/// How many tasks without a possible worker are looked at; the others are taken to be like them.
const SAMPLE: usize = 100;

/// More workers are wanted when results take more than this share of the memory of all, in per
/// cent.
const CROWDED: u64 = 60;

/// Workers are dispensable only while the others have so many times the memory of all results.
const SPARE: u64 = 2;

impl SchedulerState {
    /// The number of workers with which the work that there is would be done in so many
    /// nanoseconds, as far as there are tasks to run at once. More where memory is short; fewer
    /// than there are only where those without are idle, and the others have room for all results.
    pub(in crate::state) fn adaptive_target(&self, target_duration_ns: u64) -> u32 {
        let present = self.workers.len() as u64;
        let target = self.wanted_by_work(target_duration_ns).max(self.wanted_by_memory());
        let target = if target >= present { target } else { present - self.dispensable_now() };
        u32::try_from(target).unwrap_or(u32::MAX)
    }

    fn wanted_by_work(&self, target_duration_ns: u64) -> u64 {
        let queued = self.functions.queued().map(|function| {
            let tasks = self.functions.get(function).queue.len() as u64;
            (tasks, tasks.saturating_mul(self.expected_duration(function)))
        });
        let (queued, queued_work) = queued.fold((0, 0_u64), |(tasks, work), (more, cost)| {
            (tasks + more, work.saturating_add(cost))
        });
        let unrunnable = self.no_worker.len() as u64;
        let sample = self.no_worker.iter().take(SAMPLE);
        let sample_work: u64 = sample
            .filter_map(|(_, row)| self.tasks[*row].function())
            .map(|function| self.expected_duration(function))
            .fold(0, u64::saturating_add);
        let unrunnable_work = u128::from(sample_work) * u128::from(unrunnable)
            / (unrunnable.clamp(1, SAMPLE as u64)) as u128;
        let occupancy = self.workers.iter().map(|(_, entry)| entry.occupancy());
        let occupancy = occupancy.fold(0, u64::saturating_add);
        let work = u128::from(occupancy) + u128::from(queued_work) + unrunnable_work;
        let threads = work.div_ceil(u128::from(target_duration_ns.max(1)));
        let processing: usize = self.workers.iter().map(|(_, entry)| entry.processing.len()).sum();
        let ready = u128::from(queued + unrunnable) + processing as u128;
        // A few long tasks have no use for more threads than there are of them.
        let threads = threads.min(ready);
        let present = self.workers.len() as u128;
        let nthreads = u128::from(self.workers.nthreads());
        let workers = if nthreads > 0 { (threads * present).div_ceil(nthreads) } else { threads };
        let least = u128::from(queued + unrunnable > 0);
        u64::try_from(workers.max(least)).unwrap_or(u64::MAX)
    }

    fn wanted_by_memory(&self) -> u64 {
        let limits = self.workers.iter().filter_map(|(_, entry)| entry.join.memory_limit);
        let limit = limits.fold(0, u64::saturating_add);
        let is_crowded = limit > 0 && self.held_bytes() / CROWDED > limit / 100;
        if is_crowded { 2 * self.workers.len() as u64 } else { 0 }
    }

    /// How many workers could be done without (Dask's `workers_to_close`): idle ones, those first
    /// that hold least, as long as the others have enough memory.
    fn dispensable_now(&self) -> u64 {
        let held = self.held_bytes();
        // A worker without a limit has room for everything.
        let limit = |entry: &WorkerEntry| entry.join.memory_limit.unwrap_or(u64::MAX / 2);
        let mut rest: u128 = self.workers.iter().map(|(_, e)| u128::from(limit(e))).sum();
        let idle = self.workers.iter().filter(|(_, entry)| entry.processing.is_empty());
        let mut idle: Vec<_> = idle.map(|(id, entry)| (entry.nbytes, id, limit(entry))).collect();
        idle.sort_unstable();
        let mut dispensable = 0;
        for (_, _, limit) in idle {
            rest -= u128::from(limit);
            if rest < u128::from(SPARE) * u128::from(held) {
                break;
            }
            dispensable += 1;
        }
        dispensable
    }

    /// Bytes of all results that workers hold.
    fn held_bytes(&self) -> u64 {
        self.workers.iter().map(|(_, entry)| entry.nbytes).fold(0, u64::saturating_add)
    }
}
