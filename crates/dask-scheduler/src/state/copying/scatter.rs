use std::collections::BTreeSet;

use dask_proto::id::{ClientId, TaskId, WorkerId};
use dask_proto::message::{Answer, Located, Refusal, ScatterItem};

use crate::state::SchedulerState;
use crate::state::client::request::AddressList;
use crate::state::instruction::Peer;
use crate::state::table::rows::Rows;
use crate::state::table::spec::Source;
use crate::state::table::task::{Hold, StateName};
use crate::state::transition::Goal;

/// How many copies of scattered data there shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) enum Spread {
    /// One, on the workers by turns.
    ByTurns,
    /// One on every worker.
    Broadcast,
}

impl From<bool> for Spread {
    fn from(broadcast: bool) -> Self {
        if broadcast { Self::Broadcast } else { Self::ByTurns }
    }
}

impl SchedulerState {
    /// Chooses workers for data that a client is about to put there. `None` if the client was cut
    /// off for what it asked.
    pub(in crate::state) fn scatter(
        &mut self,
        client: ClientId,
        items: Vec<ScatterItem>,
        names: &[String],
        spread: Spread,
    ) -> Option<Answer> {
        let mut futures = BTreeSet::new();
        let reused = items
            .iter()
            .map(|item| item.future)
            .find(|future| !futures.insert(*future) || !self.is_free(client, *future));
        if let Some(future) = reused {
            let reason = format!("the client used future {future} twice");
            self.disconnect(Peer::Client(client), reason);
            return None;
        }
        let own = self.workers_of_program(client).filter(|_| names.is_empty());
        let workers = match self.scatter_workers(names, own) {
            Ok(workers) => workers,
            Err(refusal) => return Some(Answer::Refused(refusal)),
        };
        let computed = items.iter().find(|item| {
            let row = self.tasks.find(item.key.as_str());
            row.is_some_and(|row| self.tasks[row].spec().is_some())
        });
        if let Some(item) = computed {
            return Some(Answer::Refused(Refusal::KeyCollision(item.key.clone())));
        }
        let mut list = AddressList::default();
        let mut turns = self.turns(&workers);
        let located = items
            .into_iter()
            .map(|item| {
                let (task, is_there) = self.await_data(client, item);
                let targets = match spread {
                    _ if is_there => Vec::new(),
                    Spread::Broadcast => {
                        if let Some(row) = self.tasks.row(task) {
                            self.replicas.wish(row, workers.len());
                        }
                        workers.clone()
                    }
                    Spread::ByTurns => turns.next(self).into_iter().collect(),
                };
                let positions = targets.into_iter().filter_map(|w| list.position(self, w));
                Located { task, workers: positions.collect() }
            })
            .collect();
        Some(Answer::Targets { workers: list.addresses, items: located })
    }

    /// Those that take up copies; if none of them does, all.
    fn scatter_workers(
        &self,
        names: &[String],
        own: Option<Vec<WorkerId>>,
    ) -> Result<Vec<WorkerId>, Refusal> {
        // Those of the client's program first: there the data is wanted.
        let own: Vec<WorkerId> =
            own.into_iter().flatten().filter(|worker| self.takes_copies(*worker)).collect();
        if !own.is_empty() {
            return Ok(own);
        }
        let running = self.running_workers(names);
        if matches!(running, Err(Refusal::NoWorkers)) { self.workers_named(names) } else { running }
    }

    /// Makes scattered data known and holds it; whether it is already there.
    fn await_data(&mut self, client: ClientId, item: ScatterItem) -> (TaskId, bool) {
        let hold = Hold { client, future: item.future };
        let row = match self.tasks.find(item.key.as_str()) {
            Some(row) => row,
            None => self.add_task(item.key, Source::Data { by: hold }, Rows::default()),
        };
        let state = self.tasks[row].state.name();
        if state != StateName::Memory {
            self.set_scatterer(row, Some(hold));
        }
        if state == StateName::Erred {
            self.recommend(row, Goal::Released);
            self.settle_agenda();
        }
        self.hold(hold, row);
        (self.tasks.id(row), state == StateName::Memory)
    }

    fn turns(&self, workers: &[WorkerId]) -> Turns {
        // Goes on behind the worker that had the last turn.
        let next = workers.iter().position(|w| *w > self.scattered_to);
        Turns { workers: workers.to_vec(), at: next.unwrap_or(0), used: 0 }
    }
}

/// Workers by turns, each as often in a row as it has threads, as Dask scatters.
struct Turns {
    workers: Vec<WorkerId>,
    at: usize,
    used: u32,
}

impl Turns {
    fn next(&mut self, state: &mut SchedulerState) -> Option<WorkerId> {
        let worker = *self.workers.get(self.at)?;
        state.scattered_to = worker;
        self.used += 1;
        let nthreads = state.workers.get(worker).map_or(1, |w| w.nthreads);
        if self.used >= nthreads {
            self.used = 0;
            self.at = (self.at + 1) % self.workers.len();
        }
        Some(worker)
    }
}
