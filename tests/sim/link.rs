//! Links: what is said arrives in order, later, or not at all.

use std::collections::VecDeque;

use dask_proto::Moment;
use dask_proto::message::{
    ClientToScheduler, SchedulerToClient, SchedulerToWorker, Welcome, WorkerJoin, WorkerToScheduler,
};

use crate::dice::Dice;

/// From the scheduler to a peer.
#[derive(Debug)]
pub(crate) enum Down {
    Welcome(Welcome),
    Client(Vec<SchedulerToClient>),
    Worker(Vec<SchedulerToWorker>),
    End,
}

/// From a peer to the scheduler.
#[derive(Debug)]
pub(crate) enum Up {
    HelloClient(String),
    HelloWorker(Box<WorkerJoin>),
    Client(Vec<ClientToScheduler>),
    Worker(Vec<WorkerToScheduler>),
    End,
}

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    under_way: VecDeque<(Moment, T)>,
    last: Moment,
    slowest_us: u64,
    is_closed: bool,
    /// Whether the receiver hears of the end, or has heard.
    has_end: bool,
}

/// A connection between the scheduler and a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) down: Lane<Down>,
    pub(crate) up: Lane<Up>,
}

impl Link {
    pub(crate) fn new(slowest_us: u64) -> Self {
        Self { down: Lane::new(slowest_us), up: Lane::new(slowest_us) }
    }
}

impl<T> Lane<T> {
    fn new(slowest_us: u64) -> Self {
        Self {
            under_way: VecDeque::new(),
            last: Moment::default(),
            slowest_us,
            is_closed: false,
            has_end: false,
        }
    }

    /// Sends; when it arrives, unless the lane is closed.
    pub(crate) fn send(&mut self, now: Moment, item: T, dice: &mut Dice) -> Option<Moment> {
        let latency = dice.micros(20, self.slowest_us);
        (!self.is_closed).then(|| self.push(now + latency, item))
    }

    /// Sends a last item, after which nothing is sent.
    pub(crate) fn finish(&mut self, now: Moment, end: T, dice: &mut Dice) -> Option<Moment> {
        let arrival = self.send(now, end, dice);
        self.is_closed = true;
        self.has_end |= arrival.is_some();
        arrival
    }

    /// Loses what would arrive after `at`, and all that is sent from now on.
    pub(crate) fn cut(&mut self, at: Moment) {
        if !self.has_end {
            self.under_way.retain(|(arrival, _)| *arrival <= at);
            self.is_closed = true;
        }
    }

    /// What the receiver hears last of a lane that was cut; when, unless it heard before.
    pub(crate) fn hear_end(&mut self, at: Moment, end: T) -> Option<Moment> {
        let is_news = !self.has_end;
        self.has_end = true;
        is_news.then(|| self.push(at, end))
    }

    /// What arrives now.
    pub(crate) fn receive(&mut self, now: Moment) -> Option<T> {
        let (arrival, _) = self.under_way.front()?;
        if *arrival > now {
            return None;
        }
        self.under_way.pop_front().map(|(_, item)| item)
    }

    /// What has been sent and has not arrived.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &T> {
        self.under_way.iter().map(|(_, item)| item)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn push(&mut self, arrival: Moment, item: T) -> Moment {
        self.last = self.last.max(arrival);
        self.under_way.push_back((self.last, item));
        self.last
    }
}
