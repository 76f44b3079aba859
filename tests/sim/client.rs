//! A client: the real state, and a shell that fetches values and checks them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dask_client::state::{ClientState, Event, Instruction, Instructions, Unanswered};
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{
    Answer, ClientToScheduler, Coordination, Located, Request, SchedulerToClient, ValueAt, Welcome,
};
use dask_proto::{Address, Key, Payload};

use crate::book::{self, FUNCTIONS, Page};
use crate::call::{Caller, Question};
use crate::link::{Down, Link, Up};
use crate::process::value_of;
use crate::sim::{Happening, Pages, PeerId, Sim};

/// How a future stands, as the program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    /// In memory; the value is not here.
    Finished,
    /// In memory, and the value was right.
    Checked,
    Failed,
    Cancelled,
}

/// A future of a program.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) page: Page,
    pub(crate) status: Status,
    /// Whether the value is on its way.
    is_fetching: bool,
}

/// A question that waits for its answer.
#[derive(Debug)]
enum Asked {
    Locate(FutureId),
    Scatter(Vec<FutureId>),
    Lock(Key),
    Other,
}

/// A program with a client.
#[derive(Debug, Default)]
pub(crate) struct Program {
    state: ClientState,
    out: Instructions,
    pub(crate) is_welcome: bool,
    pub(crate) tickets: BTreeMap<FutureId, Ticket>,
    /// The future that stands for a task.
    pub(crate) held: BTreeMap<Page, FutureId>,
    asked: BTreeMap<RequestId, Asked>,
    /// The locks that it holds, by the questions that were answered with them.
    pub(crate) locks: BTreeMap<RequestId, Key>,
    next_future: u64,
    next_request: u64,
    /// What it has still to submit.
    pub(crate) todo: Pages,
    /// How often it still acts.
    pub(crate) acts: usize,
    is_over: bool,
}

impl Program {
    pub(crate) fn new_future(&mut self, page: Page) -> FutureId {
        self.next_future += 1;
        let future = FutureId(self.next_future);
        let ticket = Ticket { page, status: Status::Pending, is_fetching: false };
        self.tickets.insert(future, ticket);
        self.held.insert(page, future);
        future
    }

    /// Forgets a future that is over.
    pub(crate) fn forget(&mut self, future: FutureId) -> Option<Ticket> {
        let ticket = self.tickets.remove(&future)?;
        if self.held.get(&ticket.page) == Some(&future) {
            self.held.remove(&ticket.page);
        }
        Some(ticket)
    }

    /// Waits for an answer no longer; whether it did.
    pub(crate) fn stop_asking(&mut self, id: RequestId) -> bool {
        self.asked.remove(&id).is_some()
    }

    /// Whether nothing is left to come.
    pub(crate) fn is_settled(&self) -> bool {
        let mut tickets = self.tickets.values();
        let settled =
            |t: &Ticket| matches!(t.status, Status::Checked | Status::Failed | Status::Cancelled);
        let is_waiting = !(self.asked.is_empty() && self.locks.is_empty());
        self.is_welcome && self.todo.is_empty() && !is_waiting && tickets.all(settled)
    }
}

impl Sim {
    /// A program connects.
    pub(crate) fn start_program(&mut self) {
        let peer = self.new_peer();
        self.clients.insert(peer);
        let acts = 3 + self.dice.below(self.weather.acts);
        let program = Program { acts, ..Program::default() };
        self.programs.insert(peer, program);
        let slowest = if self.dice.chance(10) { 500_000 } else { 1_000 };
        self.links.insert(peer, Link::new(slowest));
        self.send_up(peer, Up::HelloClient(format!("Client-{peer}")));
    }

    pub(crate) fn program_hears(&mut self, peer: PeerId, item: Down) {
        self.note(|| format!("client {peer} hears {item:?}"));
        match item {
            Down::Welcome(Welcome::Client { .. }) => {
                if let Some(program) = self.programs.get_mut(&peer) {
                    program.is_welcome = true;
                }
                for index in 0..FUNCTIONS {
                    let (id, function) = (FunctionId(index), book::function(index));
                    self.tell_client(peer, Event::Defined { id, function });
                }
                self.perform(peer);
                self.schedule(self.now, Happening::Act(peer));
            }
            Down::Client(messages) => {
                let mut lost = BTreeSet::new();
                for message in messages {
                    match &message {
                        SchedulerToClient::Close { reason } => {
                            panic!("the scheduler closed client {peer}: {reason}");
                        }
                        SchedulerToClient::Pending { futures, .. } => lost.extend(futures.clone()),
                        SchedulerToClient::InMemory { future, .. } => {
                            lost.remove(future);
                        }
                        SchedulerToClient::Erred { futures, .. }
                        | SchedulerToClient::Cancelled { futures, .. } => {
                            lost.retain(|future| !futures.contains(future));
                        }
                        _ => {}
                    }
                    self.tell_client(peer, Event::Said(message));
                }
                self.perform(peer);
                self.what_is_lost_is_pending(peer, &lost);
            }
            Down::End => {
                let reason: Arc<str> = "the connection ended".into();
                self.tell_client(peer, Event::SchedulerLost { reason });
                self.perform(peer);
            }
            other => panic!("client {peer} hears {other:?}"),
        }
    }

    fn what_is_lost_is_pending(&self, peer: PeerId, lost: &BTreeSet<FutureId>) {
        let tickets = self.programs.get(&peer).map(|program| &program.tickets);
        for future in lost {
            let status = tickets.and_then(|tickets| tickets.get(future)).map(|t| t.status);
            let agrees = matches!(status, None | Some(Status::Pending | Status::Cancelled));
            assert!(agrees, "{future} of client {peer} was lost, and it is {status:?}");
        }
    }

    pub(crate) fn tell_client(&mut self, peer: PeerId, event: Event) {
        if let Some(program) = self.programs.get_mut(&peer) {
            program.state.handle(event, &mut program.out);
        }
    }

    /// Asks the scheduler something that no future waits for.
    pub(crate) fn ask_scheduler(&mut self, peer: PeerId, request: Request) -> Option<RequestId> {
        let asked = match &request {
            Request::Locate { futures } => Asked::Locate(futures[0]),
            Request::Scatter { items, .. } => {
                Asked::Scatter(items.iter().map(|item| item.future).collect())
            }
            Request::Coordinate(Coordination::Semaphore { name, .. }) => Asked::Lock(name.clone()),
            _ => Asked::Other,
        };
        let program = self.programs.get_mut(&peer)?;
        program.next_request += 1;
        let id = RequestId(program.next_request);
        program.asked.insert(id, asked);
        self.tell_client(peer, Event::Asked { id, request });
        Some(id)
    }

    /// Carries out what a client's state asked for.
    pub(crate) fn perform(&mut self, peer: PeerId) {
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        let mut messages = Vec::new();
        for instruction in std::mem::take(&mut program.out) {
            self.note(|| format!("client {peer} shall {instruction:?}"));
            match instruction {
                Instruction::Send(message) => messages.push(message),
                Instruction::Finish { future, value } => self.finish(peer, future, value),
                Instruction::Fail { future, error } => {
                    if let Some(page) = self.set_status(peer, future, Status::Failed) {
                        self.explain_error(page, &error);
                    }
                }
                Instruction::Reopen { future, .. } => {
                    self.set_status(peer, future, Status::Pending);
                }
                Instruction::Abandon { future, why } => self.abandon(peer, future, &why),
                Instruction::Answer { id, answer } => self.answered(peer, id, answer),
                // Nobody subscribes, and what tasks say is for people.
                Instruction::Event { .. } | Instruction::Said(_) | Instruction::Logged { .. } => {}
                Instruction::Program(news) => panic!("nobody has agents: {news:?}"),
                Instruction::Unanswered { id, .. } => {
                    if let Some(program) = self.programs.get_mut(&peer) {
                        program.asked.remove(&id);
                    }
                }
            }
        }
        if !messages.is_empty() {
            self.send_up(peer, Up::Client(messages));
        }
        let again = self.programs.get(&peer);
        if again.is_some_and(|program| !program.out.is_empty()) {
            return self.perform(peer);
        }
        if again.is_some_and(|program| program.state.over().is_some() || program.is_over) {
            let program = self.programs.remove(&peer);
            let is_through = program.is_none_or(|program| program.asked.is_empty());
            assert!(is_through, "client {peer} is at its end, and a question is still open");
            self.finish_up(peer);
        }
    }

    fn set_status(&mut self, peer: PeerId, future: FutureId, status: Status) -> Option<Page> {
        let program = self.programs.get_mut(&peer)?;
        let ticket = program.tickets.get_mut(&future)?;
        ticket.status = status;
        Some(ticket.page)
    }

    fn finish(&mut self, peer: PeerId, future: FutureId, value: Option<Payload>) {
        let status = if value.is_some() { Status::Checked } else { Status::Finished };
        let Some(page) = self.set_status(peer, future, status) else {
            return;
        };
        match value {
            Some(value) => self.check_value(page, value_of(&value)),
            None => self.schedule(self.now, Happening::Fetch(peer, future)),
        }
    }

    fn check_value(&self, page: Page, value: u64) {
        let key = &self.book.specs[page].key;
        assert_eq!(value, self.book.value(page), "task {key} has another value");
    }

    /// A program wants to see the value of a future.
    pub(crate) fn fetch_value(&mut self, peer: PeerId, future: FutureId) {
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        let Some(ticket) = program.tickets.get_mut(&future) else {
            return;
        };
        if ticket.status != Status::Finished || ticket.is_fetching {
            return;
        }
        ticket.is_fetching = true;
        let futures = vec![future];
        self.ask_scheduler(peer, Request::Locate { futures });
        self.perform(peer);
    }

    fn answered(&mut self, peer: PeerId, id: RequestId, answer: Answer) {
        let asked = self.programs.get_mut(&peer);
        let Some(asked) = asked.and_then(|program| program.asked.remove(&id)) else {
            return;
        };
        match (asked, answer) {
            (Asked::Locate(future), Answer::Located { workers, items }) => {
                let located = items.first().expect("one question, one answer");
                let index = self.dice.below(located.workers.len());
                match located.workers.get(index) {
                    Some(at) => {
                        let address = &workers[*at as usize];
                        let question = Question::Get(vec![located.task]);
                        self.call(Caller::Getter(peer, future), address, question);
                    }
                    None => self.fetch_again(peer, future),
                }
            }
            (Asked::Locate(future), _) => self.fetch_again(peer, future),
            (Asked::Scatter(futures), Answer::Targets { workers, items }) => {
                self.put_values(peer, &futures, &workers, &items);
            }
            (Asked::Scatter(futures), _) => {
                for future in futures {
                    self.release(peer, future);
                }
            }
            (Asked::Lock(name), answer) => self.locked(peer, id, (name, answer)),
            (Asked::Other, _) => {}
        }
    }

    fn fetch_again(&mut self, peer: PeerId, future: FutureId) {
        let at = self.now + self.dice.micros(1_000, 100_000);
        let program = self.programs.get_mut(&peer);
        if let Some(ticket) = program.and_then(|p| p.tickets.get_mut(&future)) {
            ticket.is_fetching = false;
            self.schedule(at, Happening::Fetch(peer, future));
        }
    }

    /// A worker answered a client that asked for a value.
    pub(crate) fn client_got(
        &mut self,
        peer: PeerId,
        future: FutureId,
        value: Option<ValueAt>,
        worker: Address,
    ) {
        let program = self.programs.get_mut(&peer);
        let Some(ticket) = program.and_then(|p| p.tickets.get_mut(&future)) else {
            return;
        };
        if let Some(ValueAt::Found(value)) = value {
            ticket.is_fetching = false;
            if ticket.status == Status::Finished {
                ticket.status = Status::Checked;
            }
            let page = ticket.page;
            return self.check_value(page, value_of(&value));
        }
        let missing = ClientToScheduler::MissingData { future, worker };
        self.tell_client(peer, Event::Told(missing));
        self.fetch_again(peer, future);
        self.perform(peer);
    }

    fn put_values(
        &mut self,
        peer: PeerId,
        futures: &[FutureId],
        workers: &[Address],
        items: &[Located],
    ) {
        assert_eq!(futures.len(), items.len(), "a place for each item");
        for (future, item) in futures.iter().zip(items) {
            let program = self.programs.get(&peer);
            let Some(ticket) = program.and_then(|p| p.tickets.get(future)) else {
                continue;
            };
            let (value, nbytes) = {
                let page = ticket.page;
                (self.book.value(page), self.book.specs[page].nbytes)
            };
            for at in &item.workers {
                let caller = Caller::Putter(peer, *future);
                let question = Question::Put(item.task, value, nbytes);
                self.call(caller, &workers[*at as usize], question);
            }
        }
    }

    /// A value could not be put where a client wanted to scatter it: it gives the future up.
    pub(crate) fn put_failed(&mut self, peer: PeerId, future: FutureId) {
        self.release(peer, future);
        self.perform(peer);
    }

    /// A client does not wait for ever until what it scattered is there.
    pub(crate) fn give_up(&mut self, peer: PeerId, future: FutureId) {
        let ticket = self.programs.get(&peer).and_then(|p| p.tickets.get(&future));
        if ticket.is_some_and(|ticket| ticket.status == Status::Pending) {
            self.release(peer, future);
            self.perform(peer);
        }
    }

    pub(crate) fn release(&mut self, peer: PeerId, future: FutureId) {
        if let Some(program) = self.programs.get_mut(&peer) {
            program.forget(future);
            self.tell_client(peer, Event::Released(future));
        }
    }

    fn abandon(&mut self, peer: PeerId, future: FutureId, why: &Unanswered) {
        let Some(page) = self.set_status(peer, future, Status::Cancelled) else {
            return;
        };
        let Unanswered::Cancelled(reason) = why else {
            return;
        };
        let closure: BTreeSet<Page> = self.book.closure(page);
        let is_explained = !closure.is_disjoint(&self.cancelled);
        let key = &self.book.specs[page].key;
        assert!(is_explained, "nobody cancelled {key}: {reason}");
        // Some programs keep it for a while, and submit on it.
        if self.dice.chance(70) {
            self.release(peer, future);
        }
    }
}
