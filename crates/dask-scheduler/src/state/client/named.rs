//! The workers that a client means, which it names by address, host or name.

use std::collections::BTreeSet;

use dask_proto::id::WorkerId;
use dask_proto::message::Refusal;

use crate::state::SchedulerState;

impl SchedulerState {
    /// The workers of these names; all if none is named.
    pub(in crate::state) fn workers_named(
        &self,
        names: &[String],
    ) -> Result<Vec<WorkerId>, Refusal> {
        let workers = self.present_workers(names)?;
        if workers.is_empty() { Err(Refusal::NoWorkers) } else { Ok(workers) }
    }

    /// The same, where it is no fault that there are none.
    pub(in crate::state) fn present_workers(
        &self,
        names: &[String],
    ) -> Result<Vec<WorkerId>, Refusal> {
        let mut workers = BTreeSet::new();
        for name in names {
            let named = self.workers.named(name);
            if named.is_empty() {
                return Err(Refusal::UnknownWorker(name.clone()));
            }
            workers.extend(named);
        }
        if names.is_empty() {
            workers.extend(self.workers.ids());
        }
        Ok(workers.into_iter().collect())
    }

    /// The workers that are running among those that are named, or of all.
    pub(in crate::state) fn running_workers(
        &self,
        names: &[String],
    ) -> Result<Vec<WorkerId>, Refusal> {
        let mut workers = self.workers_named(names)?;
        workers.retain(|worker| self.takes_copies(*worker));
        if workers.is_empty() { Err(Refusal::NoWorkers) } else { Ok(workers) }
    }
}
