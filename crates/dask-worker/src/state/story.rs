use std::collections::VecDeque;
use std::fmt;

use dask_proto::Moment;
use dask_proto::id::{StimulusId, TaskId};

use super::task::Stage;

/// Transitions that are remembered.
const LENGTH: usize = 10_000;

/// The latest transitions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Story {
    chapters: VecDeque<Chapter>,
}

/// One transition and its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chapter {
    /// The task.
    pub task: TaskId,
    /// The state it left.
    pub from: Stage,
    /// The state it entered.
    pub to: Stage,
    /// The event that led to it.
    pub stimulus: StimulusId,
    /// When it happened.
    pub moment: Moment,
}

impl Story {
    pub(super) fn tell(&mut self, chapter: Chapter) {
        if self.chapters.len() == LENGTH {
            self.chapters.pop_front();
        }
        self.chapters.push_back(chapter);
    }

    pub(super) fn of(&self, task: TaskId) -> impl Iterator<Item = &Chapter> {
        self.chapters.iter().filter(move |c| c.task == task)
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, from, to, stimulus, moment } = self;
        write!(f, "{moment} {task}: {from} to {to} ({stimulus})")
    }
}
