use dask_proto::id::TaskId;

use super::{Memory, MemoryLimits, SMALLEST, Site, WRITES};

/// What has started and has not ended, for the check of it.
#[derive(Debug)]
pub(in crate::state) struct Started {
    /// Runs, in the pool or not, and whether or not their results are wanted.
    pub(in crate::state) runs: usize,
    /// Runs in the pool, and fetches.
    pub(in crate::state) under_way: usize,
}

/// The results that the store has, in memory and on disk.
#[derive(Debug, Default)]
pub(in crate::state) struct Results {
    pub(in crate::state) count: usize,
    pub(in crate::state) bytes: u64,
}

impl Memory {
    /// Whether a result of this size has its place, where places are kept.
    pub(in crate::state) fn knows(&self, task: TaskId, nbytes: u64) -> bool {
        self.limits.is_none() || self.places.get(&task).is_some_and(|place| place.nbytes == nbytes)
    }

    /// Checks the sums against the tables, for tests and simulations.
    pub(in crate::state) fn check(&self, results: &Results, flying: u64, started: &Started) {
        assert_eq!(self.in_memory + self.spilled, results.bytes, "the store has another size");
        let Some(limits) = self.limits else {
            return;
        };
        assert_eq!(self.places.len(), results.count, "results are elsewhere");
        let sum = |is: fn(&Site) -> bool| -> (usize, u64) {
            let there = self.places.values().filter(|place| is(&place.site));
            there.fold((0, 0), |(n, sum), place| (n + 1, sum + place.nbytes))
        };
        assert_eq!(sum(|site| *site == Site::Disk).1, self.spilled, "the disk has another size");
        let writes = sum(|site| *site == Site::Writing);
        assert_eq!(writes, (self.writes, self.write_bytes), "writes are miscounted");
        assert!(self.writes <= WRITES, "too much is being written");
        let claimed = self.claims.values().map(|claim| claim.bytes).sum::<u64>();
        assert_eq!(self.claimed, claimed, "claims are missummed");
        assert_eq!(self.claims.len(), started.runs, "a claim outlives its run, or is missing");
        self.check_recent(limits);
        // Memory admission: whatever starts leaves the worker within the pause limit and running,
        // unless it is the one thing that goes on.
        let is_within = self.committed(flying) <= self.available() && !self.is_paused;
        let is_alone = self.started == 1 && started.under_way == 1;
        assert!(self.started == 0 || is_within || is_alone, "more starts than memory admits");
    }

    fn check_recent(&self, limits: MemoryLimits) {
        let mut waiting = 0;
        for (task, place) in self.places.iter() {
            let Site::Memory(at) = place.site else {
                continue;
            };
            let is_waiting = self.recent.contains(&(at, *task));
            let stays = !limits.spills() || place.stays || place.nbytes < SMALLEST;
            assert_eq!(is_waiting, !stays && place.claims == 0, "{task} in line for the disk");
            waiting += usize::from(is_waiting);
        }
        assert_eq!(waiting, self.recent.len(), "what is not in memory is in line for the disk");
    }
}
