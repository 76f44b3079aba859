//! Locks: nobody holds one that another holds, and whoever waits gets it in the end, whatever
//! happens to those before.

use dask_client::state::Event;
use dask_proto::Key;
use dask_proto::id::{ClientId, RequestId};
use dask_proto::message::{
    Answer, ClientToScheduler, Coordination, Patience, Request, SemaphoreAction,
};

use crate::sim::{Happening, PeerId, Sim};

/// How many locks there are: few, so that clients meet at them.
const LOCKS: usize = 2;

impl Sim {
    /// A program wants a lock, and sometimes thinks better of it.
    pub(crate) fn want_lock(&mut self, peer: PeerId) {
        let name = Key::new(format!("lock-{}", self.dice.below(LOCKS))).expect("a short key");
        let action = SemaphoreAction::Acquire(Patience::Forever);
        let request = Coordination::Semaphore { name, max_leases: 1, action };
        let id = self.ask_scheduler(peer, Request::Coordinate(request));
        if let Some(id) = id.filter(|_| self.dice.chance(20)) {
            let at = self.now + self.dice.micros(10, 5_000);
            self.schedule(at, Happening::Unlock(peer, id));
        }
    }

    /// A program has a lock, for some time.
    pub(crate) fn locked(&mut self, peer: PeerId, id: RequestId, (name, answer): (Key, Answer)) {
        if answer != Answer::Done {
            return;
        }
        let others = self.programs.iter().filter(|(other, _)| **other != peer);
        let mut holders = others.filter(|(_, p)| p.locks.values().any(|held| *held == name));
        // Of one that the scheduler has given up what it held is free.
        let holder = holders.find(|(other, _)| self.desk.state.knows(ClientId(**other)));
        assert!(holder.is_none(), "{name} has two holders: {peer} and {:?}", holder.map(|h| h.0));
        if let Some(program) = self.programs.get_mut(&peer) {
            program.locks.insert(id, name);
        }
        let at = self.now + self.dice.micros(10, 100_000);
        self.schedule(at, Happening::Unlock(peer, id));
    }

    /// A program gives a lock up, or waits for it no longer.
    pub(crate) fn unlock(&mut self, peer: PeerId, id: RequestId) {
        let Some(program) = self.programs.get_mut(&peer) else {
            return;
        };
        let event = if program.locks.remove(&id).is_some() {
            Event::Told(ClientToScheduler::Forget { id })
        } else if program.stop_asking(id) {
            Event::Forgot(id)
        } else {
            return;
        };
        self.tell_client(peer, event);
        self.perform(peer);
    }
}
