use std::hash::BuildHasher;
use std::ops::{Index, IndexMut, Range};

use dask_proto::Key;
use dask_proto::id::TaskId;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::rows::Rows;
use super::task::{Row, TaskEntry};

/// All tasks, by row and by key. A row is used again for another task, under a new generation.
#[derive(Debug, Default)]
pub(in crate::state) struct TaskTable {
    slots: Vec<Slot>,
    vacant: Vec<Row>,
    by_key: HashTable<Named>,
    hash: FixedState,
}

/// A row by the hash of its key. The key itself is in the row: a second copy of it here would cost
/// a tenth of all memory.
#[derive(Debug, Clone, Copy)]
struct Named {
    hash: u32,
    row: Row,
}

impl Named {
    /// The bits that place it, made of those that are kept.
    fn bits(&self) -> u64 {
        spread(self.hash)
    }
}

/// A table takes its place from the low bits and what it looks at first from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash.reverse_bits()) << 32
}

/// A row: its generation is in the task, while it has one.
#[derive(Debug)]
enum Slot {
    Vacant { generation: u32 },
    Taken(TaskEntry),
}

impl Slot {
    fn entry(&self) -> Option<&TaskEntry> {
        match self {
            Self::Taken(entry) => Some(entry),
            Self::Vacant { .. } => None,
        }
    }

    fn generation(&self) -> u32 {
        match self {
            Self::Taken(entry) => entry.generation,
            Self::Vacant { generation } => *generation,
        }
    }
}

impl TaskTable {
    pub(in crate::state) fn insert(&mut self, mut entry: TaskEntry) -> Row {
        let row = self.vacant.pop().unwrap_or_else(|| {
            let row = u32::try_from(self.slots.len())
                .expect("memory ends long before four thousand million tasks");
            self.slots.push(Slot::Vacant { generation: 0 });
            Row::from_number(row)
        });
        let hash = self.hash_of(entry.key.as_str());
        self.by_key.insert_unique(spread(hash), Named { hash, row }, Named::bits);
        let slot = &mut self.slots[index(row)];
        entry.generation = slot.generation();
        *slot = Slot::Taken(entry);
        row
    }

    /// Takes a task out; its key and its dependencies.
    pub(in crate::state) fn remove(&mut self, row: Row) -> Option<(Key, Rows)> {
        let slot = self.slots.get_mut(index(row))?;
        let Slot::Taken(entry) = slot else {
            return None;
        };
        let next = entry.generation.checked_add(1);
        let (key, dependencies) = (entry.key.clone(), std::mem::take(&mut entry.dependencies));
        *slot = Slot::Vacant { generation: next.unwrap_or(u32::MAX) };
        let hash = spread(self.hash_of(key.as_str()));
        if let Ok(named) = self.by_key.find_entry(hash, |named| named.row == row) {
            named.remove();
        }
        // A row whose generations are used up stays empty for ever: ids are never used twice.
        if next.is_some() {
            self.vacant.push(row);
        }
        Some((key, dependencies))
    }

    fn hash_of(&self, key: &str) -> u32 {
        fold(&self.hash, key)
    }

    pub(in crate::state) fn get(&self, row: Row) -> Option<&TaskEntry> {
        self.slots.get(index(row))?.entry()
    }

    /// How many rows there are, vacant ones too.
    pub(in crate::state) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// The rows in a range that have a task.
    pub(in crate::state) fn occupied(&self, range: Range<usize>) -> Vec<Row> {
        let rows = range.filter_map(|row| u32::try_from(row).ok()).map(Row::from_number);
        rows.filter(|row| self.get(*row).is_some()).collect()
    }

    /// The id of the task in a row.
    pub(in crate::state) fn id(&self, row: Row) -> TaskId {
        let generation = self.slots[index(row)].generation();
        TaskId(u64::from(row.number()) | u64::from(generation) << 32)
    }

    /// The row of a task, if it is still known.
    pub(in crate::state) fn row(&self, id: TaskId) -> Option<Row> {
        let row = Row::from_number(u32::try_from(id.0 & u64::from(u32::MAX)).ok()?);
        let entry = self.get(row)?;
        (u64::from(entry.generation) == id.0 >> 32).then_some(row)
    }

    pub(in crate::state) fn find(&self, key: &str) -> Option<Row> {
        let hash = self.hash_of(key);
        let named = self.by_key.find(spread(hash), |named| {
            let is_it = |task: &TaskEntry| task.key == *key;
            named.hash == hash && self.get(named.row).is_some_and(is_it)
        });
        named.map(|named| named.row)
    }

    /// All tasks, by row.
    pub(in crate::state) fn iter(&self) -> impl Iterator<Item = (Row, &TaskEntry)> {
        let rows = (0u32..).map(Row::from_number).zip(&self.slots);
        rows.filter_map(|(row, slot)| Some((row, slot.entry()?)))
    }

    /// Notes that one mention of `dependency` by a dependent is gone, after the dependent is.
    pub(in crate::state) fn forget_dependent(&mut self, dependency: Row) {
        let entry = &mut self[dependency];
        entry.live_dependents -= 1;
        let live = entry.live_dependents as usize;
        if entry.dependents.len() > 16 && entry.dependents.len() > 2 * live {
            let mut dependents = std::mem::take(&mut entry.dependents);
            dependents.retain(|id| self.row(*id).is_some());
            self[dependency].dependents = dependents;
        }
    }
}

fn index(row: Row) -> usize {
    row.number() as usize
}

fn fold(state: &FixedState, key: &str) -> u32 {
    let hash = state.hash_one(key);
    (hash ^ hash >> 32) as u32
}

/// For rows that are known to be occupied: neighbours in the graph, members of an index.
impl Index<Row> for TaskTable {
    type Output = TaskEntry;

    fn index(&self, row: Row) -> &TaskEntry {
        let entry = self.slots[index(row)].entry();
        entry.expect("rows in the graph and in indexes are occupied")
    }
}

impl IndexMut<Row> for TaskTable {
    fn index_mut(&mut self, row: Row) -> &mut TaskEntry {
        match &mut self.slots[index(row)] {
            Slot::Taken(entry) => entry,
            Slot::Vacant { .. } => unreachable!("rows in the graph and in indexes are occupied"),
        }
    }
}

#[cfg(test)]
mod tests {
    use dask_proto::id::{ClientId, FutureId};

    use super::*;
    use crate::state::table::spec::Source;
    use crate::state::table::task::Hold;

    /// Keys, indexes and clients' futures come on top of this.
    #[test]
    fn a_task_keeps_to_its_budget_of_bytes() {
        assert!(size_of::<Slot>() <= 144, "{} bytes", size_of::<Slot>());
    }

    #[test]
    fn a_row_is_used_again_under_another_id() {
        let mut tasks = TaskTable::default();
        let by = Hold { client: ClientId(1), future: FutureId(1) };
        let insert = |tasks: &mut TaskTable, key: &str| {
            let key = Key::new(key).expect("a short key");
            let source = Source::Data { by };
            let row = tasks.insert(TaskEntry::new(key, source, 0));
            (row, tasks.id(row))
        };
        let (first, first_id) = insert(&mut tasks, "a");
        tasks.remove(first);
        let (second, second_id) = insert(&mut tasks, "b");
        assert_eq!(first, second);
        assert_ne!(first_id, second_id);
        assert_eq!(tasks.row(first_id), None);
        assert_eq!(tasks.row(second_id), Some(second));
        assert_eq!(tasks.find("a"), None);
    }
}
