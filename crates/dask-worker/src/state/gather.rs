//! Which results to fetch next, and from which peer.
//!
//! Each peer has a line of the results it could be asked for, by priority; a result that several
//! peers hold stands in several lines until it is under way. One fetch at a time goes to a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dask_proto::graph::Priority;
use dask_proto::id::{TaskId, WorkerId};
use dask_proto::map::SmallSet;
use dask_proto::{Address, Moment};

use super::instruction::FlightId;

/// Bytes asked for in one fetch; a larger result goes alone (Dask's
/// `worker.transfer.message-bytes-limit`).
const FLIGHT_BYTES: u64 = 50_000_000;

/// Results asked for in one fetch.
const FLIGHT_TASKS: usize = 1 << 14;

/// Fetches at the same time (Dask's `worker.connections.outgoing`).
const FLIGHTS: usize = 50;

/// How long a peer may take to answer, whatever is asked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much longer, for each megabyte.
const PATIENCE_PER_MB: Duration = Duration::from_secs(1);

/// How long a busy peer is not asked again (as in Dask).
const REST: Duration = Duration::from_millis(150);

/// A result that is to be fetched.
type Place = (Priority, TaskId);

/// How urgent a peer is: the first in its line, then peers on this host, then by id, counted from
/// the worker's own so that workers which want the same results spread over their holders.
type Urgency = (Place, bool, u32, WorkerId);

/// The peers and what to ask them for.
#[derive(Debug)]
pub(super) struct Gather {
    own: WorkerId,
    address: Address,
    peers: BTreeMap<WorkerId, Peer>,
    /// The peers that have a line and no fetch under way, and do not rest.
    candidates: BTreeSet<Urgency>,
    /// The peers that were busy, and when they are asked again.
    resting: BTreeMap<WorkerId, Moment>,
    flights: BTreeMap<FlightId, Flight>,
    /// Bytes under way.
    flying: u64,
    next: FlightId,
}

#[derive(Debug)]
struct Peer {
    address: Address,
    is_remote: bool,
    line: BTreeSet<Place>,
    is_asked: bool,
    is_resting: bool,
}

/// A fetch under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) peer: WorkerId,
    pub(super) tasks: Vec<TaskId>,
    pub(super) bytes: u64,
    /// When the peer counts as gone. One that is stopped keeps its connection, and never answers.
    deadline: Moment,
}

/// What to fetch next.
#[derive(Debug)]
pub(super) struct Plan {
    peer: WorkerId,
    /// Most urgent first.
    pub(super) tasks: Vec<TaskId>,
    pub(super) bytes: u64,
}

impl Gather {
    pub(super) fn new(own: WorkerId, address: Address) -> Self {
        Self {
            own,
            address,
            peers: BTreeMap::new(),
            candidates: BTreeSet::new(),
            resting: BTreeMap::new(),
            flights: BTreeMap::new(),
            flying: 0,
            next: FlightId(0),
        }
    }

    /// A peer's address, which may be new.
    pub(super) fn define(&mut self, id: WorkerId, address: Address) {
        let is_remote =
            address.scheme() != self.address.scheme() || address.host() != self.address.host();
        if self.peers.contains_key(&id) {
            self.change(id, |peer| {
                peer.address = address;
                peer.is_remote = is_remote;
            });
            return;
        }
        let line = BTreeSet::new();
        let peer = Peer { address, is_remote, line, is_asked: false, is_resting: false };
        self.peers.insert(id, peer);
    }

    /// Whether a peer can be asked.
    pub(super) fn knows(&self, id: WorkerId) -> bool {
        id != self.own && self.peers.contains_key(&id)
    }

    pub(super) fn add(&mut self, place: Place, holders: &SmallSet<WorkerId>) {
        for holder in holders.iter() {
            self.change_line(holder, place, |line| line.insert(place));
        }
    }

    pub(super) fn remove(&mut self, place: Place, holders: &SmallSet<WorkerId>) {
        for holder in holders.iter() {
            self.change_line(holder, place, |line| line.remove(&place));
        }
    }

    /// The most urgent fetch that may start now, picked by the sizes of the results. It brings no
    /// more than there is room for, unless it is one result alone.
    pub(super) fn pick(&self, room: u64, size: impl Fn(TaskId) -> u64) -> Option<Plan> {
        if self.flights.len() >= FLIGHTS {
            return None;
        }
        let &(_, _, _, id) = self.candidates.first()?;
        let peer = self.peers.get(&id)?;
        let mut plan = Plan { peer: id, tasks: Vec::new(), bytes: 0 };
        for &(_, task) in peer.line.iter().take(FLIGHT_TASKS) {
            let bytes = plan.bytes.saturating_add(size(task));
            if bytes > FLIGHT_BYTES.min(room) && !plan.tasks.is_empty() {
                break;
            }
            plan.bytes = bytes;
            plan.tasks.push(task);
        }
        Some(plan)
    }

    /// Starts a fetch of results, which are to be taken out of their lines.
    pub(super) fn depart(&mut self, now: Moment, plan: &Plan) -> (FlightId, Address) {
        let flight = self.next;
        self.next.0 += 1;
        let peer = plan.peer;
        let megabytes = u32::try_from(plan.bytes / 1_000_000).unwrap_or(u32::MAX);
        let tasks = plan.tasks.clone();
        let deadline = now + PATIENCE + PATIENCE_PER_MB * megabytes;
        let bytes = plan.bytes;
        let departed = Flight { peer, tasks, bytes, deadline };
        self.flying = self.flying.saturating_add(bytes);
        self.flights.insert(flight, departed);
        self.change(peer, |peer| peer.is_asked = true);
        let address = self.peers.get(&peer).map(|peer| peer.address.clone());
        (flight, address.unwrap_or_else(|| self.address.clone()))
    }

    /// A fetch came to its end.
    pub(super) fn land(&mut self, flight: FlightId) -> Option<Flight> {
        let flight = self.flights.remove(&flight)?;
        self.flying = self.flying.saturating_sub(flight.bytes);
        self.change(flight.peer, |peer| peer.is_asked = false);
        Some(flight)
    }

    /// A peer is busy: it is not asked for a while.
    pub(super) fn rest(&mut self, peer: WorkerId, now: Moment) {
        self.change(peer, |peer| peer.is_resting = true);
        self.resting.insert(peer, now + REST);
    }

    /// Peers that were busy for long enough are asked again.
    pub(super) fn end_rests(&mut self, now: Moment) {
        let over = self.resting.iter().filter(|(_, until)| **until <= now);
        let over: Vec<WorkerId> = over.map(|(peer, _)| *peer).collect();
        for peer in over {
            self.resting.remove(&peer);
            self.change(peer, |peer| peer.is_resting = false);
        }
    }

    /// When the next peer counts as gone, or is asked again.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let patience = self.flights.values().map(|flight| flight.deadline);
        patience.chain(self.resting.values().copied()).min()
    }

    /// Whether it is known until when peers rest, for a check.
    pub(super) fn rests_end(&self) -> bool {
        self.peers.iter().all(|(id, peer)| peer.is_resting == self.resting.contains_key(id))
    }

    /// Fetches that took too long, and whom they asked.
    pub(super) fn overdue(&self, now: Moment) -> Vec<(FlightId, Address)> {
        let overdue = self.flights.iter().filter(|(_, flight)| flight.deadline <= now);
        let addressed = overdue.filter_map(|(id, flight)| {
            let peer = self.peers.get(&flight.peer)?;
            Some((*id, peer.address.clone()))
        });
        addressed.collect()
    }

    /// What a peer could be asked for.
    pub(super) fn line(&self, peer: WorkerId) -> Vec<TaskId> {
        let line = self.peers.get(&peer).map(|peer| &peer.line);
        line.into_iter().flatten().map(|(_, task)| *task).collect()
    }

    /// Results under way.
    pub(super) fn in_flight(&self) -> usize {
        self.flights.values().map(|flight| flight.tasks.len()).sum()
    }

    /// Bytes under way.
    pub(super) fn flying(&self) -> u64 {
        self.flying
    }

    pub(super) fn flights(&self) -> &BTreeMap<FlightId, Flight> {
        &self.flights
    }

    /// Every place in every line.
    pub(super) fn places(&self) -> impl Iterator<Item = (WorkerId, Place)> + '_ {
        let peers = self.peers.iter();
        peers.flat_map(|(id, peer)| peer.line.iter().map(|place| (*id, *place)))
    }

    /// Puts a place into the line of a peer, or takes it out. Its rank depends on the first alone.
    fn change_line(
        &mut self,
        id: WorkerId,
        place: Place,
        change: impl FnOnce(&mut BTreeSet<Place>) -> bool,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.line.first().is_some_and(|first| *first < place) {
            change(&mut peer.line);
        } else {
            self.change(id, |peer| {
                change(&mut peer.line);
            });
        }
    }

    /// Changes a peer and its rank among the candidates with it.
    fn change(&mut self, id: WorkerId, change: impl FnOnce(&mut Peer)) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let before = urgency(self.own, id, peer);
        change(peer);
        let after = urgency(self.own, id, peer);
        if before != after {
            before.map(|before| self.candidates.remove(&before));
            after.map(|after| self.candidates.insert(after));
        }
    }
}

fn urgency(own: WorkerId, id: WorkerId, peer: &Peer) -> Option<Urgency> {
    let first = peer.line.first().filter(|_| !peer.is_asked && !peer.is_resting)?;
    Some((*first, peer.is_remote, id.0.wrapping_sub(own.0), id))
}
