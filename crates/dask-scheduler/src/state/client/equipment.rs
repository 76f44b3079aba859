//! What every worker is to have, also those that join later: files and plugins.

use std::collections::BTreeMap;

use dask_proto::id::{RequestId, WorkerId};
use dask_proto::limits::{MAX_EQUIPMENT_BYTES, MAX_EQUIPMENT_NAME_BYTES, MAX_EQUIPMENTS};
use dask_proto::message::{Answer, Equipment, Item, Question, Refusal, SchedulerToWorker};

use crate::state::SchedulerState;

/// The id of a question whose reply nobody waits for.
pub(in crate::state) const UNANSWERED: RequestId = RequestId(u64::MAX);

/// What is kept, by name.
#[derive(Debug, Default)]
pub(in crate::state) struct EquipmentTable {
    items: BTreeMap<String, Item>,
    nbytes: u64,
}

/// What is kept for one.
fn cost(name: &str, item: &Item) -> u64 {
    item.nbytes().saturating_add(name.len() as u64)
}

impl SchedulerState {
    /// Keeps something for workers that join later.
    pub(in crate::state) fn keep_equipment(
        &mut self,
        Equipment { name, item }: Equipment,
    ) -> Answer {
        if name.len() > MAX_EQUIPMENT_NAME_BYTES {
            return Answer::Refused(Refusal::TooLarge);
        }
        let table = &mut self.equipment;
        let known = table.items.get(&name);
        let others = table.nbytes - known.map_or(0, |item| cost(&name, item));
        let total = others.saturating_add(cost(&name, &item));
        let is_one_more = known.is_none() && table.items.len() >= MAX_EQUIPMENTS;
        if total > MAX_EQUIPMENT_BYTES || is_one_more {
            return Answer::Refused(Refusal::NoRoom { limit: MAX_EQUIPMENT_BYTES });
        }
        table.nbytes = total;
        table.items.insert(name, item);
        Answer::Done
    }

    /// Keeps it no longer.
    pub(in crate::state) fn unequip(&mut self, name: String) -> Answer {
        match self.equipment.items.remove(&name) {
            Some(item) => {
                self.equipment.nbytes -= cost(&name, &item);
                Answer::Done
            }
            None => Answer::Refused(Refusal::UnknownEquipment(name)),
        }
    }

    /// What is kept under a name.
    pub(in crate::state) fn equipment_named(&self, name: &str) -> Option<Equipment> {
        let item = self.equipment.items.get(name)?.clone();
        Some(Equipment { name: name.to_owned(), item })
    }

    /// Gives a worker that joined all that is kept, ahead of its first task.
    pub(in crate::state) fn equip(&mut self, worker: WorkerId) {
        for (name, item) in &self.equipment.items {
            let equipment = Equipment { name: name.clone(), item: item.clone() };
            let question = Box::new(Question::Equip(equipment));
            let message = SchedulerToWorker::Ask { id: UNANSWERED, question };
            self.out.tell_worker(worker, message);
        }
    }

    /// Whether its bytes are counted, for a check.
    pub(in crate::state) fn equipment_is_counted(&self) -> bool {
        let costs = self.equipment.items.iter().map(|(name, item)| cost(name, item));
        costs.sum::<u64>() == self.equipment.nbytes
    }
}
