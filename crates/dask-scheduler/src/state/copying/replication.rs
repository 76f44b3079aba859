//! Dask's `replicate`: copies of results on more workers.

use std::collections::BTreeSet;

use dask_proto::id::{ClientId, FutureId, WorkerId};
use dask_proto::message::{Answer, Refusal};

use super::errand::{Aim, Availability, ErrandId, Item, Progress};
use crate::state::SchedulerState;
use crate::state::client::request::Asked;
use crate::state::table::task::Row;

impl SchedulerState {
    /// Starts to replicate; an answer if that is refused. Results that are not in memory are waited
    /// for. As in Dask, only workers that are running count, and get copies.
    ///
    /// Unlike in Dask, the copies stay for as long as the result does: the active memory manager
    /// keeps that many. It is also what removes those beyond `n`, in its own time.
    pub(in crate::state) fn replicate(
        &mut self,
        asked_by: Asked,
        futures: &[FutureId],
        n: Option<u32>,
        names: &[String],
    ) -> Option<Answer> {
        let (rows, among) = match self.results_and_workers(asked_by, futures, names) {
            Ok(found) => found,
            Err(refusal) => return Some(Answer::Refused(refusal)),
        };
        let n = n.map_or(among.len(), |n| n as usize).min(among.len());
        let targets = self.as_targets(among.iter().copied());
        let among = among.into_iter().collect();
        let errand = self.errands.open(Aim::Replicate { asked_by, n, among }, targets);
        for row in rows {
            self.errands.add_item(errand, row, Item::default());
        }
        None
    }

    pub(in crate::state) fn pursue_replication(&mut self, errand: ErrandId, row: Row) -> Progress {
        match self.availability(row) {
            Availability::InMemory => {}
            Availability::Pending => return Progress::Waiting,
            Availability::Never => return Progress::Failed,
        }
        let under_way = self.errands.item(row, errand).map_or(0, |item| item.under_way);
        let entry = self.errands.entries.get(&errand);
        let Some(Aim::Replicate { n, among, .. }) = entry.map(|entry| &entry.aim) else {
            return Progress::Over;
        };
        // Counting costs as much as there are workers, and is worth it once all have answered.
        if under_way > 0 {
            return Progress::Waiting;
        }
        let n = *n;
        let holders = self.tasks[row].holders().into_iter().flat_map(|holders| holders.iter());
        let present = holders.filter(|holder| among.contains(holder)).count();
        self.replicas.wish(row, n);
        if present >= n {
            Progress::Over
        } else if self.spread(errand, row, n - present) > 0 {
            Progress::Waiting
        } else {
            Progress::Failed
        }
    }

    /// What a client asks to have copied or moved: the results, and the running workers that it
    /// names, or all.
    pub(in crate::state) fn results_and_workers(
        &self,
        (client, _): Asked,
        futures: &[FutureId],
        names: &[String],
    ) -> Result<(BTreeSet<Row>, Vec<WorkerId>), Refusal> {
        Ok((self.held_tasks(client, futures)?, self.running_workers(names)?))
    }

    /// The tasks that futures hold, each once.
    fn held_tasks(&self, client: ClientId, futures: &[FutureId]) -> Result<BTreeSet<Row>, Refusal> {
        let task = |future: &FutureId| {
            self.task_of(client, *future).ok_or(Refusal::UnknownFuture(*future))
        };
        futures.iter().map(task).collect()
    }
}
