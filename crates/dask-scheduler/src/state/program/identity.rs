//! Clients that were there before the first agent: nobody needed to know which program they are.

use std::collections::{BTreeMap, BTreeSet};

use dask_proto::id::ClientId;
use dask_proto::limits::{MAX_PROGRAM_BYTES, MAX_PROGRAM_NAME_BYTES};
use dask_proto::message::{Code, ProgramNews, SchedulerToClient};
use dask_proto::program::{Executable, ProgramId};

use crate::state::SchedulerState;
use crate::state::client::entry::{ClientEntry, Held};
use crate::state::coordination::OWN;
use crate::state::instruction::Peer;
use crate::state::table::function::FunctionRow;
use crate::state::table::task::{Row, TaskState};

/// That of clients which are asked which one they are: no worker runs it.
pub(in crate::state) const UNKNOWN: ProgramId = ProgramId([u8::MAX; 32]);

/// Why what a client says about its program cannot be so; `None` if it can. Agents are told it as
/// it is, in messages that must not be too large for them.
pub(in crate::state) fn implausible(code: &Code) -> Option<&'static str> {
    let Code::Offered { executable: Executable { id, bytes, name, target }, .. } = code else {
        return None;
    };
    if name.len().max(target.len()) > MAX_PROGRAM_NAME_BYTES {
        Some("the name of its file, or of its target, is too long")
    } else if *bytes > MAX_PROGRAM_BYTES {
        Some("it is too large to travel")
    } else if *id == UNKNOWN {
        Some("no executable has this hash")
    } else {
        None
    }
}

impl SchedulerState {
    /// An agent joined: a client that did not say which program it is has to, and its tasks wait
    /// until then, or they might run in the code of another. The answer to an earlier question may
    /// still be on its way, and the second is ignored.
    pub(super) fn ask_to_identify(&mut self, client: ClientId) {
        let entry = self.clients.get(&client);
        let is_unknown =
            |entry: &ClientEntry| entry.code == Code::Unidentified && entry.program.is_none();
        if entry.is_some_and(is_unknown) {
            let news = ProgramNews::Identify;
            self.out.tell_client(client, SchedulerToClient::Program(news));
            self.bind_functions(client, Some(UNKNOWN));
        }
    }

    /// The program whose functions a client means.
    pub(in crate::state) fn program_meant(&self, client: ClientId) -> Option<ProgramId> {
        let entry = self.clients.get(&client)?;
        let is_asked = entry.code == Code::Unidentified && !self.programs.agents.is_empty();
        entry.program.or(is_asked.then_some(UNKNOWN))
    }

    /// A client says which program it is, as if it had done so when it connected.
    pub(in crate::state) fn identified(&mut self, client: ClientId, code: Code) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        if entry.code != Code::Unidentified {
            return;
        }
        if let Some(reason) = implausible(&code) {
            return self.disconnect(Peer::Client(client), format!("its program: {reason}"));
        }
        // One that does not know it either stays.
        entry.code = if code == Code::Unidentified { Code::Withheld } else { code };
        self.offer(client);
        if self.clients.get(&client).is_some_and(|entry| entry.program.is_none()) {
            self.bind_functions(client, None);
        }
        self.unbind_unknown();
        self.unpark_client(client);
    }

    /// The functions that a client named before are those of this program, or of any, also for the
    /// tasks that it submitted.
    pub(super) fn bind_functions(&mut self, client: ClientId, program: Option<ProgramId>) {
        let Some(entry) = self.clients.get_mut(&client) else {
            return;
        };
        let mut named: Vec<_> = entry.functions.values_mut().collect();
        // In the order in which they were named first, not in that of the map.
        named.sort_unstable();
        let mut bound = BTreeMap::new();
        for row in named {
            let function = self.functions.get(*row).function.clone();
            let new = self.functions.intern(program, &function);
            let old = std::mem::replace(row, new);
            if old != new {
                bound.insert(old, new);
            }
        }
        if bound.is_empty() {
            return;
        }
        for row in self.computed_for(client) {
            let function = self.tasks[row].function();
            let bound = function.and_then(|old| Some((old, *bound.get(&old)?)));
            let is_known = |old| self.functions.get(old).program != Some(UNKNOWN);
            if let Some((old, new)) = bound
                && !(is_known(old) && self.is_shared(row, client))
            {
                self.bind_task(row, old, new);
            }
        }
        self.rejudge_queued();
        self.rejudge_no_worker();
    }

    /// The tasks that a client holds or that nobody holds any more, with those that they depend on.
    fn computed_for(&self, client: ClientId) -> BTreeSet<Row> {
        let held = self.clients.get(&client).into_iter().flat_map(|entry| entry.futures.iter());
        let held = held.filter_map(|(_, held)| match held {
            Held::Task(row) => Some(*row),
            Held::Nothing => None,
        });
        let fired = self.tasks.iter().filter(|(_, task)| task.fired && task.holds.is_empty());
        let mut open: Vec<Row> = held.chain(fired.map(|(row, _)| row)).collect();
        let mut found = BTreeSet::new();
        while let Some(row) = open.pop() {
            if found.insert(row) {
                open.extend(self.tasks[row].dependencies.iter());
            }
        }
        found
    }

    /// Whether somebody else holds a task who means any program, and need not wait for this client.
    fn is_shared(&self, row: Row, client: ClientId) -> bool {
        let means_any = |other: &ClientId| {
            let entry = self.clients.get(other);
            entry.is_some_and(|entry| matches!(entry.code, Code::Withheld | Code::NoRole))
        };
        let others = self.tasks[row].holds.iter().map(|hold| hold.client);
        others.filter(|other| *other != client && *other != OWN).any(|other| means_any(&other))
    }

    /// All that were asked which program they are have said it, or are gone: tasks that still wait
    /// for that were let go of by them meanwhile, and are of any program.
    fn unbind_unknown(&mut self) {
        let is_open =
            |entry: &ClientEntry| entry.code == Code::Unidentified && entry.program.is_none();
        if self.clients.values().any(is_open) {
            return;
        }
        let unknown = |row: &FunctionRow| self.functions.get(*row).program == Some(UNKNOWN);
        let unknown: BTreeSet<FunctionRow> = self.functions.rows().filter(unknown).collect();
        if unknown.is_empty() {
            return;
        }
        let function = |row: Row| self.tasks[row].function().filter(|old| unknown.contains(old));
        let tasks = self.tasks.iter().filter_map(|(row, _)| Some((row, function(row)?)));
        let tasks: Vec<_> = tasks.collect();
        for (row, old) in tasks {
            let any = self.functions.get(old).function.clone();
            let new = self.functions.intern(None, &any);
            self.bind_task(row, old, new);
        }
        // Nobody names them any more.
        self.forget_functions(unknown);
        self.rejudge_queued();
        self.rejudge_no_worker();
    }

    /// Gives a task another function. One that runs already ends where it is.
    fn bind_task(&mut self, row: Row, old: FunctionRow, new: FunctionRow) {
        let place = (self.tasks[row].priority(), row);
        if let Some(spec) = self.tasks[row].spec_mut() {
            spec.function = new;
        }
        match &self.tasks[row].state {
            TaskState::Queued => {
                self.functions.dequeue(old, place);
                self.functions.enqueue(new, place);
            }
            TaskState::Processing { worker, seceded: false, .. } => {
                let (worker, each) = (*worker, self.expected_duration(new));
                if let Some(entry) = self.workers.get_mut(worker) {
                    entry.work.remove(old);
                    entry.work.add(new, each);
                    self.rerank(worker);
                }
            }
            _ => {}
        }
    }
}
