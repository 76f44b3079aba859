use std::collections::BTreeMap;

use dask_proto::id::WorkerId;

use super::worker::WorkerEntry;

/// Workers on one page.
const PAGE: usize = 1024;

/// The rows of workers, by id.
///
/// A row is looked up many times for each task. Ids are counted up and shared with clients, so
/// some pages hold all of them, and a row is found in as many steps among ten thousand as among
/// ten. Rows are large, and stay where they are.
#[derive(Debug, Default)]
pub(super) struct WorkerMap {
    pages: BTreeMap<u32, Page>,
    len: usize,
}

#[derive(Debug)]
struct Page {
    slots: Vec<Option<Box<WorkerEntry>>>,
    used: usize,
}

impl WorkerMap {
    pub(super) fn get(&self, worker: WorkerId) -> Option<&WorkerEntry> {
        let (page, slot) = place(worker);
        self.pages.get(&page)?.slots.get(slot)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerEntry> {
        let (page, slot) = place(worker);
        self.pages.get_mut(&page)?.slots.get_mut(slot)?.as_deref_mut()
    }

    pub(super) fn insert(&mut self, worker: WorkerId, entry: WorkerEntry) {
        let (page, slot) = place(worker);
        let page = self.pages.entry(page).or_insert_with(|| Page { slots: Vec::new(), used: 0 });
        if page.slots.len() <= slot {
            page.slots.resize_with(slot + 1, || None);
        }
        if page.slots[slot].replace(Box::new(entry)).is_none() {
            page.used += 1;
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let (number, slot) = place(worker);
        let page = self.pages.get_mut(&number)?;
        let entry = page.slots.get_mut(slot)?.take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages.remove(&number);
        }
        self.len -= 1;
        Some(*entry)
    }

    /// All rows, by id.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (WorkerId, &WorkerEntry)> {
        self.pages.iter().flat_map(|(page, entry)| {
            let slots = entry.slots.iter().enumerate();
            slots.filter_map(|(slot, entry)| Some((worker(*page, slot), entry.as_deref()?)))
        })
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut WorkerEntry> {
        let slots = self.pages.values_mut().flat_map(|page| &mut page.slots);
        slots.filter_map(Option::as_deref_mut)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

fn place(worker: WorkerId) -> (u32, usize) {
    (worker.0 / PAGE as u32, worker.0 as usize % PAGE)
}

fn worker(page: u32, slot: usize) -> WorkerId {
    WorkerId(page * PAGE as u32 + u32::try_from(slot).unwrap_or(u32::MAX))
}
