//! The pure part of the scheduler: events in, instructions out.
//!
//! [`SchedulerState::handle`] is the only door. Reading order: `event` and `instruction` (what
//! goes in and out), `table` (what is known: at first `table::task`, the states of a task),
//! `transition` (all edges between them), `schedule` (the policies: `placement`, `queueing`,
//! `stealing`). Then what clients say (`client`) and workers (`workers`), what has results copied
//! (`copying`), and what people look at (`insight`).
//!
//! **Invariants.** Nothing here reads a clock, a socket, the environment or anything random; every
//! event is legal at any time; nothing recurses over the graph; and what is chosen is chosen by
//! integers, ties by id. `insight::invariants` lists what holds between two events.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod batches;
mod client;
mod coordination;
mod copying;
mod event;
mod insight;
mod instruction;
mod program;
mod schedule;
mod table;
mod transition;
mod workers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dask_proto::graph::Priority;
use dask_proto::id::{ClientId, FutureId, RunId, StimulusId, TaskId, WorkerId};
use dask_proto::message::{Code, LogLevel, Rejection, Welcome};
use dask_proto::{Address, Key, Moment};

use super::Config;
use client::ask::AskTable;
use client::carry::CarryTable;
use client::entry::ClientEntry;
use client::equipment::EquipmentTable;
use client::request::Waits;
use client::topic::TopicTable;
use coordination::{CoordinationTable, OWN};
use copying::errand::ErrandTable;
use copying::retirement::RetirementTable;
use copying::transfer::TransferTable;
use copying::unfetched::UnfetchedTable;
pub use event::Event;
pub use insight::invariants::Violation;
pub use insight::observe::{Observation, Observe};
use insight::story::{Cause, StoryLog};
use insight::stream::Stream;
use insight::watchdog::Watchdog;
pub use instruction::{Instruction, Instructions, Peer};
use program::ProgramTable;
use schedule::stealing::Stealing;
use table::function::FunctionTable;
use table::replica::ReplicaTable;
use table::task::{Row, Since, StateName, TaskState};
use table::task_table::TaskTable;
use table::worker::{WorkerEntry, WorkerTable};
use transition::Goal;
use workers::departure::Departure;
use workers::timeout::{Asked, Patience};

/// Everything that a scheduler knows.
#[derive(Debug)]
pub struct SchedulerState {
    config: Config,
    /// Where it listens, for those who ask.
    address: Address,
    now: Moment,
    /// The same as tasks note it.
    since: Since,
    stimulus: StimulusId,
    cause: Cause,
    tasks: TaskTable,
    functions: FunctionTable,
    workers: WorkerTable,
    stealing: Stealing,
    programs: ProgramTable,
    clients: BTreeMap<ClientId, ClientEntry>,
    /// The tasks in state no-worker, the first to run first.
    no_worker: BTreeSet<(Priority, Row)>,
    /// How many tasks are in each state, in the order of [`StateName::ALL`].
    counts: [u64; StateName::ALL.len()],
    /// Transitions that are recommended and not yet made; empty between two events.
    agenda: VecDeque<(Row, Goal)>,
    /// How many tasks have been submitted.
    submitted: u64,
    /// When to look whether a worker has been silent for too long: one entry each.
    deadlines: BTreeSet<(Moment, WorkerId)>,
    /// Clients that wait for workers.
    waits: Waits,
    asks: AskTable,
    equipment: EquipmentTable,
    stream: Stream,
    /// What happened, while somebody wants to know.
    observed: Option<Vec<Observation>>,
    replicas: ReplicaTable,
    transfers: TransferTable,
    errands: ErrandTable,
    retirements: RetirementTable,
    unfetched: UnfetchedTable,
    carried: CarryTable,
    coordination: CoordinationTable,
    topics: TopicTable,
    /// The clients that want to hear what workers log, and down to which level.
    log_listeners: BTreeMap<ClientId, LogLevel>,
    /// Whether an actor was ever submitted.
    has_actors: bool,
    /// The worker that was scattered to last.
    scattered_to: WorkerId,
    patience: Patience,
    watchdog: Watchdog,
    /// How much data clients are to put on workers and have not.
    announced: u64,
    story: StoryLog,
    is_closing: bool,
    /// The caller's buffer, for the duration of an event.
    out: Instructions,
}

impl SchedulerState {
    /// A scheduler that listens at `address` and knows nobody.
    #[must_use]
    pub fn new(config: Config, address: Address) -> Self {
        Self {
            story: StoryLog::new(config.story_len),
            address,
            now: Moment::default(),
            since: Since::default(),
            stimulus: StimulusId::default(),
            cause: Cause::default(),
            tasks: TaskTable::default(),
            functions: FunctionTable::default(),
            workers: WorkerTable::default(),
            stealing: Stealing::default(),
            programs: ProgramTable::default(),
            clients: BTreeMap::new(),
            no_worker: BTreeSet::new(),
            counts: Default::default(),
            agenda: VecDeque::new(),
            submitted: 0,
            deadlines: BTreeSet::new(),
            waits: Waits::new(),
            asks: AskTable::default(),
            equipment: EquipmentTable::default(),
            stream: Stream::default(),
            observed: None,
            replicas: ReplicaTable::new(&config),
            transfers: TransferTable::default(),
            errands: ErrandTable::default(),
            retirements: RetirementTable::default(),
            unfetched: UnfetchedTable::default(),
            carried: CarryTable::default(),
            coordination: CoordinationTable::default(),
            topics: TopicTable::default(),
            log_listeners: BTreeMap::new(),
            has_actors: false,
            scattered_to: WorkerId::default(),
            patience: Patience::default(),
            watchdog: Watchdog::default(),
            announced: 0,
            is_closing: false,
            config,
            out: Instructions::default(),
        }
    }

    /// Takes in an event and appends everything that follows from it.
    pub fn handle(&mut self, now: Moment, event: Event, out: &mut Instructions) {
        std::mem::swap(&mut self.out, out);
        self.now = self.now.max(now);
        self.since = self.now.into();
        self.stimulus.0 += 1;
        self.out.begin(self.stimulus);
        let asked = match &event {
            Event::ClientJoined { .. } | Event::ClientSaid { .. } => Asked::Something,
            _ => Asked::Nothing,
        };
        self.apply(event);
        self.settle();
        self.note_idleness(asked);
        self.mind_watchdog();
        self.discard_own_messages();
        if self.config.validate {
            self.assert_invariants();
        }
        std::mem::swap(&mut self.out, out);
    }

    /// When to call [`handle`](Self::handle) with [`Event::Timeout`], if nothing else happens.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        self.next_deadline()
    }

    /// What happened to a key: one line per transition, oldest first, as far as it is remembered.
    #[must_use]
    pub fn story(&self, key: &str) -> Vec<String> {
        let current = self.tasks.find(key).map(|row| self.tasks.id(row));
        self.story.story(key, current)
    }

    /// The key that a client's future holds, and the name of its state, such as `processing`;
    /// `None` if it holds none. For tests and simulations.
    #[must_use]
    pub fn held(&self, client: ClientId, future: FutureId) -> Option<(&Key, &'static str)> {
        let task = self.tasks.get(self.task_of(client, future)?)?;
        Some((&task.key, task.state.name().as_str()))
    }

    /// The key of a task, and the name of its state. For tests and simulations.
    #[must_use]
    pub fn known(&self, task: TaskId) -> Option<(&Key, &'static str)> {
        let task = &self.tasks[self.tasks.row(task)?];
        Some((&task.key, task.state.name().as_str()))
    }

    /// The keys that wait for a worker that may compute them, and since when, to a tenth of a
    /// second. For tests and simulations.
    pub fn without_worker(&self) -> impl Iterator<Item = (&Key, Moment)> {
        let tasks = self.no_worker.iter().map(|(_, row)| &self.tasks[*row]);
        tasks.map(|task| (&task.key, task.since.moment()))
    }

    /// Whether a client is connected. For tests and simulations.
    #[must_use]
    pub fn knows(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    /// Whether a worker is to leave. For tests and simulations.
    #[must_use]
    pub fn is_retiring(&self, worker: WorkerId) -> bool {
        self.retirements.workers.contains_key(&worker)
    }

    /// Every copy of a result that it counts on, by task, with the worker that has it. For tests
    /// and simulations.
    pub fn replicas(&self) -> impl Iterator<Item = (TaskId, WorkerId)> + '_ {
        self.tasks.iter().flat_map(move |(row, task)| {
            let holders = task.holders().into_iter().flat_map(|holders| holders.iter());
            holders.map(move |worker| (self.tasks.id(row), worker))
        })
    }

    /// How many tasks it knows. For tests and simulations.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks.iter().count()
    }

    /// How many tasks clients have submitted so far.
    #[must_use]
    pub fn submitted(&self) -> u64 {
        self.submitted
    }

    /// Whether it counts on a worker's copy of a result. For tests and simulations.
    #[must_use]
    pub fn has_copy(&self, task: TaskId, worker: WorkerId) -> bool {
        let holders = self.tasks.row(task).and_then(|row| self.tasks[row].holders());
        holders.is_some_and(|holders| holders.contains(worker))
    }

    /// Every task that a worker is to compute, with the attempt that counts. For tests and
    /// simulations.
    pub fn assignments(&self) -> impl Iterator<Item = (TaskId, RunId, WorkerId)> + '_ {
        self.tasks.iter().filter_map(|(row, task)| match task.state {
            TaskState::Processing { worker, .. } => Some((self.tasks.id(row), task.run, worker)),
            _ => None,
        })
    }

    /// Whether a worker is given tasks. For tests and simulations.
    #[must_use]
    pub fn takes_tasks(&self, worker: WorkerId) -> bool {
        self.workers.get(worker).is_some_and(WorkerEntry::takes_tasks)
    }

    /// How many futures of clients have a meaning, those that stand for nothing included. For
    /// tests and simulations.
    #[must_use]
    pub fn futures(&self) -> usize {
        self.clients.values().map(|client| client.futures.len()).sum()
    }

    /// One line for every task, in the order of their keys: its key, its state and where it is.
    /// For tests and for people.
    #[must_use]
    pub fn summary(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .tasks
            .iter()
            .map(|(_, task)| {
                let detail = match &task.state {
                    TaskState::Waiting { missing } => format!(" for {missing}"),
                    TaskState::Processing { worker, .. } => format!(" on {worker}"),
                    TaskState::Memory(holders) => {
                        let holders: Vec<_> = holders.iter().map(|w| w.to_string()).collect();
                        format!(" on {}", holders.join(" "))
                    }
                    TaskState::Erred { error } => format!(" {:?}", error.kind),
                    _ => String::new(),
                };
                format!("{} {}{detail}", task.key, task.state.name().as_str())
            })
            .collect();
        lines.sort();
        lines
    }

    fn apply(&mut self, event: Event) {
        match event {
            _ if self.is_closing && !event.is_hello() => {}
            Event::ClientJoined { client, name, code } => self.client_joined(client, name, code),
            Event::ClientSaid { client, messages } => {
                self.cause = Cause::ClientSaid(client);
                for message in messages {
                    self.client_said(client, message);
                    self.settle_agenda();
                }
            }
            Event::ClientLost { client } => {
                self.cause = Cause::ClientLost(client);
                self.remove_client(client);
            }
            Event::WorkerJoined { worker, join } => {
                self.cause = Cause::WorkerJoined(worker);
                self.worker_joined(worker, join);
            }
            Event::WorkerSaid { worker, messages } => {
                self.cause = Cause::WorkerSaid(worker);
                self.worker_said(worker, messages);
            }
            Event::WorkerLost { worker, reason } => {
                self.cause = Cause::WorkerLost(worker);
                self.remove_worker(worker, Departure::Lost(&reason));
            }
            Event::Timeout => {
                self.cause = Cause::Timeout;
                self.timed_out();
            }
            Event::AgentJoined { agent, join } => {
                self.cause = Cause::Agent(agent);
                self.agent_joined(agent, *join);
            }
            Event::AgentSaid { agent, messages } => {
                self.cause = Cause::Agent(agent);
                self.agent_said(agent, messages);
            }
            Event::AgentLost { agent, .. } => {
                self.cause = Cause::Agent(agent);
                self.remove_agent(agent);
            }
            Event::Shutdown { reason } => {
                self.cause = Cause::Shutdown;
                self.shut_down(&reason);
            }
        }
    }

    /// Makes all recommended transitions, hands out queued tasks, and looks after errands, until
    /// nothing is left to do. Then what is unevenly spread is evened out.
    fn settle(&mut self) {
        self.settle_agenda();
        loop {
            while self.hand_out_queued() || self.run_errands() {
                self.settle_agenda();
            }
            self.balance();
            // What is to be taken from a worker can leave it with room for more.
            if !self.hand_out_queued() {
                return;
            }
            self.settle_agenda();
        }
    }

    fn client_joined(&mut self, client: ClientId, name: String, code: Code) {
        let peer = Peer::Client(client);
        let rejection =
            if self.is_closing { Some(Rejection::Closing) } else { self.refusal(&code) };
        if let Some(rejection) = rejection {
            return self.out.welcome(peer, Welcome::Rejected(rejection));
        }
        let services = self.config.services.clone();
        self.out.welcome(peer, Welcome::Client { id: client, services });
        self.log_own_event(&format!("add-client {name}"));
        self.happened(|| Observation::ClientAdded { name: name.clone() });
        self.clients.insert(client, ClientEntry::new(name, code));
        self.offer(client);
    }

    /// Cuts off a peer that broke the protocol.
    fn disconnect(&mut self, peer: Peer, reason: impl Into<String>) {
        let reason = reason.into();
        match peer {
            Peer::Client(client) => self.remove_client(client),
            Peer::Worker(worker) => {
                self.remove_worker(worker, Departure::Lost(&reason));
            }
            Peer::Agent(agent) => self.remove_agent(agent),
        }
        self.out.disconnect(peer, reason);
    }

    /// Tells every peer to close, and the shell to end.
    fn shut_down(&mut self, reason: &str) {
        self.is_closing = true;
        for client in self.clients.keys().filter(|client| **client != OWN) {
            let peer = Peer::Client(*client);
            self.out.disconnect(peer, reason.to_owned());
        }
        for worker in self.workers.ids() {
            let peer = Peer::Worker(worker);
            self.out.disconnect(peer, reason.to_owned());
        }
        for agent in self.programs.agents() {
            self.out.disconnect(Peer::Agent(agent), reason.to_owned());
        }
        self.out.shutdown();
    }
}
