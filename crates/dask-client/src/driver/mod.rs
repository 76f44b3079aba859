//! The shell of the client: one task owns the state and the connection.

mod courier;
mod link;
mod queue;
mod reactor;
mod topic;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dask_proto::human::describe;
use dask_proto::id::{FutureId, RequestId};
use dask_proto::map::Table;
use dask_proto::message::{Answer, ClientToScheduler, SchedulerToClient};
use dask_transport::{Inbox, Outbox};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::future::Status;
use crate::future::hold::{Hold, Outcome};
use crate::state::{ClientState, Event, Instruction, Instructions, Unanswered};

pub(crate) use courier::Courier;
pub(crate) use link::{Identity, Link};
pub(crate) use queue::flush;
use queue::{Closing, Command, Queue, Reply};
pub(crate) use reactor::{block_on, home};
use topic::Topics;

struct Driver {
    queue: Arc<Queue>,
    state: ClientState,
    holds: Table<Weak<Hold>>,
    replies: HashMap<RequestId, Reply>,
    outbox: Outbox<ClientToScheduler>,
    out: Instructions,
    trouble: Arc<Notify>,
    topics: Arc<Topics>,
    ended: watch::Sender<bool>,
    closing: Option<Closing>,
    courier: Courier,
}

/// Batches from the scheduler that wait for the driver; more stay with the transport.
const INBOX_BATCHES: usize = 16;

/// For how many instructions there is room from the start, after as many or more.
const INSTRUCTIONS: usize = 1024;

/// How long the last messages to the scheduler may take.
const FLUSH: Duration = Duration::from_secs(5);

type Batch = Result<Vec<SchedulerToClient>, Arc<str>>;

impl Driver {
    fn new(
        queue: Arc<Queue>,
        outbox: Outbox<ClientToScheduler>,
        (trouble, topics): (Arc<Notify>, Arc<Topics>),
        (ended, courier): (watch::Sender<bool>, Courier),
    ) -> Self {
        Self {
            queue,
            state: ClientState::default(),
            holds: Table::default(),
            replies: HashMap::new(),
            outbox,
            out: Instructions::new(),
            trouble,
            topics,
            ended,
            closing: None,
            courier,
        }
    }

    async fn run(mut self, inbox: Inbox<SchedulerToClient>) {
        let (sender, mut batches) = mpsc::channel(INBOX_BATCHES);
        let mut reader = JoinSet::new();
        reader.spawn(read(inbox, sender));
        let queue = self.queue.clone();
        while self.state.over().is_none() {
            tokio::select! {
                () = queue.filled.notified() => self.commands(queue.take()),
                batch = batches.recv() => {
                    self.heard(batch.unwrap_or_else(|| Err("the connection ended".into())));
                }
            }
            self.perform();
        }
        self.finish();
        self.outbox.close();
        if timeout(FLUSH, self.outbox.closed()).await.is_err() {
            // A scheduler that does not read any more cannot keep the client.
            self.outbox.abort();
        }
    }

    /// From now on nobody is told anything: whoever waits hears why, now and later.
    fn finish(&mut self) {
        let reason = || Unanswered::Disconnected("the runtime that drove it has ended".into());
        let why = self.state.over().unwrap_or_else(reason);
        if let Unanswered::Disconnected(reason) = &why {
            let reason = reason.clone();
            self.state.handle(Event::SchedulerLost { reason }, &mut self.out);
        }
        let commands = self.queue.finish(why);
        self.commands(commands);
        self.perform();
    }

    fn heard(&mut self, batch: Batch) {
        match batch {
            Ok(messages) => {
                for message in messages {
                    self.state.handle(Event::Said(message), &mut self.out);
                }
            }
            Err(reason) => self.state.handle(Event::SchedulerLost { reason }, &mut self.out),
        }
    }

    fn commands(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Register(holds, event) => {
                    self.track(holds);
                    self.state.handle(event, &mut self.out);
                }
                Command::Event(event) => {
                    match &event {
                        Event::Released(future) => drop(self.holds.remove(future.0)),
                        Event::Forgot(id) => drop(self.replies.remove(id)),
                        _ => {}
                    }
                    self.state.handle(event, &mut self.out);
                }
                Command::Ask(id, request, reply, holds) => {
                    self.track(holds);
                    self.replies.insert(id, reply);
                    self.state.handle(Event::Asked { id, request }, &mut self.out);
                }
                Command::Abandoned(closing) => {
                    self.closing = Some(closing);
                    self.state.handle(Event::Closed, &mut self.out);
                }
            }
        }
    }

    /// A hold that is already dropped is released by an event still to come.
    fn track(&mut self, holds: Vec<Weak<Hold>>) {
        for hold in holds {
            if let Some(id) = hold.upgrade().map(|live| live.id) {
                self.holds.insert(id.0, hold);
            }
        }
    }

    fn perform(&mut self) {
        let mut messages = Vec::new();
        let mut trouble = false;
        // As many are likely to follow: growing by and by would copy them again and again.
        let next = Vec::with_capacity(self.out.len().min(INSTRUCTIONS));
        for instruction in std::mem::replace(&mut self.out, next) {
            match instruction {
                Instruction::Send(message) => messages.push(message),
                Instruction::Finish { future, value } => {
                    self.settle(future, Outcome::Finished(value));
                }
                Instruction::Fail { future, error } => {
                    trouble = true;
                    self.settle(future, Outcome::Failed(error));
                }
                Instruction::Abandon { future, why } => {
                    trouble = true;
                    self.settle(future, Outcome::Cancelled(why));
                }
                Instruction::Reopen { future, lost } => {
                    trouble = true;
                    if let Some(hold) = self.holds.get(future.0).and_then(Weak::upgrade) {
                        hold.reopen(if lost { Status::Lost } else { Status::Pending });
                    }
                }
                Instruction::Event { topic, message } => self.topics.event(topic, message),
                Instruction::Said(record) => self.topics.said(&record),
                Instruction::Logged { worker, record } => topic::logged(&worker, &record),
                Instruction::Answer { id, answer } => self.reply(id, Ok(answer)),
                Instruction::Unanswered { id, why } => self.reply(id, Err(why)),
                Instruction::Program(news) => self.courier.hear(news, &self.queue),
            }
        }
        if trouble {
            self.trouble.notify_waiters();
        }
        // A dead link is heard of by the reader, and in the same words for everybody.
        let _ = self.outbox.send(messages);
    }

    fn settle(&self, future: FutureId, outcome: Outcome) {
        if let Some(hold) = self.holds.get(future.0).and_then(Weak::upgrade) {
            hold.settle(outcome);
        }
    }

    fn reply(&mut self, id: RequestId, answer: Result<Answer, Unanswered>) {
        if let Some(reply) = self.replies.remove(&id) {
            // The program may have stopped waiting.
            let _ = reply.send(answer);
        }
    }
}

/// The runtime may end before the connection does.
impl Drop for Driver {
    fn drop(&mut self) {
        self.finish();
        self.ended.send_replace(true);
    }
}

/// Receiving is not to be interrupted, so it has a task of its own.
async fn read(mut inbox: Inbox<SchedulerToClient>, sender: mpsc::Sender<Batch>) {
    loop {
        let batch = match inbox.receive().await {
            Ok(Some(messages)) => Ok(messages),
            Ok(None) => Err("the scheduler closed it".into()),
            Err(error) => Err(describe(&error).into()),
        };
        let last = batch.is_err();
        if sender.send(batch).await.is_err() || last {
            return;
        }
    }
}
