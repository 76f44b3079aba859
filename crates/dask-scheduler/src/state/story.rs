use std::collections::VecDeque;
use std::fmt;

use dask_proto::id::{ClientId, StimulusId, WorkerId};
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

/// One transition.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) from: StateName,
    pub(super) to: StateName,
    /// The worker that it went to, or was on.
    pub(super) worker: Option<WorkerId>,
    pub(super) at: Moment,
    pub(super) stimulus: StimulusId,
    pub(super) cause: Cause,
    /// What of a theft this is, if it is no transition.
    pub(super) steal: Option<Steal>,
}

/// A step of work stealing. The task stays where it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steal {
    /// The victim was asked for it.
    Asked { victim: WorkerId, thief: Option<WorkerId> },
    /// The victim has given it.
    Given { victim: WorkerId },
    /// The victim keeps it.
    Kept { victim: WorkerId },
}

impl fmt::Display for Steal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { victim, thief: Some(thief) } => {
                write!(f, "{victim} was asked for it, for {thief}")
            }
            Self::Asked { victim, thief: None } => write!(f, "{victim} was asked for it"),
            Self::Given { victim } => write!(f, "{victim} gave it back"),
            Self::Kept { victim } => write!(f, "{victim} keeps it"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.as_str(), self.to.as_str());
        write!(f, "{} {from} -> {to}", self.at)?;
        if let Some(worker) = self.worker {
            write!(f, " on {worker}")?;
        }
        if let Some(steal) = self.steal {
            write!(f, ", {steal}")?;
        }
        write!(f, ", after {} ({})", self.cause, self.stimulus)
    }
}

/// The latest transitions of all tasks: Dask's `transition_log`.
#[derive(Debug)]
pub(super) struct StoryLog {
    records: VecDeque<Record>,
    limit: usize,
}

impl StoryLog {
    pub(super) fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), limit }
    }

    pub(super) fn push(&mut self, record: Record) {
        if self.records.len() >= self.limit {
            self.records.pop_front();
        }
        if self.limit > 0 {
            self.records.push_back(record);
        }
    }

    /// One line for each transition of a key that is still remembered, oldest first.
    pub(super) fn story(&self, key: &str) -> Vec<String> {
        let records = self.records.iter().filter(|record| record.key == *key);
        records.map(Record::to_string).collect()
    }

    /// The last lines of the story of a key that is gone, and when it was forgotten.
    pub(super) fn ending(&self, key: &str, lines: usize) -> (Vec<String>, Option<Moment>) {
        let latest = self.records.iter().rev().filter(|record| record.key == *key);
        let mut latest: Vec<&Record> = latest.take(lines).collect();
        latest.reverse();
        let last = latest.last().filter(|record| record.to == StateName::Forgotten);
        let forgotten = last.map(|record| record.at);
        (latest.into_iter().map(Record::to_string).collect(), forgotten)
    }
}
