//! What tasks and workers had to say: the latest lines of each worker that is connected.

use std::collections::VecDeque;

use dask_proto::Address;
use dask_proto::id::{ClientId, WorkerId};
use dask_proto::limits::{MAX_HEADER_BYTES, MAX_LOG_TEXT_BYTES};
use dask_proto::message::{Answer, LogLevel, LogRecord, SchedulerToClient};

use crate::state::SchedulerState;
use crate::state::client::entry::ClientEntry;

/// Bytes of lines that are remembered for one worker, however few lines they are.
const LOG_BYTES: usize = 4 << 20;

/// Bytes of lines in one answer, all workers together.
const ANSWER_BYTES: usize = MAX_HEADER_BYTES / 2;

/// The latest lines of one worker, oldest first.
#[derive(Debug, Default)]
pub(in crate::state) struct WorkerLog {
    records: VecDeque<LogRecord>,
    bytes: usize,
}

impl WorkerLog {
    /// Remembers a line, and forgets the oldest where there are more than `most`.
    fn add(&mut self, record: LogRecord, most: usize) {
        self.bytes += bytes(&record);
        self.records.push_back(record);
        while self.records.len() > most || self.bytes > LOG_BYTES {
            let Some(oldest) = self.records.pop_front() else {
                return;
            };
            self.bytes -= bytes(&oldest);
        }
    }

    /// The latest lines, oldest first: at most so many, of at most so many bytes.
    fn latest(&self, n: usize, mut room: usize) -> Vec<LogRecord> {
        let fits = |record: &&LogRecord| {
            let rest = room.checked_sub(bytes(record));
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        let latest = self.records.iter().rev().take(n).take_while(fits);
        let mut latest: Vec<_> = latest.cloned().collect();
        latest.reverse();
        latest
    }
}

impl SchedulerState {
    /// A worker passes on what was said there.
    pub(in crate::state) fn logged(&mut self, worker: WorkerId, records: Vec<LogRecord>) {
        let most = self.config.log_length;
        // Workers cut their lines a little above the limit; nobody sends longer ones.
        for record in records.into_iter().filter(|r| r.message.len() <= 2 * MAX_LOG_TEXT_BYTES) {
            self.tell_output(&record);
            self.tell_listeners(worker, &record);
            if let Some(entry) = self.workers.get_mut(worker) {
                entry.log.add(record, most);
            }
        }
    }

    /// A client wants to hear what workers log, or no more. That of a worker's tasks may say again
    /// what it hears, and would hear that too.
    pub(in crate::state) fn forward_logging(
        &mut self,
        client: ClientId,
        level: Option<LogLevel>,
    ) -> Answer {
        let is_of_tasks = self.clients.get(&client).is_some_and(ClientEntry::is_of_tasks);
        match level.filter(|_| !is_of_tasks) {
            Some(level) => drop(self.log_listeners.insert(client, level)),
            None => drop(self.log_listeners.remove(&client)),
        }
        Answer::Done
    }

    /// Passes on what a worker logged. What tasks print has ways of its own.
    fn tell_listeners(&mut self, worker: WorkerId, record: &LogRecord) {
        if self.log_listeners.is_empty() || record.level == LogLevel::Print {
            return;
        }
        let Some(entry) = self.workers.get(worker) else { return };
        for (client, level) in &self.log_listeners {
            if record.level <= *level {
                let (worker, record) = (entry.join.address.clone(), record.clone());
                self.out.tell_client(*client, SchedulerToClient::Logged { worker, record });
            }
        }
    }

    /// The latest lines of these workers, or of all.
    pub(in crate::state) fn worker_logs(&self, names: &[String], n: Option<u32>) -> Answer {
        let workers = match self.present_workers(names) {
            Ok(workers) => workers,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let room = ANSWER_BYTES / workers.len().max(1);
        let n = n.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let entries = workers.into_iter().filter_map(|worker| self.workers.get(worker));
        let logs = entries.map(|entry| (entry.join.address.clone(), entry.log.latest(n, room)));
        Answer::Logs(logs.collect::<Vec<(Address, _)>>())
    }
}

/// What a line takes, roughly.
fn bytes(record: &LogRecord) -> usize {
    let key = record.key.as_ref().map_or(0, |key| key.as_str().len());
    64 + key + record.message.len()
}
