#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The client as a pure state: which futures it holds, which questions are open, whether the
//! scheduler is there. Events in, instructions out; no sockets, clocks or values in here.

mod event;
mod instruction;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dask_proto::TaskError;
use dask_proto::graph::TaskSpec;
use dask_proto::id::{FutureId, RequestId};
use dask_proto::limits::{BATCH_BYTES, SUBMIT_TASKS};
use dask_proto::map::{Set, Table};
use dask_proto::message::{ClientToScheduler, Request, SchedulerToClient, Submit};

pub use event::Event;
pub use instruction::{Instruction, Instructions, Unanswered};

/// What a client knows of its futures and questions.
#[derive(Debug, Default)]
pub struct ClientState {
    link: Link,
    futures: Table<Hold>,
    open: Set<RequestId>,
}

/// The connection to the scheduler, as far as the client can know.
#[derive(Debug, Default, Clone)]
enum Link {
    /// Messages arrive.
    #[default]
    Up,
    /// This client ended it.
    Closed,
    /// The scheduler is gone, for this reason.
    Down(Arc<str>),
}

/// What the scheduler last said of a future. `Pending` after `Settled` is a lost result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Pending,
    Settled,
    /// It is over, and kept until the program lets go of it: what is submitted on it until then is
    /// cancelled too, so the scheduler keeps it in mind as long.
    Cancelled,
}

impl ClientState {
    /// Takes one event and appends everything that follows from it. Any event is legal at any
    /// time; what the scheduler says of futures and questions that are over is ignored, since such
    /// messages cross on the way.
    pub fn handle(&mut self, event: Event, out: &mut Instructions) {
        match event {
            Event::Defined { id, function } => {
                self.send(ClientToScheduler::Define { id, function }, out);
            }
            Event::Submitted(submit) => self.submitted(submit, out),
            Event::Subscribed { future, key } => {
                if self.hold(future, out) {
                    out.push(Instruction::Send(ClientToScheduler::Subscribe { future, key }));
                }
            }
            Event::Released(future) => self.released(future, out),
            Event::Told(message) => self.send(message, out),
            Event::Asked { id, request } => match self.over() {
                Some(why) => out.push(Instruction::Unanswered { id, why }),
                None => {
                    if let Request::Scatter { items, .. } = &request {
                        for item in items {
                            self.futures.insert(item.future.0, Hold::Pending);
                        }
                    }
                    self.open.insert(id);
                    out.push(Instruction::Send(ClientToScheduler::Request { id, request }));
                }
            },
            Event::Forgot(id) => {
                // Also when it was answered: the program did not look, and what it was granted by
                // the answer goes back.
                self.open.remove(&id);
                self.send(ClientToScheduler::Forget { id }, out);
            }
            Event::Said(message) => self.said(message, out),
            Event::SchedulerLost { reason } => self.ended(Link::Down(reason), out),
            Event::Closed => {
                self.send(ClientToScheduler::Close, out);
                self.ended(Link::Closed, out);
            }
        }
    }

    fn submitted(&mut self, mut submit: Submit, out: &mut Instructions) {
        submit.tasks.retain(|task| self.hold(task.future, out));
        if submit.tasks.is_empty() {
            return;
        }
        let bytes: usize = submit.tasks.iter().map(header_bytes).sum();
        if submit.tasks.len() <= SUBMIT_TASKS && bytes <= BATCH_BYTES {
            return out.push(Instruction::Send(ClientToScheduler::Submit(submit)));
        }
        let mut part = Vec::new();
        let mut bytes = 0;
        for task in submit.tasks {
            if part.len() == SUBMIT_TASKS || bytes > BATCH_BYTES {
                bytes = 0;
                let (options, tasks) = (submit.options.clone(), std::mem::take(&mut part));
                let part = Submit { options, tasks };
                out.push(Instruction::Send(ClientToScheduler::Submit(part)));
            }
            bytes += header_bytes(&task);
            part.push(task);
        }
        let part = Submit { tasks: part, ..submit };
        out.push(Instruction::Send(ClientToScheduler::Submit(part)));
    }

    /// Starts a hold; without a scheduler it ends at once.
    fn hold(&mut self, future: FutureId, out: &mut Instructions) -> bool {
        let why = self.over();
        match why {
            None => drop(self.futures.insert(future.0, Hold::Pending)),
            Some(ref why) => out.push(Instruction::Abandon { future, why: why.clone() }),
        }
        why.is_none()
    }

    fn released(&mut self, future: FutureId, out: &mut Instructions) {
        if self.futures.remove(future.0).is_none() {
            return;
        }
        // Futures are dropped one by one and mostly many at a time: one message for a run of them.
        if let Some(Instruction::Send(ClientToScheduler::Release { futures })) = out.last_mut()
            && futures.len() < NAMED_AT_ONCE
        {
            return futures.push(future);
        }
        self.send(ClientToScheduler::Release { futures: vec![future] }, out);
    }

    fn said(&mut self, message: SchedulerToClient, out: &mut Instructions) {
        match message {
            SchedulerToClient::InMemory { future, value, .. } => {
                let known = self.change(future, Hold::Settled);
                out.extend(known.then_some(Instruction::Finish { future, value }));
            }
            SchedulerToClient::Erred { futures, error } => {
                let error: Arc<TaskError> = Arc::from(error);
                for future in futures {
                    if self.change(future, Hold::Settled) {
                        out.push(Instruction::Fail { future, error: error.clone() });
                    }
                }
            }
            SchedulerToClient::Pending { futures, lost } => {
                for future in futures {
                    if self.change(future, Hold::Pending) {
                        out.push(Instruction::Reopen { future, lost });
                    }
                }
            }
            SchedulerToClient::Cancelled { futures, reason } => {
                let why = Unanswered::Cancelled(reason.into());
                for future in futures {
                    if self.change(future, Hold::Cancelled) {
                        out.push(Instruction::Abandon { future, why: why.clone() });
                    }
                }
            }
            SchedulerToClient::Answer { id, answer } => {
                let open = self.open.remove(&id);
                out.extend(open.then_some(Instruction::Answer { id, answer }));
            }
            SchedulerToClient::Event { topic, message } => {
                out.push(Instruction::Event { topic, message });
            }
            SchedulerToClient::Said(record) => out.push(Instruction::Said(record)),
            SchedulerToClient::Logged { worker, record } => {
                out.push(Instruction::Logged { worker, record });
            }
            SchedulerToClient::Close { reason } => {
                self.ended(Link::Down(reason.into()), out);
            }
            SchedulerToClient::Program(news) => out.push(Instruction::Program(news)),
            // Messages of a later version that this one can do without.
            _ => {}
        }
    }

    /// Notes what the scheduler said of a future; false if it is over.
    fn change(&mut self, future: FutureId, to: Hold) -> bool {
        let hold = self.futures.get_mut(future.0).filter(|hold| **hold != Hold::Cancelled);
        hold.map(|hold| *hold = to).is_some()
    }

    /// The link is gone: nothing that waits for the scheduler waits on. The first end counts.
    fn ended(&mut self, link: Link, out: &mut Instructions) {
        if !matches!(self.link, Link::Up) {
            return;
        }
        self.link = link;
        let Some(why) = self.over() else { return };
        for (future, hold) in self.futures.drain() {
            if hold != Hold::Cancelled {
                out.push(Instruction::Abandon { future: FutureId(future), why: why.clone() });
            }
        }
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_unstable();
        for id in open {
            out.push(Instruction::Unanswered { id, why: why.clone() });
        }
    }

    /// Why nothing goes to the scheduler any more, once that is so; then it stays so.
    #[must_use]
    pub fn over(&self) -> Option<Unanswered> {
        match &self.link {
            Link::Up => None,
            Link::Closed => Some(Unanswered::Closed),
            Link::Down(reason) => Some(Unanswered::Disconnected(reason.clone())),
        }
    }

    fn send(&self, message: ClientToScheduler, out: &mut Instructions) {
        if matches!(self.link, Link::Up) {
            out.push(Instruction::Send(message));
        }
    }
}

/// How many futures one message names: far from the limit for the bytes of a message.
pub(crate) const NAMED_AT_ONCE: usize = 1 << 16;

/// About how many bytes a task takes in a message, its body left out.
fn header_bytes(task: &TaskSpec) -> usize {
    48 + task.key.as_str().len() + 9 * task.dependencies.len()
}
