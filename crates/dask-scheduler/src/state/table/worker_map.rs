use dask_proto::id::WorkerId;

use super::worker::WorkerEntry;

/// Workers on one page. One that stays while all others of its page are gone, or were clients,
/// which have their ids from the same count, costs a page: that much memory and no more.
const PAGE: usize = 64;

/// The rows of workers, by id.
///
/// A row is looked up many times for each task, among ten thousand in as many steps as among ten.
/// Ids are counted up: the list of pages takes an eighth of a byte for each that was ever given.
/// Rows lie one behind the other: a worker that is met after many others is in no cache any more,
/// and every step on the way to it would be waited for.
#[derive(Debug, Default)]
pub(in crate::state) struct WorkerMap {
    pages: Vec<Option<Box<Page>>>,
    len: usize,
}

#[derive(Debug, Default)]
struct Page {
    slots: Vec<Option<WorkerEntry>>,
    used: usize,
}

impl WorkerMap {
    pub(in crate::state) fn get(&self, worker: WorkerId) -> Option<&WorkerEntry> {
        let (page, slot) = place(worker);
        self.pages.get(page)?.as_ref()?.slots.get(slot)?.as_ref()
    }

    pub(in crate::state) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerEntry> {
        let (page, slot) = place(worker);
        self.pages.get_mut(page)?.as_mut()?.slots.get_mut(slot)?.as_mut()
    }

    pub(in crate::state) fn insert(&mut self, worker: WorkerId, entry: WorkerEntry) {
        let (page, slot) = place(worker);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_default();
        if page.slots.len() <= slot {
            page.slots.resize_with(slot + 1, || None);
        }
        if page.slots[slot].replace(entry).is_none() {
            page.used += 1;
            self.len += 1;
        }
    }

    pub(in crate::state) fn remove(&mut self, worker: WorkerId) -> Option<WorkerEntry> {
        let (number, slot) = place(worker);
        let page = self.pages.get_mut(number)?.as_mut()?;
        let entry = page.slots.get_mut(slot)?.take()?;
        page.used -= 1;
        if page.used == 0 {
            self.pages[number] = None;
        }
        self.len -= 1;
        Some(entry)
    }

    /// All rows, by id.
    pub(in crate::state) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (WorkerId, &WorkerEntry)> {
        let pages = self.pages.iter().enumerate();
        let pages = pages.filter_map(|(number, page)| Some((number, page.as_ref()?)));
        pages.flat_map(|(number, page)| {
            let slots = page.slots.iter().enumerate();
            slots.filter_map(move |(slot, entry)| Some((worker(number, slot), entry.as_ref()?)))
        })
    }

    pub(in crate::state) fn values_mut(&mut self) -> impl Iterator<Item = &mut WorkerEntry> {
        let slots = self.pages.iter_mut().flatten().flat_map(|page| &mut page.slots);
        slots.flatten()
    }

    pub(in crate::state) fn len(&self) -> usize {
        self.len
    }
}

fn place(worker: WorkerId) -> (usize, usize) {
    let id = worker.0 as usize;
    (id / PAGE, id % PAGE)
}

fn worker(page: usize, slot: usize) -> WorkerId {
    WorkerId(u32::try_from(page * PAGE + slot).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use dask_proto::Moment;
    use dask_proto::message::WorkerJoin;

    use super::*;
    use crate::state::table::function::FunctionTable;

    #[test]
    fn workers_are_found_by_id_and_come_in_its_order() {
        let mut functions = FunctionTable::default();
        let mut workers = WorkerMap::default();
        for id in [5000, 3, 63, 64, 10_000_000] {
            let join = WorkerJoin {
                address: "tcp://127.0.0.1:1".parse().expect("an address"),
                name: id.to_string(),
                nthreads: 1,
                memory_limit: None,
                resources: std::collections::BTreeMap::new(),
                functions: Vec::new(),
                pid: 1,
                program: None,
            };
            let group = functions.join_group(None, &[]);
            workers
                .insert(WorkerId(id), WorkerEntry::new(Box::new(join), group, Moment::default()));
        }
        let ids = |workers: &WorkerMap| workers.iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(ids(&workers), [3, 63, 64, 5000, 10_000_000]);
        let name = |id| workers.get(WorkerId(id)).map(|entry| entry.join.name.clone());
        assert_eq!((name(64).as_deref(), name(4)), (Some("64"), None));
        assert!(workers.remove(WorkerId(5000)).is_some());
        assert!(workers.remove(WorkerId(5000)).is_none());
        assert_eq!(ids(&workers), [3, 63, 64, 10_000_000]);
        assert_eq!((workers.len(), workers.values_mut().count()), (4, 4));
    }
}
