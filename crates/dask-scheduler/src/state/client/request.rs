use std::collections::BTreeMap;

use dask_proto::id::{ClientId, FutureId, RequestId, WorkerId};
use dask_proto::limits::{MAX_AWAITED_WORKERS, MAX_HEADER_BYTES, MAX_WAITS};
use dask_proto::message::{
    Answer, CoordinationAnswer, Inspect, KeyCount, Located, Refusal, Request, SchedulerInfo,
    SchedulerToClient,
};
use dask_proto::program::ProgramId;
use dask_proto::{Address, Key};

use super::ask::reply_bytes;
use super::entry::Force;
use crate::state::SchedulerState;
use crate::state::coordination::OWN;
use crate::state::insight::inspect::inspected_bytes;
use crate::state::program::Parked;
use crate::state::table::task::{Row, StateName};
use crate::state::table::worker::WorkerEntry;

/// Who asked a question: the client, and the question's id.
pub(in crate::state) type Asked = (ClientId, RequestId);

/// The clients that wait for workers, with their requests.
pub(in crate::state) type Waits = BTreeMap<ClientId, BTreeMap<RequestId, Awaited>>;

/// Which workers must be connected.
#[derive(Debug)]
pub(in crate::state) enum Awaited {
    /// So many.
    Count(u32),
    /// Those with these names and programs, as far as they have not been seen yet.
    Named(Vec<(String, Option<ProgramId>)>),
}

impl Awaited {
    fn names(&self) -> usize {
        match self {
            Self::Count(_) => 0,
            Self::Named(named) => named.len(),
        }
    }
}

impl SchedulerState {
    /// Answers a question, or notes that it is to be answered later.
    pub(in crate::state) fn request(&mut self, asked_by: Asked, request: Request) {
        let answer = match request {
            Request::Scatter { items, workers, broadcast } => {
                self.scatter_or_park(Parked { asked_by, items, broadcast }, &workers)
            }
            Request::WaitForWorkers { n } => self.await_workers(asked_by, Awaited::Count(n)),
            Request::Replicate { futures, n, workers } => {
                self.replicate(asked_by, &futures, n, &workers)
            }
            Request::Rebalance { futures, workers } => self.rebalance(asked_by, &futures, &workers),
            Request::RetireWorkers { workers, n } => self.retire(asked_by, &workers, n),
            Request::Ask(ask) => self.pass_on(asked_by, *ask),
            Request::Manage(manage) => self.manage(asked_by, manage),
            Request::Coordinate(request) => {
                self.coordinate(asked_by, request);
                None
            }
            Request::Shutdown => {
                self.answer(asked_by, Answer::Done);
                let who = self.clients.get(&{ asked_by.0 }).map(|entry| entry.name.as_str());
                let reason = format!("{} shut the cluster down", who.unwrap_or("a client"));
                self.shut_down(&reason);
                None
            }
            request => Some(self.answer_now(asked_by.0, request)),
        };
        if let Some(answer) = answer {
            self.answer(asked_by, answer);
        }
    }

    fn answer_now(&mut self, client: ClientId, request: Request) -> Answer {
        match request {
            Request::Cancel { futures, force } => {
                let force = if force { Force::Yes } else { Force::No };
                self.cancel(client, &futures, force);
                Answer::Done
            }
            Request::Retry { futures } => {
                self.retry(client, &futures);
                // Whoever hears the answer finds its futures pending.
                self.settle_agenda();
                Answer::Done
            }
            Request::Locate { futures } => self.locate(client, &futures),
            Request::WhoHas { keys } => Answer::WhoHas(self.who_has(keys)),
            Request::HasWhat { workers } => self.keys(&workers, |state, entry| {
                entry.has.iter().map(|row| state.key(row)).collect()
            }),
            Request::Processing { workers } => self.keys(&workers, |state, entry| {
                entry.processing.iter().map(|row| state.key(row)).collect()
            }),
            Request::SchedulerInfo => Answer::Info(Box::new(self.info())),
            Request::Counts => Answer::Counts(self.finished_counts()),
            Request::Story { key } => Answer::Story(self.story(key.as_str())),
            Request::Explain { key } => Answer::Explanation(self.explain(key.as_str())),
            Request::WorkerLogs { workers, n } => self.worker_logs(&workers, n),
            Request::Inspect(Inspect::TaskStream { from }) => self.task_stream(client, from),
            Request::Inspect(inspect) => self.inspected(client, inspect),
            // A client of a later version asks more than this scheduler can answer.
            _ => Answer::Refused(Refusal::TooLarge),
        }
    }

    /// Nobody waits for these answers any more.
    pub(in crate::state) fn forget_requests(&mut self, is_gone: impl Fn(Asked) -> bool + Copy) {
        self.waits.retain(|client, waits| {
            waits.retain(|id, _| !is_gone((*client, *id)));
            !waits.is_empty()
        });
        self.programs.unpark(is_gone);
        self.forget_errands(is_gone);
        self.forget_retire_requests(is_gone);
        self.forget_asks(is_gone);
    }

    /// Has a client wait for workers, if they are not there.
    pub(in crate::state) fn await_workers(
        &mut self,
        asked_by: Asked,
        mut wanted: Awaited,
    ) -> Option<Answer> {
        if self.are_there(asked_by.0, &mut wanted) {
            return Some(Answer::Done);
        }
        let (client, id) = asked_by;
        let waits = self.waits.entry(client).or_default();
        if waits.len() >= MAX_WAITS {
            return Some(Answer::Refused(Refusal::TooManyQuestions { limit: MAX_WAITS as u32 }));
        }
        let awaited: usize = waits.values().chain([&wanted]).map(Awaited::names).sum();
        if awaited > MAX_AWAITED_WORKERS {
            return Some(Answer::Refused(Refusal::TooLarge));
        }
        waits.insert(id, wanted);
        None
    }

    /// Answers those whose workers are there. What it costs grows with the number of those who wait
    /// and not with that of the workers that they wait for, each of which is looked for until it is
    /// seen.
    pub(in crate::state) fn answer_waits(&mut self) {
        let mut waits = std::mem::take(&mut self.waits);
        waits.retain(|client, waits| {
            waits.retain(|id, wanted| {
                let are_there = self.are_there(*client, wanted);
                if are_there {
                    self.answer((*client, *id), Answer::Done);
                }
                !are_there
            });
            !waits.is_empty()
        });
        self.waits = waits;
    }

    /// Whether workers are there. Those that are seen are looked for no more.
    fn are_there(&self, client: ClientId, wanted: &mut Awaited) -> bool {
        match wanted {
            Awaited::Count(n) => *n as usize <= self.workers_for(client),
            Awaited::Named(named) => {
                while let Some((name, program)) = named.last()
                    && self.is_connected(name, *program)
                {
                    named.pop();
                }
                named.is_empty()
            }
        }
    }

    fn is_connected(&self, name: &str, program: Option<ProgramId>) -> bool {
        let of_name = self.workers.by_name(name).filter_map(|worker| self.workers.get(worker));
        of_name.into_iter().any(|entry| entry.join.program == program)
    }

    pub(in crate::state) fn answer(&mut self, (client, id): Asked, answer: Answer) {
        let answer =
            if is_too_large(&answer) { Answer::Refused(Refusal::TooLarge) } else { answer };
        self.out.tell_client(client, SchedulerToClient::Answer { id, answer });
    }

    fn locate(&self, client: ClientId, futures: &[FutureId]) -> Answer {
        let mut list = AddressList::default();
        let mut items = Vec::with_capacity(futures.len());
        for future in futures {
            let Some(row) = self.task_of(client, *future) else {
                return Answer::Refused(Refusal::UnknownFuture(*future));
            };
            items.push(self.located(row, &mut list));
        }
        Answer::Located { workers: list.addresses, items }
    }

    fn located(&self, row: Row, list: &mut AddressList) -> Located {
        let holders = self.tasks[row].holders().into_iter().flat_map(|h| h.iter());
        let positions = holders.filter_map(|worker| list.position(self, worker));
        Located { task: self.tasks.id(row), workers: positions.collect() }
    }

    fn who_has(&self, keys: Vec<Key>) -> Vec<(Key, Vec<Address>)> {
        let holders = |row: Row| -> Vec<Address> {
            let holders = self.tasks[row].holders().into_iter().flat_map(|h| h.iter());
            let entries = holders.filter_map(|worker| self.workers.get(worker));
            entries.map(|entry| entry.join.address.clone()).collect()
        };
        if keys.is_empty() {
            let all = self.tasks.iter();
            return all.map(|(row, task)| (task.key.clone(), holders(row))).collect();
        }
        let known = |key: Key| {
            let found = self.tasks.find(key.as_str()).map(holders);
            (key, found.unwrap_or_default())
        };
        keys.into_iter().map(known).collect()
    }

    fn keys(&self, names: &[String], keys: impl Fn(&Self, &WorkerEntry) -> Vec<Key>) -> Answer {
        let workers = match self.present_workers(names) {
            Ok(workers) => workers,
            Err(refusal) => return Answer::Refused(refusal),
        };
        let entries = workers.into_iter().filter_map(|w| self.workers.get(w));
        let keys = entries.map(|entry| (entry.join.address.clone(), keys(self, entry)));
        Answer::Keys(keys.collect())
    }

    fn key(&self, row: Row) -> Key {
        self.tasks[row].key.clone()
    }

    fn info(&self) -> SchedulerInfo {
        let states = StateName::ALL.iter().zip(self.counts);
        let states = states.filter(|(_, count)| *count > 0);
        SchedulerInfo {
            address: self.address.clone(),
            id: self.config.id.clone(),
            workers: self.workers.iter().map(|(_, entry)| entry.info()).collect(),
            clients: self.connected_clients(),
            tasks: states.map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
            agents: self.programs.infos(),
        }
    }

    fn connected_clients(&self) -> u32 {
        let clients = self.clients.keys().filter(|client| **client != OWN);
        u32::try_from(clients.count()).unwrap_or(u32::MAX)
    }

    fn finished_counts(&self) -> Vec<KeyCount> {
        let mut counts = Vec::new();
        for (_, entry) in self.workers.iter() {
            let mut by_prefix: BTreeMap<&str, u64> = BTreeMap::new();
            for (function, finished) in entry.work.finished() {
                let prefix = self.functions.get(function).function.name();
                *by_prefix.entry(prefix).or_default() += finished;
            }
            counts.extend(by_prefix.into_iter().map(|(prefix, finished)| KeyCount {
                worker: entry.join.address.clone(),
                prefix: prefix.to_owned(),
                finished,
            }));
        }
        counts
    }
}

/// The addresses in an answer, each once, in the order of first mention.
#[derive(Default)]
pub(in crate::state) struct AddressList {
    pub(in crate::state) addresses: Vec<Address>,
    positions: BTreeMap<WorkerId, u32>,
}

impl AddressList {
    /// The position of a worker that is connected.
    pub(in crate::state) fn position(
        &mut self,
        state: &SchedulerState,
        worker: WorkerId,
    ) -> Option<u32> {
        if let Some(position) = self.positions.get(&worker) {
            return Some(*position);
        }
        let address = state.workers.get(worker)?.join.address.clone();
        let position = u32::try_from(self.addresses.len()).ok()?;
        self.addresses.push(address);
        self.positions.insert(worker, position);
        Some(position)
    }
}

/// Whether an answer may be over the limit for the bytes of a message. The question was about too
/// much at once then; sending it would cut the client off.
fn is_too_large(answer: &Answer) -> bool {
    let keys = |keys: &[Key]| -> usize { keys.iter().map(|k| k.as_str().len() + 8).sum() };
    let addresses = |list: &[Address]| -> usize { list.iter().map(|a| a.as_str().len() + 8).sum() };
    let items =
        |items: &[Located]| -> usize { items.iter().map(|i| 16 + 4 * i.workers.len()).sum() };
    let bytes = match answer {
        Answer::WhoHas(list) => list
            .iter()
            .map(|(key, holders)| keys(std::slice::from_ref(key)) + addresses(holders) + 8)
            .sum(),
        Answer::Keys(list) => list
            .iter()
            .map(|(worker, list)| addresses(std::slice::from_ref(worker)) + keys(list) + 8)
            .sum(),
        Answer::Located { workers, items: i } | Answer::Targets { workers, items: i } => {
            addresses(workers) + items(i)
        }
        Answer::Story(lines) | Answer::Explanation(lines) => {
            lines.iter().map(|line| line.len() + 8).sum()
        }
        Answer::Reply(reply) => reply_bytes(reply),
        Answer::Coordination(CoordinationAnswer::Names(names)) => keys(names),
        Answer::Coordination(CoordinationAnswer::Metadata(list)) => {
            list.iter().map(|(path, _)| keys(path) + 16).sum()
        }
        Answer::Inspected(inspected) => inspected_bytes(inspected),
        _ => 0,
    };
    bytes > MAX_HEADER_BYTES / 2
}
