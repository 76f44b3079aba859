//! Dask's task stream: what workers did lately, remembered while a client is interested. As long
//! as none is, workers record nothing and the scheduler hears nothing of it.

use std::collections::{BTreeSet, VecDeque};

use dask_proto::id::{ClientId, WorkerId};
use dask_proto::limits::MAX_HEADER_BYTES;
use dask_proto::message::{Activity, Answer, Inspected, Question, Recorded, SchedulerToWorker};

use crate::state::SchedulerState;
use crate::state::client::equipment::UNANSWERED;

/// Bytes of records that are remembered, however few they are.
const STREAM_BYTES: usize = 64 << 20;

/// Bytes of records in one answer.
const ANSWER_BYTES: usize = MAX_HEADER_BYTES / 4;

/// What is remembered, oldest first.
#[derive(Debug, Default)]
pub(in crate::state) struct Stream {
    /// Clients that are interested.
    watchers: BTreeSet<ClientId>,
    records: VecDeque<Recorded>,
    bytes: usize,
    /// How many came before the first that is still remembered.
    forgotten: u64,
}

impl SchedulerState {
    /// The records from a position on, as many as fit an answer. A client that asks for the first
    /// time is interested from now on, until it leaves.
    pub(in crate::state) fn task_stream(&mut self, client: ClientId, from: Option<u64>) -> Answer {
        let is_first = self.stream.watchers.is_empty();
        if self.stream.watchers.insert(client) && is_first {
            self.tell_all(&Question::Record { on: true });
        }
        let stream = &self.stream;
        let end = stream.forgotten + stream.records.len() as u64;
        let from = from.unwrap_or(end).clamp(stream.forgotten, end);
        let skipped = usize::try_from(from - stream.forgotten).unwrap_or(usize::MAX);
        let mut room = ANSWER_BYTES;
        let records = stream.records.iter().skip(skipped).take_while(|record| {
            let rest = room.checked_sub(bytes(record));
            room = rest.unwrap_or(0);
            rest.is_some()
        });
        let records: Vec<Recorded> = records.cloned().collect();
        let next = from + records.len() as u64;
        Answer::Inspected(Box::new(Inspected::TaskStream { records, next, end }))
    }

    /// A worker tells what it did.
    pub(in crate::state) fn did(&mut self, worker: WorkerId, activities: Vec<Activity>) {
        let Some(entry) = self.workers.get(worker) else { return };
        if self.stream.watchers.is_empty() {
            // Said before it heard that nobody is interested any more.
            return;
        }
        let most = self.config.task_stream_length;
        for activity in activities {
            let record = Recorded { worker: entry.join.address.clone(), activity };
            self.stream.bytes += bytes(&record);
            self.stream.records.push_back(record);
            while self.stream.records.len() > most || self.stream.bytes > STREAM_BYTES {
                let Some(oldest) = self.stream.records.pop_front() else { break };
                self.stream.bytes -= bytes(&oldest);
                self.stream.forgotten += 1;
            }
        }
    }

    /// A client is gone, and with the last that was interested all that was remembered.
    pub(in crate::state) fn stop_watching(&mut self, client: ClientId) {
        if self.stream.watchers.remove(&client) && self.stream.watchers.is_empty() {
            self.stream.forgotten += self.stream.records.len() as u64;
            self.stream.records = VecDeque::new();
            self.stream.bytes = 0;
            self.tell_all(&Question::Record { on: false });
        }
    }

    /// Tells a worker that joined what to record.
    pub(in crate::state) fn have_newcomer_record(&mut self, worker: WorkerId) {
        if !self.stream.watchers.is_empty() {
            let question = Box::new(Question::Record { on: true });
            self.out.tell_worker(worker, SchedulerToWorker::Ask { id: UNANSWERED, question });
        }
    }

    fn tell_all(&mut self, question: &Question) {
        for worker in self.workers.ids() {
            let question = Box::new(question.clone());
            self.out.tell_worker(worker, SchedulerToWorker::Ask { id: UNANSWERED, question });
        }
    }
}

fn bytes(record: &Recorded) -> usize {
    record.worker.as_str().len() + record.activity.nbytes()
}
