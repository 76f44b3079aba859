//! Questions to workers by their peers and by clients, on connections of their own.

use dask_proto::Address;
use dask_proto::id::{FutureId, TaskId};
use dask_proto::message::ValueAt;
use dask_worker::state::FlightId;

use crate::process::{News, payload};
use crate::sim::{Happening, PeerId, Sim};

/// A question, by number.
pub(crate) type CallId = u64;

/// Who asks, and what for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    Worker(PeerId, FlightId),
    /// A client that wants the value of a future.
    Getter(PeerId, FutureId),
    /// A client that puts values for a future.
    Putter(PeerId, FutureId),
}

#[derive(Debug, Clone)]
pub(crate) enum Question {
    Get(Vec<TaskId>),
    /// A value and its size.
    Put(TaskId, u64, u64),
}

#[derive(Debug)]
pub(crate) enum Reply {
    Values(Vec<(TaskId, ValueAt)>),
    Stored,
    Busy,
    /// No connection, or it broke.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) slot: usize,
    question: Question,
    slowest_us: u64,
}

impl Sim {
    /// Asks the worker at an address.
    pub(crate) fn call(&mut self, caller: Caller, address: &Address, question: Question) {
        let slot = self.slots.iter().position(|s| s.join.address == *address);
        let slot = slot.expect("only slots have addresses");
        let id = self.next_call;
        self.next_call += 1;
        let slowest_us = self.slots[slot].slowest_us;
        let call = Call { caller, slot, question, slowest_us };
        self.calls.insert(id, call);
        let at = self.now + self.dice.micros(20, slowest_us);
        let is_broken = self.is_wild && self.dice.chance(self.weather.broken_calls);
        match (is_broken, caller, self.dice.chance(30)) {
            // Half open: a worker's patience ends at some time, a client's connection does.
            (true, Caller::Worker(..), true) => {}
            (true, _, true) => {
                let at = self.now + self.dice.micros(1_000_000, 60_000_000);
                self.schedule(at, Happening::Reply(id, Reply::Failed));
            }
            (true, _, false) => self.schedule(at, Happening::Reply(id, Reply::Failed)),
            (false, ..) => self.schedule(at, Happening::Ask(id)),
        }
    }

    /// A question arrives.
    pub(crate) fn ask(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        let peer = self.slots[call.slot].process;
        let process = peer.and_then(|peer| Some((peer, self.processes.get_mut(&peer)?)));
        let Some((peer, process)) = process else {
            return self.fail_call(id);
        };
        if !process.answers() {
            process.unanswered.push(id);
            return;
        }
        let is_asked_by_worker = matches!(call.caller, Caller::Worker(..));
        match call.question.clone() {
            // A client's shell asks again by itself.
            Question::Get(_)
                if is_asked_by_worker && self.is_wild && self.dice.chance(self.weather.busy) =>
            {
                self.reply(id, Reply::Busy);
            }
            Question::Get(tasks) => {
                let mut values = Vec::new();
                for task in tasks {
                    let process = self.processes.get(&peer);
                    let found = process.and_then(|process| {
                        let value = process.store.get(&task)?;
                        Some((*value, process.disk.holds.contains(&task)))
                    });
                    let value = match found {
                        Some((_, true)) if !self.read_from_disk(peer, task) => ValueAt::Missing,
                        Some((value, _)) => ValueAt::Found(payload(value)),
                        None => ValueAt::Missing,
                    };
                    values.push((task, value));
                }
                let reply = Reply::Values(values);
                self.reply(id, reply);
            }
            Question::Put(task, value, nbytes) => {
                let values = vec![(task, nbytes, payload(value))];
                self.tell_process(peer, News::Put(id, values));
            }
        }
    }

    /// A process can answer again.
    pub(crate) fn answer_late(&mut self, peer: PeerId) {
        let process = self.processes.get_mut(&peer);
        let calls = process.map(|p| std::mem::take(&mut p.unanswered));
        for call in calls.into_iter().flatten() {
            self.ask(call);
        }
    }

    pub(crate) fn reply_stored(&mut self, id: CallId) {
        self.reply(id, Reply::Stored);
    }

    pub(crate) fn fail_call(&mut self, id: CallId) {
        self.reply(id, Reply::Failed);
    }

    fn reply(&mut self, id: CallId, reply: Reply) {
        if let Some(call) = self.calls.get(&id) {
            let at = self.now + self.dice.micros(20, call.slowest_us);
            self.schedule(at, Happening::Reply(id, reply));
        }
    }

    /// An answer arrives, or the news that there will be none.
    pub(crate) fn hear_reply(&mut self, id: CallId, reply: Reply) {
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        match (call.caller, reply) {
            (Caller::Worker(peer, flight), Reply::Values(values)) => {
                self.tell_process(peer, News::Fetched(flight, Some(values)));
            }
            (Caller::Worker(peer, flight), Reply::Busy) => {
                self.tell_process(peer, News::Busy(flight));
            }
            (Caller::Worker(peer, flight), _) => {
                self.tell_process(peer, News::Fetched(flight, None));
            }
            (Caller::Getter(peer, future), reply) => {
                let value = match reply {
                    Reply::Values(values) => values.into_iter().next().map(|(_, value)| value),
                    _ => None,
                };
                let address = self.slots[call.slot].join.address.clone();
                self.client_got(peer, future, value, address);
            }
            (Caller::Putter(..), Reply::Stored) => {}
            (Caller::Putter(peer, future), _) => self.put_failed(peer, future),
        }
    }

    /// A worker closes its connection to a peer: what it asked there is not answered any more.
    pub(crate) fn hang_up(&mut self, peer: PeerId, address: &Address) {
        let is_there = |slot: usize| self.slots[slot].join.address == *address;
        let given_up = self.calls.iter().filter(|(_, call)| {
            matches!(call.caller, Caller::Worker(by, _) if by == peer) && is_there(call.slot)
        });
        let given_up: Vec<CallId> = given_up.map(|(id, _)| *id).collect();
        for id in given_up {
            self.schedule(self.now, Happening::Reply(id, Reply::Failed));
        }
    }
}
