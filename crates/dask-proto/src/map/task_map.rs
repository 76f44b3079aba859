use std::cell::Cell;

use hashbrown::HashTable;

use crate::id::TaskId;

/// A map from tasks, for the tables that have a row for each.
///
/// A scheduler numbers tasks by the rows of its own table, so those that are submitted together
/// have neighbouring ids, and things happen to them one after the other. Here too neighbours lie
/// together, in an index that is small and in rows without gaps: what happens to a thousand tasks
/// in turn costs hardly a cache miss, and mostly no look into the index, since the next task that
/// is asked for is the one of the last time, or its neighbour.
#[derive(Debug, Clone)]
pub struct TaskMap<T> {
    /// The rows, by the hashes of their tasks: five bytes a place, where a key would be eight more.
    index: HashTable<u32>,
    rows: Rows<T>,
    free: Vec<u32>,
    /// The row that was found last.
    last: Cell<u32>,
}

/// Rows that are kept when the last task is gone; the memory of more is given back.
const KEPT_ROWS: usize = 4096;

/// Rows whose index is kept: five bytes each, some more with what is free.
const KEPT_INDEX: usize = 1 << 16;

impl<T> Default for TaskMap<T> {
    fn default() -> Self {
        let rows = Rows::default();
        Self { index: HashTable::new(), rows, free: Vec::new(), last: Cell::new(0) }
    }
}

impl<T> TaskMap<T> {
    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The value of a task.
    #[must_use]
    #[inline]
    pub fn get(&self, task: &TaskId) -> Option<&T> {
        let row = self.find(*task)?;
        self.rows.get(row).map(|(_, value)| value)
    }

    /// The value of a task, to be changed.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, task: &TaskId) -> Option<&mut T> {
        let row = self.find(*task)?;
        self.rows.slot(row).as_mut().map(|(_, value)| value)
    }

    /// Gives a task a value, and returns the one that it had.
    pub fn insert(&mut self, task: TaskId, value: T) -> Option<T> {
        let row = self.row(task);
        self.rows.slot(row).replace((task, value)).map(|(_, value)| value)
    }

    /// The value of a task, which gets the default one if it has none.
    pub fn get_or_default(&mut self, task: TaskId) -> &mut T
    where
        T: Default,
    {
        let row = self.row(task);
        &mut self.rows.slot(row).get_or_insert_with(|| (task, T::default())).1
    }

    /// Takes the value of a task out.
    pub fn remove(&mut self, task: &TaskId) -> Option<T> {
        let found = self.index.find_entry(hash(*task), |row| self.rows.is_of(*row, *task));
        let (row, _) = found.ok()?.remove();
        let value = self.rows.slot(row).take();
        if self.index.is_empty() && self.rows.len > KEPT_ROWS {
            // The index is small, and to grow it costs as much as to fill it.
            let index = std::mem::take(&mut self.index);
            let is_kept = self.rows.len <= KEPT_INDEX;
            *self = Self::default();
            if is_kept {
                self.index = index;
                self.index.clear();
            }
        } else {
            self.free.push(row);
        }
        value.map(|(_, value)| value)
    }

    /// All tasks and their values, in an order that only depends on what was inserted and removed.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, &T)> {
        let slots = self.rows.pages.iter().flat_map(|page| page.iter());
        slots.flatten().map(|(task, value)| (task, value))
    }

    /// All values, in the same order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// The row of a task that has one.
    #[inline]
    fn find(&self, task: TaskId) -> Option<u32> {
        let last = self.last.get();
        if self.rows.is_of(last, task) { Some(last) } else { self.find_other(task) }
    }

    /// The row of a task that is not the last one.
    fn find_other(&self, task: TaskId) -> Option<u32> {
        let next = self.last.get().wrapping_add(1);
        let row = if self.rows.is_of(next, task) {
            next
        } else {
            *self.index.find(hash(task), |row| self.rows.is_of(*row, task))?
        };
        self.last.set(row);
        Some(row)
    }

    /// The row of a task. A new one is empty, and to be filled before anything else is done.
    fn row(&mut self, task: TaskId) -> u32 {
        if let Some(row) = self.find(task) {
            return row;
        }
        let row = self.free.pop().unwrap_or_else(|| self.rows.add());
        let hash_of_row = |row: &u32| self.rows.get(*row).map_or(0, |(task, _)| hash(*task));
        self.index.insert_unique(hash(task), row, hash_of_row);
        self.last.set(row);
        row
    }
}

/// Rows on pages: to have more of them moves none.
#[derive(Debug, Clone)]
struct Rows<T> {
    pages: Vec<Box<[Slot<T>; PAGE]>>,
    len: usize,
}

/// A row, which is empty while it is free.
type Slot<T> = Option<(TaskId, T)>;

/// Rows on a page.
const PAGE: usize = 64;

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T> Rows<T> {
    #[inline]
    fn get(&self, row: u32) -> Option<&(TaskId, T)> {
        self.pages.get(row as usize / PAGE)?[row as usize % PAGE].as_ref()
    }

    /// A row that there is.
    #[inline]
    fn slot(&mut self, row: u32) -> &mut Slot<T> {
        &mut self.pages[row as usize / PAGE][row as usize % PAGE]
    }

    #[inline]
    fn is_of(&self, row: u32, task: TaskId) -> bool {
        self.get(row).is_some_and(|(known, _)| *known == task)
    }

    /// One more row, which is empty.
    fn add(&mut self) -> u32 {
        let row = u32::try_from(self.len).expect("rows of four billion tasks fill the memory");
        if self.len == PAGE * self.pages.len() {
            self.pages.push(Box::new([const { None }; PAGE]));
        }
        self.len += 1;
        row
    }
}

/// Hashes task ids so that the neighbours in a block of them are neighbours in the table. Blocks
/// are scattered, so ids at any regular distance spread over it.
///
/// The low bits say where the table looks first, and the highest tell apart what it finds there:
/// those are mixed from all of the id.
#[inline]
fn hash(TaskId(id): TaskId) -> u64 {
    let block = (id >> BLOCK).wrapping_mul(SPREAD);
    let start = (block ^ block >> 32).wrapping_add(id & ((1 << BLOCK) - 1));
    let mark = id.wrapping_mul(SPREAD) & !(u64::MAX >> 7);
    start & (u64::MAX >> 7) | mark
}

/// Ids in a block, as a power of two.
const BLOCK: u32 = 6;

/// 2^64 divided by the golden ratio: multiples of it are far apart in their high bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The ids of a scheduler: rows, and how often each was used before.
    fn id(row: u64, generation: u64) -> TaskId {
        TaskId(generation << 32 | row)
    }

    #[test]
    fn it_is_a_map_whose_rows_are_used_again() {
        let (mut map, mut expected) = (TaskMap::default(), BTreeMap::new());
        for step in 0..5000_u64 {
            let task = id(step * 7 % 100, step % 3);
            if step % 5 < 3 {
                assert_eq!(map.insert(task, step), expected.insert(task, step));
            } else {
                assert_eq!(map.remove(&task), expected.remove(&task));
            }
            assert_eq!(map.get(&task), expected.get(&task));
            assert_eq!(map.len(), expected.len());
        }
        assert_eq!(map.iter().collect::<BTreeMap<_, _>>(), expected.iter().collect());
        assert!(map.rows.len <= 300, "rows are used again");
        *map.get_or_default(id(1, 7)) += 3;
        *map.get_or_default(id(1, 7)) += 4;
        assert_eq!(map.get(&id(1, 7)), Some(&7));
    }

    #[test]
    fn the_memory_of_many_tasks_is_given_back_with_the_last() {
        let mut map = TaskMap::default();
        for (tasks, kept) in [(100_000, 0..1), (10_000, 1..2 * KEPT_INDEX)] {
            (0..tasks).for_each(|row| assert_eq!(map.insert(id(row, 1), row), None));
            (0..tasks).for_each(|row| assert_eq!(map.remove(&id(row, 1)), Some(row)));
            assert_eq!(map.rows.pages.capacity(), 0);
            assert!(kept.contains(&map.index.capacity()), "{}", map.index.capacity());
        }
    }

    /// How many ids share a place in a table of 2^16 places, at most, for 2^15 ids.
    fn crowding(ids: impl Iterator<Item = TaskId>) -> usize {
        let mut places = vec![0_usize; 1 << 12];
        for task in ids.take(1 << 15) {
            // A table looks at sixteen places at once.
            places[(hash(task) as usize & 0xffff) >> 4] += 1;
        }
        places.into_iter().max().unwrap_or(0)
    }

    #[test]
    fn neighbours_are_together_and_regular_ids_are_spread() {
        let start = |row| hash(id(row, 1)) & 0xffff_ffff;
        assert_eq!(start(64 * 5 + 63), start(64 * 5) + 63);
        for step in [1, 2, 3, 16, 64, 100, 1000, 1024, 4096] {
            let most = crowding((0..).map(|row| id(row * step, 1)));
            assert!(most <= 64, "{most} ids at one place with a distance of {step}");
        }
        assert!(crowding((0..).map(|generation| id(3, generation))) <= 64);
    }
}
