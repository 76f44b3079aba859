//! Locks, semaphores, events, queues, variables, datasets and metadata: one file each.
//!
//! Whoever waits, holds a lease, or was answered with values that it has not accepted stands in
//! `places` under its request. The request is forgotten, or its client is gone, and what it had
//! goes back: so nothing is lost with a client that vanishes, and nobody has to renew a lease.

mod check;
mod dataset;
mod event;
mod kept;
mod metadata;
mod multi_lock;
mod places;
mod queue;
mod semaphore;
mod share;
mod variable;

use std::collections::BTreeMap;

use dask_proto::Key;
use dask_proto::id::ClientId;
use dask_proto::limits::MAX_KEPT_NAMES;
use dask_proto::message::{
    Answer, Coordination, CoordinationAnswer, CoordinationRefusal, DatasetAction, EventAction,
    Kept, KeptValue, MetadataAction, Patience, QueueAction, Refusal, SemaphoreAction,
    VariableAction,
};

use crate::state::SchedulerState;
use crate::state::client::request::Asked;
use crate::state::instruction::Peer;
use event::EventEntry;
use kept::{KeptId, KeptTable};
pub(super) use kept::{OWN, alone};
use multi_lock::MultiLockTable;
use places::{Place, Places};
use queue::QueueEntry;
use semaphore::SemaphoreEntry;
use share::Shares;
use variable::VariableEntry;

/// The order of those who wait.
type Ticket = u64;

/// Requests that wait for the same thing, with what each needs or brings.
type Line<T = ()> = BTreeMap<Ticket, (Asked, T)>;

/// What comes of a request: an answer now, or later.
type Outcome = Result<Option<Answer>, CoordinationRefusal>;

/// All primitives.
#[derive(Debug, Default)]
pub(super) struct CoordinationTable {
    events: BTreeMap<Key, EventEntry>,
    semaphores: BTreeMap<Key, SemaphoreEntry>,
    multi_locks: MultiLockTable,
    queues: BTreeMap<Key, QueueEntry>,
    variables: BTreeMap<Key, VariableEntry>,
    datasets: BTreeMap<Key, Named>,
    /// Values by the names on the way to them.
    metadata: BTreeMap<Vec<Key>, Named>,
    /// The names of events, queues, variables, datasets and metadata, by who brought them. Others
    /// stand for requests, of which each client has a share.
    shares: Shares,
    places: Places,
    /// The values in queues and elsewhere, and those that were not accepted.
    pub(super) kept: KeptTable,
    next_ticket: Ticket,
    /// Answers to requests that waited.
    answers: Vec<(Asked, Answer)>,
}

/// A value that has a name, and who was the first to mention that.
#[derive(Debug, Clone, Copy)]
struct Named {
    value: KeptId,
    by: ClientId,
}

impl CoordinationTable {
    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Whether another name can be remembered.
    fn check_name(&self) -> Result<(), CoordinationRefusal> {
        self.check_names(1)
    }

    /// The same for a name that stays, which this client brings.
    fn check_name_of(&self, client: ClientId) -> Result<(), CoordinationRefusal> {
        self.check_name()?;
        self.shares.check(client)
    }

    /// Whether so many more names can be remembered.
    fn check_names(&self, more: usize) -> Result<(), CoordinationRefusal> {
        let names = self.events.len()
            + self.semaphores.len()
            + self.multi_locks.names()
            + self.queues.len()
            + self.variables.len()
            + self.datasets.len()
            + self.metadata.len();
        let are_few = names + more <= MAX_KEPT_NAMES;
        if are_few { Ok(()) } else { Err(CoordinationRefusal::Full(Kept::Names)) }
    }

    fn request(&mut self, asked: Asked, request: Coordination) -> Outcome {
        if self.places.get(&asked).is_some() {
            return Err(CoordinationRefusal::IdInUse);
        }
        // What others wait for is done however many they are.
        if may_be_kept(&request) {
            self.places.check_room(asked.0)?;
        }
        match request {
            Coordination::Event { name, action } => self.event(asked, name, &action),
            Coordination::Semaphore { name, max_leases, action } => {
                self.semaphore(asked, (name, max_leases), &action)
            }
            Coordination::MultiLock { names, count, patience } => {
                self.multi_lock(asked, (names, count), patience)
            }
            Coordination::Release { lease } => {
                self.forget((asked.0, lease));
                Ok(Some(Answer::Done))
            }
            Coordination::Queue { name, maxsize, action } => {
                self.queue(asked, (name, maxsize), action)
            }
            Coordination::Variable { name, action } => self.variable(asked, name, action),
            Coordination::Dataset(action) => self.dataset(asked, action),
            Coordination::Metadata { path, action } => self.metadata(asked, path, &action),
            // A client of a later version asks for more than this scheduler has.
            _ => Ok(Some(Answer::Refused(Refusal::TooLarge))),
        }
    }

    /// A request is over, or nobody waits for its answer any more: what it had goes back.
    fn forget(&mut self, asked: Asked) {
        match self.places.remove(&asked) {
            None => {}
            Some(Place::Event(name, ticket)) => self.leave_event(&name, ticket),
            Some(Place::SemaphoreLine(name, ticket)) => self.leave_semaphore(&name, ticket),
            Some(Place::Lease(name)) => self.release_lease(&name, asked),
            Some(Place::MultiLock) => self.release_locks(asked),
            Some(Place::Getters(name, ticket)) => self.leave_getters(&name, ticket),
            Some(Place::Putters(name, ticket)) => self.leave_putters(&name, ticket),
            Some(Place::Variable(name, ticket)) => self.leave_variable(&name, ticket),
            Some(Place::Answered { from, values }) => self.take_back(asked, from, values),
        }
    }

    /// The client has what it was answered with.
    fn accept(&mut self, asked: Asked) {
        if let Some(Place::Answered { .. }) = self.places.get(&asked)
            && let Some(Place::Answered { values, .. }) = self.places.remove(&asked)
        {
            values.into_iter().for_each(|value| self.kept.drop_one(value));
        }
    }

    /// Answers a request with values, which stay held for it until it accepts them.
    fn answer_values(&mut self, asked: Asked, from: Option<Key>, values: Vec<KeptId>) -> Answer {
        // The keys of their futures the client finds in them.
        let told = values
            .iter()
            .filter_map(|value| self.kept.get(*value))
            .map(|kept| KeptValue { payload: kept.payload.clone(), futures: Vec::new() });
        let answer = Answer::Coordination(CoordinationAnswer::Values(told.collect()));
        self.places.insert(asked, Place::Answered { from, values });
        answer
    }
}

/// Whether a request waits, or is answered with something that stays with it. A `Put` waits only
/// in a full queue, and looks for itself.
fn may_be_kept(request: &Coordination) -> bool {
    match request {
        Coordination::Event { action, .. } => matches!(action, EventAction::Wait),
        Coordination::Semaphore { action, .. } => matches!(action, SemaphoreAction::Acquire(_)),
        Coordination::MultiLock { .. } => true,
        Coordination::Queue { action, .. } => {
            matches!(action, QueueAction::Get { .. } | QueueAction::Drain)
        }
        Coordination::Variable { action, .. } => matches!(action, VariableAction::Get(_)),
        Coordination::Dataset(action) => matches!(action, DatasetAction::Get(_)),
        _ => false,
    }
}

/// The answer to a request that would have to wait, and does not want to.
fn not_now(patience: Patience) -> Option<Answer> {
    let answer = Answer::Coordination(CoordinationAnswer::NotNow);
    (patience == Patience::Now).then_some(answer)
}

fn count(n: usize) -> Answer {
    Answer::Coordination(CoordinationAnswer::Count(n as u64))
}

impl SchedulerState {
    /// Answers a request about a primitive, or notes that it is to be answered later.
    pub(super) fn coordinate(&mut self, asked: Asked, mut request: Coordination) {
        if let Coordination::Topic { name, action } = request {
            let answer = self.topic(asked.0, name, action);
            return self.answer(asked, answer);
        }
        let value = match &mut request {
            Coordination::Queue { action: QueueAction::Put { value, .. }, .. }
            | Coordination::Variable { action: VariableAction::Set(value), .. }
            | Coordination::Dataset(DatasetAction::Publish { value, .. })
            | Coordination::Metadata { action: MetadataAction::Set(value), .. } => Some(value),
            _ => None,
        };
        let outcome = match value.map(|value| self.keep(asked.0, std::mem::take(value))).transpose()
        {
            Err(refusal) => Err(refusal),
            Ok(kept) => {
                self.coordination.kept.brought = kept;
                let outcome = self.coordination.request(asked, request);
                // What found no place is not kept.
                if let Some(kept) = self.coordination.kept.brought.take() {
                    self.coordination.kept.drop_one(kept);
                }
                outcome
            }
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(answer)) => self.answer(asked, answer),
            Err(refusal) => self.answer(asked, Answer::Refused(Refusal::Coordination(refusal))),
        }
        self.carry_out_coordination();
    }

    /// A client no longer waits for an answer, gives up what it got, or did not get it in time.
    pub(super) fn forget_coordination(&mut self, asked: Asked) {
        if !self.coordination.places.is_empty() {
            self.coordination.forget(asked);
            self.carry_out_coordination();
        }
    }

    /// A client is gone.
    pub(super) fn lose_coordinating_client(&mut self, client: ClientId) {
        for asked in self.coordination.places.of(client) {
            self.coordination.forget(asked);
        }
        self.coordination.kept.forget_client(client);
        self.coordination.shares.forget_client(client);
        self.carry_out_coordination();
    }

    /// A client has what an answer brought, and holds the futures in it.
    pub(super) fn accept(&mut self, asked: Asked) {
        self.coordination.accept(asked);
        self.carry_out_coordination();
    }

    /// Gives the answers that have become due, and lets go of keys.
    fn carry_out_coordination(&mut self) {
        for (asked, answer) in std::mem::take(&mut self.coordination.answers) {
            // What a client that is gone had may have gone to another request of its own.
            if self.clients.contains_key(&asked.0) {
                self.answer(asked, answer);
            }
        }
        self.let_go_of_kept();
    }

    /// Nobody listens to what the scheduler tells itself about the keys that it holds.
    pub(super) fn discard_own_messages(&mut self) {
        if self.coordination.kept.has_held() {
            self.out.discard(Peer::Client(OWN));
        }
    }
}
