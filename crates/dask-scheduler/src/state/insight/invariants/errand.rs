//! What holds for copies of results and for what has them made.

use super::{Check, Violation};
use crate::state::SchedulerState;
use crate::state::copying::errand::{Aim, Availability, Errand, ErrandId};
use crate::state::table::task::Row;

impl SchedulerState {
    pub(super) fn copies_and_errands_agree(&self) -> Check {
        self.copies_are_indexed()?;
        for (id, errand) in &self.errands.entries {
            self.an_errand_goes_on(*id, errand)?;
        }
        let (items, indexed) = self.errands.counts();
        ensure!(items == indexed, "items of errands are found by their results")?;
        let is_quiet = self.errands.is_quiet() || self.is_closing;
        ensure!(is_quiet, "no errand is left to be looked at")?;
        self.transfers_have_a_reason()?;
        self.retirements_agree()
    }

    fn copies_are_indexed(&self) -> Check {
        let several = self
            .tasks
            .iter()
            .filter(|(_, task)| task.holders().is_some_and(|holders| holders.len() > 1));
        let several: Vec<Row> = several.map(|(row, _)| row).collect();
        let agree = self.replicas.replicated.iter().copied().eq(several.iter().copied());
        ensure!(agree, "results with several copies are known")?;
        let planned = self.replicas.next_round.is_some() == self.replicas.is_managed;
        ensure!(several.is_empty() || planned, "somebody will look at superfluous copies")?;
        let mut wished = self.replicas.wished();
        let known = wished.all(|row| {
            self.tasks.get(row).is_some_and(|t| t.state.is_memory() || t.spec().is_none())
        });
        ensure!(known, "copies are wished of results")?;
        let mut leaving = self.replicas.leaving();
        let connected = leaving.all(|(worker, _)| self.workers.get(worker).is_some());
        ensure!(connected, "copies leave workers that are connected")
    }

    fn an_errand_goes_on(&self, id: ErrandId, errand: &Errand) -> Check {
        let goes_on = match &errand.aim {
            Aim::Retire { worker } => {
                let entry = self.workers.get(*worker);
                let is_busy = entry.is_some_and(|entry| !entry.processing.is_empty());
                is_busy || !errand.items.is_empty()
            }
            _ => !errand.items.is_empty(),
        };
        ensure!(goes_on, "an errand without items is over")?;
        for (row, item) in &errand.items {
            ensure!(self.tasks.get(*row).is_some(), "items are results that are known")?;
            let is_available = self.availability(*row) == Availability::InMemory;
            let is_pending = self.availability(*row) == Availability::Pending;
            let waits = item.under_way > 0 || !is_available;
            ensure!(waits && (is_available || is_pending), "an item waits for something")?;
            let under_way = self.transfers.iter().filter(|(of, _)| of == row);
            let under_way = under_way.flat_map(|(_, spread)| spread.targets.values());
            let under_way = under_way.filter(|transfer| transfer.errands.contains(id));
            let counted = under_way.count() == item.under_way as usize;
            ensure!(counted, "an item counts what is on its way")?;
        }
        Ok(())
    }

    fn transfers_have_a_reason(&self) -> Check {
        ensure!(self.transfers.agrees(), "transfers are found by their targets")?;
        for (row, spread) in self.transfers.iter() {
            let holders = self.tasks.get(row).and_then(|task| task.holders());
            for (target, transfer) in &spread.targets {
                ensure!(self.takes_copies(*target), "only running workers get copies")?;
                let is_there = holders.is_some_and(|holders| holders.contains(*target));
                ensure!(!is_there, "what has arrived is not on its way")?;
                ensure!(!transfer.errands.is_empty(), "a transfer is for an errand")?;
                let mut errands = transfer.errands.iter();
                let known = errands.all(|errand| self.errands.item(row, errand).is_some());
                ensure!(known, "a transfer is for an item of an errand")?;
            }
            let told = spread.targets.len() - spread.waiting.len();
            ensure!(holders.is_some() || told == 0, "nobody fetches what is not in memory")?;
            let stuck = holders.is_some() && told == 0;
            ensure!(!stuck, "somebody fetches what is to be copied")?;
        }
        Ok(())
    }

    fn retirements_agree(&self) -> Check {
        ensure!(self.retirements_are_mutual(), "requests wait for workers that are to leave")?;
        for (worker, entry) in self.workers.iter() {
            let retirement = self.retirements.workers.get(&worker);
            let is_retiring = entry.status == dask_proto::message::WorkerStatus::Retiring;
            ensure!(is_retiring == retirement.is_some(), "who is retiring is known")?;
            let Some(retirement) = retirement else {
                continue;
            };
            let errand = self.errands.entries.get(&retirement.errand);
            ensure!(errand.is_some(), "who is retiring hands over")?;
        }
        let mut retiring = self.retirements.workers.keys();
        let connected = retiring.all(|worker| self.workers.get(*worker).is_some());
        ensure!(connected, "who is retiring is connected")
    }
}
