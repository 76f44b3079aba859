use std::collections::VecDeque;
use std::fmt;

use dask_proto::id::{ClientId, StimulusId, TaskId, WorkerId};
use dask_proto::{Key, Moment};

use super::task::StateName;

/// What an event was, for people who read a story.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Cause {
    /// Nothing happened yet.
    #[default]
    Start,
    ClientSaid(ClientId),
    ClientLost(ClientId),
    WorkerJoined(WorkerId),
    WorkerSaid(WorkerId),
    WorkerLost(WorkerId),
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
            Self::Timeout => write!(f, "a timeout"),
            Self::Shutdown => write!(f, "shutting down"),
        }
    }
}

/// The event that led to a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion {
    pub(super) at: Moment,
    pub(super) stimulus: StimulusId,
    pub(super) cause: Cause,
}

/// What happened to a task.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// It changed its state, and went to this worker or was on it.
    Moved { from: StateName, to: StateName, worker: Option<WorkerId> },
    /// Its worker was asked to give it back.
    Asked { victim: WorkerId, thief: Option<WorkerId> },
    /// Its worker has given it back.
    Given { victim: WorkerId },
    /// Its worker keeps it.
    Kept { victim: WorkerId },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { from, to, worker } => {
                write!(f, "{} -> {}", from.as_str(), to.as_str())?;
                worker.map_or(Ok(()), |worker| write!(f, " on {worker}"))
            }
            Self::Asked { victim, thief: Some(thief) } => {
                write!(f, "processing, {victim} was asked for it, for {thief}")
            }
            Self::Asked { victim, thief: None } => {
                write!(f, "processing, {victim} was asked for it")
            }
            Self::Given { victim } => write!(f, "processing, {victim} gave it back"),
            Self::Kept { victim } => write!(f, "processing, {victim} keeps it"),
        }
    }
}

/// A step of a task. There are some five in the life of each: this is small, owns nothing, and
/// says neither the key, which the table of tasks knows, nor the occasion, which many share.
#[derive(Debug)]
struct Record {
    task: TaskId,
    /// How many occasions there were before its own, without the high bits: a log is far shorter
    /// than what the low ones count.
    occasion: u32,
    step: Step,
}

/// A task that left the table, whose key nobody else knows any more.
#[derive(Debug)]
struct Ending {
    task: TaskId,
    key: Key,
    occasion: u32,
}

/// The latest steps of all tasks: Dask's `transition_log`.
#[derive(Debug)]
pub(super) struct StoryLog {
    records: VecDeque<Record>,
    occasions: VecDeque<Occasion>,
    /// The number of the first occasion that is remembered, without the high bits.
    first: u32,
    endings: VecDeque<Ending>,
    limit: usize,
}

impl StoryLog {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            records: VecDeque::new(),
            occasions: VecDeque::new(),
            first: 0,
            endings: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn push(&mut self, task: TaskId, step: Step, occasion: Occasion) {
        if self.limit == 0 {
            return;
        }
        if self.records.len() >= self.limit {
            self.records.pop_front();
            self.forget_occasions();
        }
        if self.occasions.back().is_none_or(|last| last.stimulus != occasion.stimulus) {
            self.occasions.push_back(occasion);
        }
        let last = u32::try_from(self.occasions.len()).unwrap_or(u32::MAX).wrapping_sub(1);
        let occasion = self.first.wrapping_add(last);
        self.records.push_back(Record { task, occasion, step });
    }

    /// Keeps the key of a task whose last step was just pushed, for as long as that step.
    pub(super) fn end(&mut self, task: TaskId, key: Key) {
        if let Some(last) = self.records.back() {
            self.endings.push_back(Ending { task, key, occasion: last.occasion });
        }
    }

    /// One line for each step of a task that is still remembered, oldest first; `current` is the
    /// task that has the key now.
    pub(super) fn story(&self, key: &str, current: Option<TaskId>) -> Vec<String> {
        let tasks = self.bearers(key, current);
        self.records.iter().filter(|record| tasks.contains(&record.task)).map(self.line()).collect()
    }

    /// The last lines of the story of a key that is gone, and when it was forgotten.
    pub(super) fn ending(&self, key: &str, lines: usize) -> (Vec<String>, Option<Moment>) {
        let tasks = self.bearers(key, None);
        let latest = self.records.iter().rev().filter(|record| tasks.contains(&record.task));
        let latest: Vec<&Record> = latest.take(lines).collect();
        let forgotten = latest.first().and_then(|record| self.occasion(record.occasion));
        let lines = latest.into_iter().rev().map(self.line()).collect();
        (lines, forgotten.map(|occasion| occasion.at))
    }

    /// All tasks that are remembered to have had a key, one after the other.
    fn bearers(&self, key: &str, current: Option<TaskId>) -> Vec<TaskId> {
        let gone = self.endings.iter().filter(|ending| ending.key == *key);
        gone.map(|ending| ending.task).chain(current).collect()
    }

    fn line(&self) -> impl Fn(&Record) -> String {
        |record| match self.occasion(record.occasion) {
            Some(Occasion { at, stimulus, cause }) => {
                format!("{at} {}, after {cause} ({stimulus})", record.step)
            }
            None => record.step.to_string(),
        }
    }

    fn occasion(&self, number: u32) -> Option<&Occasion> {
        let index = number.wrapping_sub(self.first);
        self.occasions.get(usize::try_from(index).ok()?)
    }

    /// Forgets what no remembered step refers to.
    fn forget_occasions(&mut self) {
        let kept = self.records.front().map(|record| record.occasion.wrapping_sub(self.first));
        let gone = kept.map_or(self.occasions.len(), |kept| kept as usize);
        self.occasions.drain(..gone.min(self.occasions.len()));
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        self.first = self.first.wrapping_add(gone);
        // What ended earlier has a number below the first, which wraps to a large one.
        let (first, len) = (self.first, self.occasions.len());
        while self.endings.front().is_some_and(|e| e.occasion.wrapping_sub(first) as usize >= len) {
            self.endings.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occasion(stimulus: u64) -> Occasion {
        let stimulus = StimulusId(stimulus);
        Occasion { at: Moment::default(), stimulus, cause: Cause::Timeout }
    }

    fn moved(to: StateName) -> Step {
        Step::Moved { from: StateName::Released, to, worker: None }
    }

    #[test]
    fn a_key_keeps_its_story_when_its_task_is_gone_and_another_has_it() {
        let mut log = StoryLog::new(10);
        let key = Key::new("a").expect("a short key");
        log.push(TaskId(1), moved(StateName::Waiting), occasion(1));
        log.push(TaskId(2), moved(StateName::Queued), occasion(1));
        log.push(TaskId(1), moved(StateName::Forgotten), occasion(2));
        log.end(TaskId(1), key);
        log.push(TaskId(3), moved(StateName::Erred), occasion(3));
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
            log.push(task, moved(StateName::Forgotten), occasion(number / 2));
            log.end(task, Key::new(format!("k{number}")).expect("a short key"));
            assert!(log.records.len() <= 3 && log.occasions.len() <= 3);
            assert!(log.endings.len() <= 4);
        }
        assert_eq!(log.story("k99", None).len(), 1);
        assert_eq!(log.story("k90", None).len(), 0);
    }
}
