//! Looks at the state, beyond the questions that Dask's clients ask most.

use std::collections::BTreeMap;

use dask_proto::Key;
use dask_proto::id::{ClientId, WorkerId};
use dask_proto::message::{Answer, Inspect, Inspected, NamedWorker, Refusal};
use dask_tokenize::key_prefix;

use crate::state::SchedulerState;
use crate::state::table::task::Row;
use crate::state::table::worker::WorkerEntry;

impl SchedulerState {
    pub(in crate::state) fn inspected(&self, client: ClientId, inspect: Inspect) -> Answer {
        let inspected = match inspect {
            Inspect::Workers { workers } => {
                let address = |entry: &WorkerEntry| entry.join.address.clone();
                return match self.meant(client, &workers) {
                    Ok(workers) => Answer::Workers(workers.map(address).collect()),
                    Err(refusal) => Answer::Refused(refusal),
                };
            }
            Inspect::Named { workers } => {
                let named = |WorkerEntry { join, .. }: &WorkerEntry| NamedWorker {
                    address: join.address.clone(),
                    name: join.name.clone(),
                    program: join.program,
                };
                match self.meant(client, &workers) {
                    Ok(workers) => Inspected::Named(workers.map(named).collect()),
                    Err(refusal) => return Answer::Refused(refusal),
                }
            }
            Inspect::ManagesMemory => Inspected::ManagesMemory(self.replicas.is_managed),
            Inspect::NBytes { keys } => Inspected::NBytes(
                self.sizes(&keys)
                    .map(|(row, nbytes)| (self.tasks[row].key.clone(), nbytes))
                    .collect(),
            ),
            Inspect::NBytesByPrefix { keys } => {
                let mut by_prefix: BTreeMap<&str, u64> = BTreeMap::new();
                for (row, nbytes) in self.sizes(&keys) {
                    *by_prefix.entry(self.prefix(row)).or_default() += nbytes;
                }
                let by_prefix = by_prefix.into_iter().map(|(name, n)| (name.to_owned(), n));
                Inspected::NBytesByPrefix(by_prefix.collect())
            }
            Inspect::AdaptiveTarget { target_duration_ns } => {
                Inspected::Target(self.adaptive_target(target_duration_ns))
            }
            Inspect::Tasks { from } => self.dump_tasks(from),
            // A client of a later version asks more than this scheduler can answer.
            _ => return Answer::Refused(Refusal::TooLarge),
        };
        Answer::Inspected(Box::new(inspected))
    }

    /// The workers that a client names; if it names none, all that may run its tasks.
    fn meant(
        &self,
        client: ClientId,
        names: &[String],
    ) -> Result<impl Iterator<Item = &WorkerEntry>, Refusal> {
        // A client whose program travels means the workers that run it.
        let own = self.workers_of_program(client).filter(|_| names.is_empty());
        let workers: Vec<WorkerId> = own.map_or_else(|| self.present_workers(names), Ok)?;
        Ok(workers.into_iter().filter_map(|worker| self.workers.get(worker)))
    }

    /// What is in memory, and how large it is; of all tasks when no key is named.
    fn sizes<'a>(&'a self, keys: &'a [Key]) -> impl Iterator<Item = (Row, u64)> + 'a {
        let named = keys.iter().filter_map(|key| self.tasks.find(key.as_str()));
        let all = self.tasks.iter().map(|(row, _)| row);
        let all = keys.is_empty().then_some(all).into_iter().flatten();
        named.chain(all).filter_map(|row| Some((row, self.tasks[row].nbytes()?)))
    }

    /// What the key of a task starts with: the name of its function, if it has one.
    pub(in crate::state) fn prefix(&self, row: Row) -> &str {
        let task = &self.tasks[row];
        match task.function() {
            Some(function) => self.functions.get(function).function.name(),
            None => key_prefix(task.key.as_str()),
        }
    }
}

/// About how many bytes it takes in a message.
pub(in crate::state) fn inspected_bytes(inspected: &Inspected) -> usize {
    match inspected {
        Inspected::NBytes(sizes) => sizes.iter().map(|(key, _)| 16 + key.as_str().len()).sum(),
        Inspected::NBytesByPrefix(sizes) => sizes.iter().map(|(name, _)| 16 + name.len()).sum(),
        Inspected::Named(workers) => {
            workers.iter().map(|w| 49 + w.address.as_str().len() + w.name.len()).sum()
        }
        _ => 0,
    }
}
