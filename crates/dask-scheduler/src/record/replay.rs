use std::time::Duration;

use dask_proto::Moment;

use super::difference::{Difference, digest};
use super::file::Header;
use super::recording::Recorded;
use crate::state::{Instruction, Instructions, SchedulerState};

/// A fresh state that goes through what was recorded.
pub struct Replay {
    state: SchedulerState,
    out: Instructions,
    events: u64,
    first: Option<Moment>,
    last: Moment,
}

impl Replay {
    /// A state as it was at the start of a recording.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut config = header.config.clone();
        // Whoever replays checks the invariants when they like.
        config.validate = false;
        Self {
            state: SchedulerState::new(config, header.address.clone()),
            out: Instructions::new(),
            events: 0,
            first: None,
            last: Moment::default(),
        }
    }

    /// Lets the next event happen, and compares what follows with what followed.
    ///
    /// # Errors
    /// When it is not the same.
    pub fn step(&mut self, recorded: Recorded) -> Result<(), Box<Difference>> {
        let Recorded { now, event, outcome } = recorded;
        self.events += 1;
        self.first.get_or_insert(now);
        self.last = now;
        self.state.handle(now, event.clone(), &mut self.out);
        let replayed: Vec<Instruction> = self.out.drain().collect();
        let Some(recorded) = outcome else {
            return Ok(());
        };
        let is_same = replayed.len() == recorded.digests.len()
            && replayed.iter().map(digest).zip(&recorded.digests).all(|(a, b)| a == Some(*b));
        if is_same {
            return Ok(());
        }
        Err(Box::new(Difference { number: self.events, now, event, recorded, replayed }))
    }

    /// The state after the last event.
    #[must_use]
    pub fn state(&self) -> &SchedulerState {
        &self.state
    }

    /// How many events have happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The time from the first event to the last.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.first.map_or(Duration::ZERO, |first| self.last.since(first))
    }
}
