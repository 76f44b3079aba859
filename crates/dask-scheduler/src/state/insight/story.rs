use std::collections::VecDeque;
use std::fmt;

use dask_proto::id::{AgentId, ClientId, StimulusId, TaskId, WorkerId};
use dask_proto::{Key, Moment};

use crate::state::table::task::StateName;

/// What an event was, for people who read a story.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::state) enum Cause {
    /// Nothing happened yet.
    #[default]
    Start,
    ClientSaid(ClientId),
    ClientLost(ClientId),
    WorkerJoined(WorkerId),
    WorkerSaid(WorkerId),
    WorkerLost(WorkerId),
    Agent(AgentId),
    Timeout,
    Shutdown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "the start"),
            Self::ClientSaid(client) => write!(f, "a message from client {client}"),
            Self::ClientLost(client) => write!(f, "the loss of client {client}"),
            Self::WorkerJoined(worker) => write!(f, "worker {worker} joining"),
            Self::WorkerSaid(worker) => write!(f, "a message from worker {worker}"),
            Self::WorkerLost(worker) => write!(f, "the loss of worker {worker}"),
            Self::Agent(agent) => write!(f, "news of agent {agent}"),
            Self::Timeout => write!(f, "a timeout"),
            Self::Shutdown => write!(f, "shutting down"),
        }
    }
}

/// The event that led to a step.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Occasion {
    pub(in crate::state) at: Moment,
    pub(in crate::state) stimulus: StimulusId,
    pub(in crate::state) cause: Cause,
}

/// What happened to a task.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) enum Step {
    /// It changed its state.
    Moved { from: StateName, to: StateName },
    /// It changed its state, and went to this worker or was on it.
    MovedAt { from: StateName, to: StateName, worker: WorkerId },
    /// Its worker was asked to give it back.
    Asked { victim: WorkerId },
    /// Its worker was asked to give it back for this thief.
    AskedFor { victim: WorkerId, thief: WorkerId },
    /// Its worker has given it back.
    Given { victim: WorkerId },
    /// Its worker keeps it.
    Kept { victim: WorkerId },
    /// It asked to be run elsewhere than on this worker.
    Rescheduled { worker: WorkerId },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { from, to } => write!(f, "{} -> {}", from.as_str(), to.as_str()),
            Self::MovedAt { from, to, worker } => {
                write!(f, "{} -> {} on {worker}", from.as_str(), to.as_str())
            }
            Self::AskedFor { victim, thief } => {
                write!(f, "processing, {victim} was asked for it, for {thief}")
            }
            Self::Asked { victim } => write!(f, "processing, {victim} was asked for it"),
            Self::Given { victim } => write!(f, "processing, {victim} gave it back"),
            Self::Kept { victim } => write!(f, "processing, {victim} keeps it"),
            Self::Rescheduled { worker } => {
                write!(f, "processing, it asked to be run elsewhere than on {worker}")
            }
        }
    }
}

/// A step of a task. There are some five in the life of each: this is small, owns nothing, and
/// says neither the key, which the table of tasks knows, nor the occasion, which many share.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(4))]
struct Record {
    task: TaskId,
    step: Step,
}

/// A task that left the table, whose key nobody else knows any more.
#[derive(Debug)]
struct Ending {
    task: TaskId,
    key: Key,
    /// The number of its last record.
    record: u64,
}

/// The latest steps of all tasks: Dask's `transition_log`.
#[derive(Debug)]
pub(in crate::state) struct StoryLog {
    records: VecDeque<Record>,
    /// The number of the first record, counted from the start.
    first: u64,
    /// The occasions of the records, each with the number of the first record that it led to.
    occasions: VecDeque<(u64, Occasion)>,
    /// That of the last occasion.
    stimulus: StimulusId,
    endings: VecDeque<Ending>,
    limit: usize,
}

impl StoryLog {
    pub(in crate::state) fn new(limit: usize) -> Self {
        Self {
            records: VecDeque::new(),
            first: 0,
            occasions: VecDeque::new(),
            stimulus: StimulusId::default(),
            endings: VecDeque::new(),
            limit,
        }
    }

    /// That of the last occasion.
    pub(in crate::state) fn stimulus(&self) -> StimulusId {
        self.stimulus
    }

    /// Notes what leads to the steps that follow.
    pub(in crate::state) fn occur(&mut self, occasion: Occasion) {
        self.stimulus = occasion.stimulus;
        self.occasions.push_back((self.first + self.records.len() as u64, occasion));
        self.forget_occasions();
    }

    /// Notes a step.
    pub(in crate::state) fn push(&mut self, task: TaskId, step: Step) {
        let len = self.records.len();
        if len == self.records.capacity().min(self.limit) {
            if self.limit == 0 {
                return;
            }
            self.make_room();
        }
        self.records.push_back(Record { task, step });
    }

    /// Forgets the oldest step once there are as many as are remembered; until then there may be
    /// twice as many, and never more.
    fn make_room(&mut self) {
        let len = self.records.len();
        if len >= self.limit {
            self.records.pop_front();
            self.first += 1;
            self.forget_occasions();
        } else {
            self.records.reserve_exact(len.max(64).min(self.limit - len));
        }
    }

    /// Keeps the key of a task whose last step was just pushed, for as long as that step.
    pub(in crate::state) fn end(&mut self, task: TaskId, key: Key) {
        if let Some(before) = self.records.len().checked_sub(1) {
            self.endings.push_back(Ending { task, key, record: self.first + before as u64 });
        }
    }

    /// One line for each step of a task that is still remembered, oldest first; `current` is the
    /// task that has the key now.
    pub(in crate::state) fn story(&self, key: &str, current: Option<TaskId>) -> Vec<String> {
        let tasks = self.bearers(key, current);
        let numbered = self.numbered().filter(|(_, record)| tasks.contains(&{ record.task }));
        numbered.map(|(number, record)| self.line(number, record)).collect()
    }

    /// The last lines of the story of a key that is gone, and when it was forgotten.
    pub(in crate::state) fn ending(
        &self,
        key: &str,
        lines: usize,
    ) -> (Vec<String>, Option<Moment>) {
        let tasks = self.bearers(key, None);
        let numbered = self.numbered().rev();
        let latest = numbered.filter(|(_, record)| tasks.contains(&{ record.task }));
        let latest: Vec<_> = latest.take(lines).collect();
        let forgotten = latest.first().and_then(|(number, _)| self.occasion(*number));
        let lines = latest.iter().rev().map(|(number, record)| self.line(*number, record));
        (lines.collect(), forgotten.map(|occasion| occasion.at))
    }

    /// The records with their numbers, oldest first.
    fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, &Record)> {
        self.records.iter().enumerate().map(|(i, record)| (self.first + i as u64, record))
    }

    /// All tasks that are remembered to have had a key, one after the other.
    fn bearers(&self, key: &str, current: Option<TaskId>) -> Vec<TaskId> {
        let gone = self.endings.iter().filter(|ending| ending.key == *key);
        gone.map(|ending| ending.task).chain(current).collect()
    }

    fn line(&self, number: u64, record: &Record) -> String {
        match self.occasion(number) {
            Some(Occasion { at, stimulus, cause }) => {
                format!("{at} {}, after {cause} ({stimulus})", record.step)
            }
            None => record.step.to_string(),
        }
    }

    /// What led to a record.
    fn occasion(&self, number: u64) -> Option<&Occasion> {
        let later = self.occasions.partition_point(|(first, _)| *first <= number);
        self.occasions.get(later.checked_sub(1)?).map(|(_, occasion)| occasion)
    }

    /// Forgets what no remembered step refers to.
    fn forget_occasions(&mut self) {
        while self.occasions.get(1).is_some_and(|(first, _)| *first <= self.first) {
            self.occasions.pop_front();
        }
        while self.endings.front().is_some_and(|ending| ending.record < self.first) {
            self.endings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(stimulus: u64) -> Occasion {
        let stimulus = StimulusId(stimulus + 1);
        Occasion { at: Moment::default(), stimulus, cause: Cause::Timeout }
    }

    fn moved(to: StateName) -> Step {
        Step::Moved { from: StateName::Released, to }
    }

    #[test]
    fn a_key_keeps_its_story_when_its_task_is_gone_and_another_has_it() {
        let mut log = StoryLog::new(10);
        let key = Key::new("a").expect("a short key");
        log.occur(occasion(1));
        log.push(TaskId(1), moved(StateName::Waiting));
        log.occur(occasion(1));
        log.push(TaskId(2), moved(StateName::Queued));
        log.occur(occasion(2));
        log.push(TaskId(1), moved(StateName::Forgotten));
        log.end(TaskId(1), key);
        log.occur(occasion(3));
        log.push(TaskId(3), moved(StateName::Erred));
        let story = log.story("a", Some(TaskId(3)));
        assert_eq!(story.len(), 3, "{story:?}");
        assert!(story[1].contains("forgotten") && story[2].contains("erred"));
        assert_eq!(log.ending("a", 1).0, story[1..2]);
        assert_eq!(log.story("b", None), Vec::<String>::new());
    }

    #[test]
    fn a_log_forgets_what_is_older_than_its_limit() {
        let mut log = StoryLog::new(3);
        for number in 0..100 {
            let task = TaskId(number);
            log.occur(occasion(number / 2));
            log.push(task, moved(StateName::Forgotten));
            log.end(task, Key::new(format!("k{number}")).expect("a short key"));
            assert!(log.records.len() <= 3 && log.occasions.len() <= 3);
            assert!(log.endings.len() <= 4);
        }
        assert_eq!(log.story("k99", None).len(), 1);
        assert_eq!(log.story("k90", None).len(), 0);
    }
}
