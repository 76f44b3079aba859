use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dask_proto::id::{ClientId, FunctionId, FutureId, WorkerId};
use dask_proto::map::{Map, Table};
use dask_proto::message::{ClientToScheduler, Code, SchedulerToClient};
use dask_proto::program::ProgramId;
use dask_proto::{Address, Key, Payload, TaskError};

use crate::state::SchedulerState;
use crate::state::insight::observe::Observation;
use crate::state::instruction::{Again, Peer};
use crate::state::table::function::FunctionRow;
use crate::state::table::spec::Source;
use crate::state::table::task::{Hold, Row, StateName, TaskState};
use crate::state::transition::Goal;

/// What the scheduler knows about a client.
#[derive(Debug)]
pub(in crate::state) struct ClientEntry {
    pub(in crate::state) name: String,
    /// Whether its program travels.
    pub(in crate::state) code: Code,
    /// Its program, if agents run it for this client.
    pub(in crate::state) program: Option<ProgramId>,
    pub(in crate::state) functions: Map<FunctionId, FunctionRow>,
    pub(in crate::state) futures: Table<Held>,
    /// Why futures stand for nothing.
    ended: BTreeMap<FutureId, Ended>,
    /// The worker whose tasks it belongs to.
    pub(in crate::state) serves: Option<WorkerId>,
    /// The data that it announced and that has not arrived.
    pub(in crate::state) scattering: BTreeSet<Row>,
}

/// What a client's future stands for, until the client releases it.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) enum Held {
    /// A task, which it holds.
    Task(Row),
    /// Nothing.
    Nothing,
}

/// Why a future stands for nothing. Apart, for hardly any does, and there are millions.
#[derive(Debug)]
enum Ended {
    /// It was cancelled, for this reason. What is submitted on it is cancelled too.
    Cancelled(Arc<String>),
    /// It never became a task. What is submitted on it fails in the same way.
    Failed(Arc<TaskError>),
}

/// What a future stands for, with the reason if that is nothing.
pub(in crate::state) enum Meaning<'a> {
    Task(Row),
    Cancelled(&'a Arc<String>),
    Failed(&'a Arc<TaskError>),
}

impl ClientEntry {
    pub(in crate::state) fn new(name: String, code: Code) -> Self {
        Self {
            name,
            code,
            program: None,
            functions: Map::default(),
            futures: Table::default(),
            ended: BTreeMap::new(),
            serves: None,
            scattering: BTreeSet::new(),
        }
    }

    /// Whether it belongs to the tasks of a worker, and to nobody who looks at what it prints.
    pub(in crate::state) fn is_of_tasks(&self) -> bool {
        self.serves.is_some()
    }

    /// What a future stands for, if it has a meaning.
    pub(in crate::state) fn meaning(&self, future: FutureId) -> Option<Meaning<'_>> {
        match self.futures.get(future.0)? {
            Held::Task(row) => Some(Meaning::Task(*row)),
            Held::Nothing => self.ended.get(&future).map(|ended| match ended {
                Ended::Cancelled(reason) => Meaning::Cancelled(reason),
                Ended::Failed(error) => Meaning::Failed(error),
            }),
        }
    }

    /// Its futures; for the invariants.
    pub(in crate::state) fn future_ids(&self) -> impl Iterator<Item = FutureId> + '_ {
        self.futures.iter().map(|(future, _)| FutureId(future))
    }

    /// Gives a future to a task.
    fn hold(&mut self, future: FutureId, row: Row) {
        if let Some(Held::Nothing) = self.futures.insert(future.0, Held::Task(row)) {
            self.ended.remove(&future);
        }
    }

    /// Notes that a future stands for nothing.
    fn end(&mut self, future: FutureId, why: Ended) {
        self.futures.insert(future.0, Held::Nothing);
        self.ended.insert(future, why);
    }

    /// Takes the meaning of a future; the task that it held.
    fn let_go(&mut self, future: FutureId) -> Option<Row> {
        match self.futures.remove(future.0)? {
            Held::Task(row) => Some(row),
            Held::Nothing => {
                self.ended.remove(&future);
                None
            }
        }
    }
}

impl SchedulerState {
    pub(in crate::state) fn client_said(&mut self, client: ClientId, message: ClientToScheduler) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        match message {
            ClientToScheduler::Define { id, function } => self.define(client, id, &function),
            ClientToScheduler::Submit(submit) => self.submit(client, submit),
            ClientToScheduler::Subscribe { future, key } => self.subscribe(client, future, &key),
            ClientToScheduler::Release { futures } => {
                for future in futures {
                    self.release_future(client, future);
                }
            }
            ClientToScheduler::FireAndForget { futures } => {
                for row in self.tasks_of(client, &futures) {
                    self.fire_and_forget(row);
                }
            }
            ClientToScheduler::MissingData { future, worker } => {
                self.missing_data(client, future, &worker);
            }
            ClientToScheduler::Request { id, request } => self.request((client, id), request),
            ClientToScheduler::Forget { id } => {
                self.forget_requests(|asked_by| asked_by == (client, id));
                self.forget_coordination((client, id));
            }
            ClientToScheduler::Accept { id } => self.accept((client, id)),
            ClientToScheduler::Serve { worker } => {
                if let Some(worker) = self.workers.by_address(&worker) {
                    entry.serves = Some(worker);
                    self.share_program(client);
                }
            }
            ClientToScheduler::Carry { future, carried } => self.carry(client, future, &carried),
            ClientToScheduler::Identify { code } => self.identified(client, code),
            ClientToScheduler::Close => {
                self.remove_client(client);
                let reason = "the client closed the connection".to_owned();
                self.out.disconnect(Peer::Client(client), reason);
            }
            // A client of a later version says more than this scheduler can do.
            _ => {
                let reason = "the client sent a message that this scheduler does not know";
                self.disconnect(Peer::Client(client), reason);
            }
        }
    }

    /// Forgets a client and releases all that it holds.
    pub(in crate::state) fn remove_client(&mut self, client: ClientId) {
        self.programs.forget_parked(client);
        // What others have of it need not wait until it says which program it is.
        self.identified(client, Code::Withheld);
        let Some(mut entry) = self.clients.remove(&client) else {
            return;
        };
        self.happened(|| Observation::ClientRemoved { name: entry.name.clone() });
        self.out.discard(Peer::Client(client));
        self.topics.forget_client(client);
        self.log_listeners.remove(&client);
        self.log_own_event(&format!("remove-client {}", entry.name));
        self.leave_program(client, entry.program);
        self.stop_watching(client);
        self.forget_requests(|asked_by| asked_by.0 == client);
        self.lose_coordinating_client(client);
        self.announced -= entry.scattering.len() as u64;
        for row in entry.scattering {
            self.abandon_scatter(row);
        }
        for (future, held) in entry.futures.drain() {
            if let Held::Task(row) = held {
                let future = FutureId(future);
                self.tasks[row].holds.remove(Hold { client, future });
                self.reconsider(row);
            }
        }
    }

    /// A worker is gone: the client of its tasks goes too, also where both only stand still, so
    /// that what they hold is free.
    pub(in crate::state) fn remove_clients_of(&mut self, worker: WorkerId) {
        let of_worker = self.clients.iter().filter(|(_, entry)| entry.serves == Some(worker));
        let clients: Vec<ClientId> = of_worker.map(|(client, _)| *client).collect();
        for client in clients {
            self.disconnect(Peer::Client(client), "the worker that it is a part of is gone");
        }
    }

    /// Whether a future is free to be given a meaning. A cancelled one is: the client was told that
    /// the hold is gone.
    pub(in crate::state) fn is_free(&self, client: ClientId, future: FutureId) -> bool {
        let entry = self.clients.get(&client);
        let meaning = entry.and_then(|entry| entry.meaning(future));
        matches!(meaning, None | Some(Meaning::Cancelled(_)))
    }

    /// Lets a future hold a task, and tells it what it missed.
    pub(in crate::state) fn hold(&mut self, hold: Hold, row: Row) {
        let Hold { client, future } = hold;
        if let Some(entry) = self.clients.get_mut(&client) {
            entry.hold(future, row);
        }
        let task = &mut self.tasks[row];
        task.holds.insert(hold);
        match &task.state {
            TaskState::Released => self.recommend(row, Goal::Waiting),
            TaskState::Memory(copies) => {
                let nbytes = copies.nbytes();
                let message = SchedulerToClient::InMemory { future, nbytes, value: None };
                self.out.tell_client(client, message);
            }
            TaskState::Erred { error } => self.out.erred(client, future, error),
            _ => {}
        }
    }

    /// Ends a future that never becomes a task.
    pub(in crate::state) fn refuse(&mut self, hold: Hold, error: Arc<TaskError>) {
        self.out.erred(hold.client, hold.future, &error);
        self.end_future(hold, Ended::Failed(error));
    }

    /// Ends a future as cancelled.
    pub(in crate::state) fn cancel_future(&mut self, hold: Hold, reason: &str) {
        self.out.cancelled(hold.client, hold.future, reason);
        self.end_future(hold, Ended::Cancelled(Arc::new(reason.to_owned())));
    }

    fn end_future(&mut self, Hold { client, future }: Hold, why: Ended) {
        if let Some(entry) = self.clients.get_mut(&client) {
            entry.end(future, why);
        }
    }

    /// The task that a future holds, if it does.
    pub(in crate::state) fn task_of(&self, client: ClientId, future: FutureId) -> Option<Row> {
        match self.clients.get(&client)?.futures.get(future.0)? {
            Held::Task(row) => Some(*row),
            Held::Nothing => None,
        }
    }

    /// The tasks that futures hold. Futures that hold none were released or cancelled meanwhile.
    fn tasks_of(&self, client: ClientId, futures: &[FutureId]) -> Vec<Row> {
        let rows = futures.iter().filter_map(|f| self.task_of(client, *f));
        rows.collect()
    }

    fn subscribe(&mut self, client: ClientId, future: FutureId, key: &Key) {
        if !self.is_free(client, future) {
            let reason = format!("the client used future {future} twice");
            self.disconnect(Peer::Client(client), reason);
        } else if let Some(row) = self.tasks.find(key.as_str()) {
            self.hold(Hold { client, future }, row);
        } else {
            let reason = format!("key {key} is not on the scheduler");
            self.cancel_future(Hold { client, future }, &reason);
        }
    }

    pub(in crate::state) fn release_future(&mut self, client: ClientId, future: FutureId) {
        let entry = self.clients.get_mut(&client);
        let held = entry.and_then(|entry| entry.let_go(future));
        if let Some(row) = held {
            self.tasks[row].holds.remove(Hold { client, future });
            self.scatterer_let_go(row, Hold { client, future });
            self.reconsider(row);
        }
    }

    fn fire_and_forget(&mut self, row: Row) {
        let task = &mut self.tasks[row];
        let is_done = matches!(task.state.name(), StateName::Memory | StateName::Erred);
        task.fired |= !is_done;
    }

    fn missing_data(&mut self, client: ClientId, future: FutureId, worker: &Address) {
        let row = self.task_of(client, future);
        let worker = self.workers.by_address(worker);
        if let (Some(row), Some(worker)) = (row, worker) {
            self.lose_copy(row, worker);
        }
    }

    /// Notes for which future a client is to put data on a worker: the last that said so; none
    /// once it is there or of no use.
    pub(in crate::state) fn set_scatterer(&mut self, row: Row, hold: Option<Hold>) {
        if let Source::Data { by } = &mut self.tasks[row].source {
            if let Some(entry) = self.clients.get_mut(&{ by.client }) {
                self.announced -= u64::from(entry.scattering.remove(&row));
            }
            if let Some(hold) = hold {
                *by = hold;
                if let Some(entry) = self.clients.get_mut(&{ hold.client }) {
                    self.announced += u64::from(entry.scattering.insert(row));
                }
            }
        }
    }

    /// Gives up scattered data whose announcing future was released before it arrived. A client
    /// keeps that future until it hears that the data is in memory, so it does not put it anywhere
    /// any more, whatever other futures it has on the key.
    pub(in crate::state) fn scatterer_let_go(&mut self, row: Row, hold: Hold) {
        let is_its_own = matches!(self.tasks[row].source, Source::Data { by } if by == hold);
        if is_its_own && self.is_announced(row) {
            self.abandon_scatter(row);
        }
    }

    /// Whether a client is about to put this data on a worker.
    pub(in crate::state) fn is_announced(&self, row: Row) -> bool {
        let Source::Data { by } = self.tasks[row].source else {
            return false;
        };
        let client = self.clients.get(&{ by.client });
        client.is_some_and(|client| client.scattering.contains(&row))
    }

    fn abandon_scatter(&mut self, row: Row) {
        let message = "the client that was to scatter the data let go of it before it did";
        let error = self.lost_data(row, message);
        self.recommend(row, Goal::Erred(Arc::new(error)));
    }

    /// Cancels tasks, and what depends on them, as far as no other client wants them; `force`
    /// overrules other clients. What is left over is released by the counting of references.
    pub(in crate::state) fn cancel(
        &mut self,
        client: ClientId,
        futures: &[FutureId],
        force: Force,
    ) {
        let how = match force {
            Force::Yes => "by force, on the request of a client",
            Force::No => "on the request of its client",
        };
        let asked = self.tasks_of(client, futures).into_iter();
        let mut agenda: Vec<(Row, Option<Key>)> = asked.map(|row| (row, None)).collect();
        let mut seen = BTreeSet::new();
        while let Some((row, root)) = agenda.pop() {
            if !seen.insert(row) {
                continue;
            }
            let reason = match &root {
                Some(root) => format!("it depends on {root}, which was cancelled {how}"),
                None => how.to_owned(),
            };
            let is_ours = |hold: &Hold| force == Force::Yes || hold.client == client;
            let holds: Vec<Hold> = self.tasks[row].holds.iter().filter(is_ours).collect();
            for hold in holds {
                self.tasks[row].holds.remove(hold);
                self.cancel_future(hold, &reason);
                self.scatterer_let_go(row, hold);
            }
            if force == Force::Yes {
                self.tasks[row].fired = false;
            }
            if !self.tasks[row].is_held() {
                let root = root.unwrap_or_else(|| self.tasks[row].key.clone());
                self.for_dependents(row, |_, dependent| {
                    agenda.push((dependent, Some(root.clone())));
                });
            }
            self.reconsider(row);
        }
    }

    /// Runs failed tasks again, and with them the failed tasks that they inherited the error from
    /// or handed it on to.
    pub(in crate::state) fn retry(&mut self, client: ClientId, futures: &[FutureId]) {
        let asked = self.tasks_of(client, futures);
        let mut seen = BTreeSet::new();
        let mut agenda = asked;
        let mut reset = Vec::new();
        while let Some(row) = agenda.pop() {
            if self.is_retriable(row) && seen.insert(row) {
                reset.push(row);
                agenda.extend_from_slice(&self.tasks[row].dependencies);
            }
        }
        agenda.clone_from(&reset);
        while let Some(row) = agenda.pop() {
            let mut found = Vec::new();
            self.for_dependents(row, |state, dependent| {
                if state.is_retriable(dependent) && seen.insert(dependent) {
                    found.push(dependent);
                }
            });
            agenda.extend_from_slice(&found);
            reset.append(&mut found);
        }
        // All are released before the first of them looks at its dependencies again.
        reset.sort_by_key(|row| (self.tasks[*row].priority(), *row));
        for row in reset {
            self.recommend(row, Goal::Released);
        }
    }

    fn is_retriable(&self, row: Row) -> bool {
        let task = &self.tasks[row];
        task.state.name() == StateName::Erred && task.spec().is_some()
    }

    /// Tells every future on a task that its result is in memory.
    pub(in crate::state) fn announce_memory(&mut self, row: Row, value: Option<Payload>) {
        let task = &self.tasks[row];
        let nbytes = task.nbytes().unwrap_or(0);
        for Hold { client, future } in task.holds.iter() {
            let message = SchedulerToClient::InMemory { future, nbytes, value: value.clone() };
            self.out.tell_client(client, message);
        }
    }

    /// Tells every future on a task that it failed.
    pub(in crate::state) fn announce_erred(&mut self, row: Row, error: &Arc<TaskError>) {
        for Hold { client, future } in self.tasks[row].holds.iter() {
            self.out.erred(client, future, error);
        }
    }

    /// Tells every future on a task that was done that it is pending again.
    pub(in crate::state) fn announce_pending(&mut self, row: Row, cause: Again) {
        for Hold { client, future } in self.tasks[row].holds.iter() {
            self.out.pending(client, future, cause);
        }
    }
}

/// Whether a client's wish overrules that of other clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Force {
    Yes,
    No,
}
