//! Questions of clients to one process: workers, which are asked and whose replies are passed on,
//! and the process of the scheduler, which is the shell's affair.

use std::collections::BTreeMap;
use std::ops::Bound;

use dask_proto::id::{ClientId, RequestId, WorkerId};
use dask_proto::limits::MAX_OPEN_QUESTIONS;
use dask_proto::message::{
    Answer, Ask, CallStack, Question, Refusal, Reply, Sample, SchedulerToWorker, StackFrame, Whom,
};
use dask_proto::{Address, Key};

use super::request::Asked;
use crate::state::SchedulerState;
use crate::state::instruction::Peer;
use crate::state::workers::departure::Departure;

/// Questions to workers that are not answered yet.
#[derive(Debug, Default)]
pub(in crate::state) struct AskTable {
    open: BTreeMap<(WorkerId, RequestId), Asked>,
    by_client: BTreeMap<ClientId, u32>,
    next: u64,
}

impl AskTable {
    /// Notes a question; its id on the link to the worker.
    fn add(&mut self, worker: WorkerId, asked_by: Asked) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        self.open.insert((worker, id), asked_by);
        *self.by_client.entry(asked_by.0).or_default() += 1;
        id
    }

    fn take(&mut self, worker: WorkerId, id: RequestId) -> Option<Asked> {
        let asked_by = self.open.remove(&(worker, id))?;
        self.uncount(asked_by.0);
        Some(asked_by)
    }

    /// Those who asked a worker that is gone.
    fn take_all(&mut self, worker: WorkerId) -> Vec<Asked> {
        let first = (worker, RequestId(0));
        let all = self.open.range((Bound::Included(first), Bound::Unbounded));
        let all: Vec<RequestId> =
            all.map_while(|((w, id), _)| (*w == worker).then_some(*id)).collect();
        all.into_iter().filter_map(|id| self.take(worker, id)).collect()
    }

    fn uncount(&mut self, client: ClientId) {
        if let Some(count) = self.by_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

impl SchedulerState {
    /// Asks a process; an answer if that is refused.
    pub(in crate::state) fn pass_on(&mut self, asked_by: Asked, ask: Ask) -> Option<Answer> {
        let address = match ask.whom {
            Whom::Scheduler => {
                self.out.serve(asked_by, ask.question);
                return None;
            }
            Whom::Worker(address) => address,
            // A client of a later version.
            _ => return Some(Answer::Refused(Refusal::TooLarge)),
        };
        let Some(worker) = self.workers.by_address(&address) else {
            return Some(Answer::Refused(Refusal::UnknownWorker(address.to_string())));
        };
        let open = self.asks.by_client.get(&asked_by.0);
        if open.is_some_and(|open| *open >= MAX_OPEN_QUESTIONS) {
            let limit = MAX_OPEN_QUESTIONS;
            return Some(Answer::Refused(Refusal::TooManyQuestions { limit }));
        }
        if let Question::Logs { n } = ask.question {
            let mut logs = self.worker_logs(&[address.to_string()], n);
            if let Answer::Logs(logs) = &mut logs {
                let records = logs.pop().map(|(_, records)| records).unwrap_or_default();
                return Some(Answer::Reply(Box::new(Reply::Logs(records))));
            }
            return Some(logs);
        }
        let question = match ask.question {
            Question::Take { name } => match self.equipment_named(&name) {
                Some(equipment) => Question::Equip(equipment),
                None => return Some(Answer::Refused(Refusal::UnknownEquipment(name))),
            },
            // What is not kept, workers that join later would not have.
            Question::Equip(_) => return Some(Answer::Refused(Refusal::TooLarge)),
            question => question,
        };
        let id = self.asks.add(worker, asked_by);
        let question = Box::new(question);
        self.out.tell_worker(worker, SchedulerToWorker::Ask { id, question });
        None
    }

    /// A worker replies.
    pub(in crate::state) fn replied(&mut self, worker: WorkerId, id: RequestId, reply: Box<Reply>) {
        let Some(asked_by) = self.asks.take(worker, id) else {
            return;
        };
        if *reply == Reply::Restarting {
            // From now on who waits for the worker waits for its successor.
            self.remove_worker(worker, Departure::Explained);
            self.out.disconnect(Peer::Worker(worker), "the worker is restarting".to_owned());
        }
        self.answer(asked_by, Answer::Reply(reply));
    }

    /// A worker is gone, with what it was asked.
    pub(in crate::state) fn answer_for_the_gone(&mut self, worker: WorkerId, address: &Address) {
        for asked_by in self.asks.take_all(worker) {
            let refusal = Refusal::WorkerLeft { worker: address.clone() };
            self.answer(asked_by, Answer::Refused(refusal));
        }
    }

    /// Nobody waits for these replies any more.
    pub(in crate::state) fn forget_asks(&mut self, is_gone: impl Fn(Asked) -> bool) {
        let gone = self.asks.open.iter().filter(|(_, asked_by)| is_gone(**asked_by));
        let gone: Vec<(WorkerId, RequestId)> = gone.map(|(place, _)| *place).collect();
        for (worker, id) in gone {
            self.asks.take(worker, id);
        }
    }

    /// Whether every question is one of a client to a worker, both of them here, for a check.
    pub(in crate::state) fn asks_are_known(&self) -> bool {
        let counted: u64 = self.asks.by_client.values().map(|count| u64::from(*count)).sum();
        counted == self.asks.open.len() as u64
            && self.asks.open.iter().all(|((worker, _), asked_by)| {
                self.workers.get(*worker).is_some() && self.clients.contains_key(&asked_by.0)
            })
    }
}

/// About how many bytes a reply takes in a message.
pub(in crate::state) fn reply_bytes(reply: &Reply) -> usize {
    let key = |key: &Key| key.as_str().len();
    match reply {
        Reply::Running(tasks) => {
            tasks.iter().map(|task| 32 + key(&task.key) + task.function.len()).sum()
        }
        Reply::Logs(records) => {
            let key = |k: Option<&Key>| k.map_or(0, |k| k.as_str().len());
            records.iter().map(|r| 32 + key(r.key.as_ref()) + r.message.len()).sum()
        }
        Reply::Samples(samples) => samples.iter().map(sample_bytes).sum(),
        Reply::CallStack(stacks) => stacks.iter().map(stack_bytes).sum(),
        Reply::Refused(text) => text.len(),
        _ => 0,
    }
}

fn sample_bytes(sample: &Sample) -> usize {
    16 + sample.stack.iter().map(|name| 8 + name.len()).sum::<usize>()
}

fn stack_bytes(stack: &CallStack) -> usize {
    let CallStack { key, function, activity, frames, .. } = stack;
    let file = |frame: &StackFrame| frame.file.as_ref().map_or(0, String::len);
    let frames = frames.iter().map(|frame| 24 + frame.function.len() + file(frame));
    64 + key.as_str().len() + function.len() + activity.len() + frames.sum::<usize>()
}
