//! The disk of a worker, and the memory of its process.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::TaskId;
use dask_worker::state::{Event, MemoryLimits, SpillFailure};

use crate::dice::Dice;
use crate::process::{News, Process};
use crate::sim::{Happening, PeerId, Sim};

/// What a process has written, and what it is writing.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) holds: BTreeSet<TaskId>,
    /// The write under way of each result: one that is dropped and comes back is another.
    writing: BTreeMap<TaskId, u64>,
    writes: u64,
}

impl Disk {
    /// A result is dropped.
    pub(crate) fn remove(&mut self, task: TaskId) {
        self.holds.remove(&task);
        self.writing.remove(&task);
    }
}

/// The limits of a place for workers, if it has any: from less than a result takes to more than all
/// of them.
pub(crate) fn draw_limits(dice: &mut Dice) -> Option<MemoryLimits> {
    if dice.chance(60) {
        return None;
    }
    let tenth = 200 << dice.below(19);
    let pause = if dice.chance(20) { MemoryLimits::NEVER } else { 8 * tenth };
    Some(MemoryLimits { target: 6 * tenth, spill: 7 * tenth, pause })
}

impl Sim {
    /// A result is to go to disk.
    pub(crate) fn write_to_disk(&mut self, peer: PeerId, process: &mut Process, task: TaskId) {
        assert!(process.store.contains_key(&task), "{task} is to be written and not there");
        assert!(!process.disk.holds.contains(&task), "{task} is on disk already");
        process.disk.writes += 1;
        let write = process.disk.writes;
        let previous = process.disk.writing.insert(task, write);
        assert_eq!(previous, None, "{task} is being written already");
        let at = self.now + self.dice.micros(50, 20_000);
        self.schedule(at, Happening::Written(peer, task, write));
    }

    /// A write has come to its end.
    pub(crate) fn written(&mut self, peer: PeerId, task: TaskId, write: u64) {
        let fails = self.is_wild && self.dice.chance(5);
        let Some(process) = self.processes.get_mut(&peer) else {
            return;
        };
        if process.disk.writing.get(&task) != Some(&write) {
            return;
        }
        process.disk.writing.remove(&task);
        let event = if fails {
            Event::SpillFailed { task, failure: SpillFailure::Disk }
        } else {
            process.disk.holds.insert(task);
            Event::Spilled { task }
        };
        self.tell_process(peer, News::Disk(event));
    }

    /// A run has read these from disk; which of them could not be read. Some stay in memory then.
    pub(crate) fn read_inputs(&mut self, peer: PeerId, inputs: &[TaskId]) -> Vec<TaskId> {
        let mut lost = Vec::new();
        for &task in inputs {
            if !self.read_from_disk(peer, task) {
                lost.push(task);
            } else if self.dice.chance(50)
                && let Some(process) = self.processes.get_mut(&peer)
                && process.disk.holds.remove(&task)
            {
                self.tell_process(peer, News::Disk(Event::Unspilled { task }));
            }
        }
        lost
    }

    /// Whether a result can be read; the worker hears of one that cannot.
    pub(crate) fn read_from_disk(&mut self, peer: PeerId, task: TaskId) -> bool {
        if !self.is_wild || !self.dice.chance(1) {
            return true;
        }
        self.tell_process(peer, News::Disk(Event::Lost { task }));
        false
    }

    /// What a measurement finds: as a rule that there is room.
    pub(crate) fn measure(&mut self, process: &Process) -> u64 {
        let Some(limits) = self.slots[process.slot].memory else {
            return process.store.len() as u64;
        };
        if self.is_wild && self.dice.chance(20) {
            return limits.target / 6 * (1 + self.dice.below(10) as u64);
        }
        limits.target / 2
    }
}
