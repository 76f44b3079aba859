//! Changes of the whole cluster.

use dask_proto::id::FutureId;
use dask_proto::message::{Answer, Manage, Refusal};

use super::entry::Held;
use super::request::{Asked, Awaited};
use crate::state::SchedulerState;
use crate::state::insight::observe::Observation;
use crate::state::table::task::{Hold, Row};

/// Why futures are cancelled when everything is dropped.
const RESET: &str = "the cluster was restarted";

impl SchedulerState {
    /// Changes the cluster; no answer while it is not done.
    pub(in crate::state) fn manage(&mut self, asked_by: Asked, manage: Manage) -> Option<Answer> {
        match manage {
            Manage::Reset => {
                self.reset();
                Some(Answer::Done)
            }
            Manage::AwaitWorkers { workers } => {
                self.await_workers(asked_by, Awaited::Named(workers))
            }
            Manage::Equip(equipment) => Some(self.keep_equipment(equipment)),
            Manage::Unequip { name } => Some(self.unequip(name)),
            Manage::ManageMemory(what) => Some(self.manage_memory(what)),
            Manage::ForwardLogging { level } => Some(self.forward_logging(asked_by.0, level)),
            // A client of a later version.
            _ => Some(Answer::Refused(Refusal::TooLarge)),
        }
    }

    /// Cancels every task, whoever wants it. What workers have of them they are told to free.
    fn reset(&mut self) {
        self.happened(|| Observation::Restarted);
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            let futures = self.clients.get(&client).into_iter().flat_map(|entry| {
                entry.futures.iter().filter_map(|(future, held)| match held {
                    Held::Task(row) => Some((FutureId(future), *row)),
                    Held::Nothing => None,
                })
            });
            let futures: Vec<(FutureId, Row)> = futures.collect();
            for (future, row) in futures {
                let hold = Hold { client, future };
                self.tasks[row].holds.remove(hold);
                self.cancel_future(hold, RESET);
                self.scatterer_let_go(row, hold);
            }
        }
        let rows: Vec<Row> = self.tasks.iter().map(|(row, _)| row).collect();
        for row in rows {
            self.tasks[row].fired = false;
            self.reconsider(row);
        }
    }
}
