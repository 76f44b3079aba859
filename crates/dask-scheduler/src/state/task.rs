use std::hash::BuildHasher;
use std::ops::{Index, IndexMut, Range};
use std::sync::Arc;

use dask_proto::graph::{Priority, TaskOptions};
use dask_proto::id::{ClientId, FutureId, RunId, TaskId, WorkerId};
use dask_proto::map::SmallSet;
use dask_proto::{Address, Key, Moment, Payload, TaskError};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::function::FunctionRow;
use super::small_list::SmallList;

/// A client's future on a key.
pub(super) type Hold = (ClientId, FutureId);

/// What the scheduler knows about a task. There can be millions: every byte counts.
#[derive(Debug)]
pub(super) struct TaskEntry {
    pub(super) key: Key,
    pub(super) state: TaskState,
    /// When it came into that state.
    pub(super) since: Since,
    pub(super) source: Source,
    pub(super) priority: Priority,
    /// The futures on it (Dask's `who_wants`).
    pub(super) holds: SmallSet<Hold>,
    /// The tasks whose results are its arguments, as often as the body counts them. They stay
    /// known for as long as this task is, so that it can be computed again.
    pub(super) dependencies: Box<[Row]>,
    /// The tasks that have this one as a dependency, as often as they do, in order of arrival.
    /// Forgotten ones are swept out once they are the greater part: forgetting one is O(1).
    pub(super) dependents: SmallList<TaskId>,
    /// How many of `dependents` are still known.
    pub(super) live_dependents: u32,
    /// How many of `dependents` are on their way to a result and need this one.
    pub(super) waiters: u32,
    /// The latest attempt.
    pub(super) run: RunId,
    /// How often it may still fail.
    pub(super) retries: u32,
    /// Somebody fired and forgot it: it is wanted until it is done.
    pub(super) fired: bool,
    /// The workers that died while they had it. Boxed, for hardly any task has any.
    pub(super) deaths: Option<Box<Deaths>>,
}

/// The workers that died while they had a task.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// Those under which it may have been running.
    pub(super) suspected: Vec<Address>,
    /// How many died since it was last done while it seemed to be waiting there for its turn.
    pub(super) beside: u32,
}

/// A moment to a tenth of a second, which people and the watchdog are content with: a row has four
/// bytes left. Ends thirteen years after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Since(u32);

impl Since {
    const NANOS: u64 = 100_000_000;

    pub(super) fn moment(self) -> Moment {
        Moment::from_nanos(u64::from(self.0) * Self::NANOS)
    }
}

impl From<Moment> for Since {
    fn from(moment: Moment) -> Self {
        Self(u32::try_from(moment.as_nanos() / Self::NANOS).unwrap_or(u32::MAX))
    }
}

/// Where the result of a task comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is computed.
    Spec(Spec),
    /// A client puts it on a worker.
    Data {
        /// The client that announced it last, and for which future.
        by: Hold,
    },
}

/// How to compute a task.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) function: FunctionRow,
    /// Boxed, for the keys of most tasks say it.
    pub(super) content: Option<Box<[u8; 16]>>,
    pub(super) body: Payload,
    pub(super) options: Arc<TaskOptions>,
}

/// Where a task stands. The names are Dask's; forgotten is the absence of an entry.
#[derive(Debug)]
pub(super) enum TaskState {
    /// Known, and neither computed nor about to be; scattered data before it arrives.
    Released,
    /// Some dependencies are not in memory.
    Waiting {
        /// How many of its dependencies.
        missing: u32,
    },
    /// It could run, and no worker has room for another root task.
    Queued,
    /// It could run, and no worker is there that may run it.
    NoWorker,
    /// A worker has it.
    Processing {
        worker: WorkerId,
        /// The event in which the worker was given it, by its lower half: for a row has four bytes
        /// left, and four thousand million events are enough to tell what came before what.
        given: u32,
        /// It left the worker's pool of threads.
        seceded: bool,
        /// The worker was asked to give it back, and did not.
        kept: bool,
    },
    /// Its result is on workers.
    Memory { nbytes: u64, holders: SmallSet<WorkerId> },
    /// It failed, or something that it depends on did.
    Erred { error: Arc<TaskError> },
}

/// A [`TaskState`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StateName {
    Released,
    Waiting,
    Queued,
    NoWorker,
    Processing,
    Memory,
    Erred,
    Forgotten,
}

impl StateName {
    /// Every state of a task that is known.
    pub(super) const ALL: [Self; 7] = [
        Self::Released,
        Self::Waiting,
        Self::Queued,
        Self::NoWorker,
        Self::Processing,
        Self::Memory,
        Self::Erred,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::NoWorker => "no-worker",
            Self::Processing => "processing",
            Self::Memory => "memory",
            Self::Erred => "erred",
            Self::Forgotten => "forgotten",
        }
    }
}

impl TaskState {
    pub(super) fn name(&self) -> StateName {
        match self {
            Self::Released => StateName::Released,
            Self::Waiting { .. } => StateName::Waiting,
            Self::Queued => StateName::Queued,
            Self::NoWorker => StateName::NoWorker,
            Self::Processing { .. } => StateName::Processing,
            Self::Memory { .. } => StateName::Memory,
            Self::Erred { .. } => StateName::Erred,
        }
    }

    /// On its way to a result, and so in need of its dependencies.
    pub(super) fn is_active(&self) -> bool {
        matches!(
            self,
            Self::Waiting { .. } | Self::Queued | Self::NoWorker | Self::Processing { .. }
        )
    }

    pub(super) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }
}

impl TaskEntry {
    pub(super) fn new(key: Key, source: Source, priority: Priority) -> Self {
        let retries = match &source {
            Source::Spec(spec) => spec.options.retries,
            Source::Data { .. } => 0,
        };
        Self {
            key,
            state: TaskState::Released,
            since: Since::default(),
            source,
            priority,
            holds: SmallSet::Empty,
            dependencies: Box::default(),
            dependents: SmallList::Empty,
            live_dependents: 0,
            waiters: 0,
            run: RunId(0),
            retries,
            fired: false,
            deaths: None,
        }
    }

    /// Whether anybody has use for its result.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_held() || self.waiters > 0
    }

    /// Whether a future or nobody's patience keeps it.
    pub(super) fn is_held(&self) -> bool {
        self.fired || !self.holds.is_empty()
    }

    pub(super) fn spec(&self) -> Option<&Spec> {
        match &self.source {
            Source::Spec(spec) => Some(spec),
            Source::Data { .. } => None,
        }
    }

    pub(super) fn function(&self) -> Option<FunctionRow> {
        self.spec().map(|spec| spec.function)
    }

    /// Where its result is, if it is anywhere.
    pub(super) fn holders(&self) -> Option<&SmallSet<WorkerId>> {
        match &self.state {
            TaskState::Memory { holders, .. } => Some(holders),
            _ => None,
        }
    }

    /// The size of its result in bytes, if it is in memory.
    pub(super) fn nbytes(&self) -> Option<u64> {
        match &self.state {
            TaskState::Memory { nbytes, .. } => Some(*nbytes),
            _ => None,
        }
    }
}

/// A place in the [`TaskTable`]: the low half of a [`TaskId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row(u32);

impl Row {
    /// The place with this number, which may be vacant.
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The place as a number, to spread choices by.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// All tasks, by row and by key. A row is used again for another task, under a new generation.
#[derive(Debug, Default)]
pub(super) struct TaskTable {
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

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<TaskEntry>,
}

impl TaskTable {
    pub(super) fn insert(&mut self, entry: TaskEntry) -> Row {
        let row = self.vacant.pop().unwrap_or_else(|| {
            let row = u32::try_from(self.slots.len())
                .expect("memory ends long before four thousand million tasks");
            self.slots.push(Slot::default());
            Row(row)
        });
        let hash = self.hash_of(entry.key.as_str());
        self.by_key.insert_unique(spread(hash), Named { hash, row }, Named::bits);
        self.slots[row.0 as usize].entry = Some(entry);
        row
    }

    pub(super) fn remove(&mut self, row: Row) -> Option<TaskEntry> {
        let slot = self.slots.get_mut(row.0 as usize)?;
        let entry = slot.entry.take()?;
        let hash = spread(fold(&self.hash, entry.key.as_str()));
        if let Ok(named) = self.by_key.find_entry(hash, |named| named.row == row) {
            named.remove();
        }
        // A row whose generations are used up stays empty for ever: ids are never used twice.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.vacant.push(row);
        }
        Some(entry)
    }

    fn hash_of(&self, key: &str) -> u32 {
        fold(&self.hash, key)
    }

    pub(super) fn get(&self, row: Row) -> Option<&TaskEntry> {
        self.slots.get(row.0 as usize)?.entry.as_ref()
    }

    /// How many rows there are, vacant ones too.
    pub(super) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// The rows in a range that have a task.
    pub(super) fn occupied(&self, range: Range<usize>) -> Vec<Row> {
        let rows = range.filter_map(|row| u32::try_from(row).ok()).map(Row);
        rows.filter(|row| self.get(*row).is_some()).collect()
    }

    /// The id of the task in a row.
    pub(super) fn id(&self, row: Row) -> TaskId {
        let generation = self.slots[row.0 as usize].generation;
        TaskId(u64::from(row.0) | u64::from(generation) << 32)
    }

    /// The row of a task, if it is still known.
    pub(super) fn row(&self, id: TaskId) -> Option<Row> {
        let index = id.0 & u64::from(u32::MAX);
        let slot = self.slots.get(usize::try_from(index).ok()?)?;
        let row = Row(u32::try_from(index).ok()?);
        (slot.entry.is_some() && u64::from(slot.generation) == id.0 >> 32).then_some(row)
    }

    pub(super) fn find(&self, key: &str) -> Option<Row> {
        let hash = self.hash_of(key);
        let named = self.by_key.find(spread(hash), |named| {
            let is_it = |task: &TaskEntry| task.key == *key;
            named.hash == hash && self.get(named.row).is_some_and(is_it)
        });
        named.map(|named| named.row)
    }

    /// All tasks, by row.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Row, &TaskEntry)> {
        (0u32..).zip(&self.slots).filter_map(|(row, slot)| Some((Row(row), slot.entry.as_ref()?)))
    }

    /// Notes that one mention of `dependency` by a dependent is gone, after the dependent is.
    pub(super) fn forget_dependent(&mut self, dependency: Row) {
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

fn fold(state: &FixedState, key: &str) -> u32 {
    let hash = state.hash_one(key);
    (hash ^ hash >> 32) as u32
}

/// For rows that are known to be occupied: neighbours in the graph, members of an index.
impl Index<Row> for TaskTable {
    type Output = TaskEntry;

    fn index(&self, row: Row) -> &TaskEntry {
        let entry = self.slots[row.0 as usize].entry.as_ref();
        entry.expect("rows in the graph and in indexes are occupied")
    }
}

impl IndexMut<Row> for TaskTable {
    fn index_mut(&mut self, row: Row) -> &mut TaskEntry {
        let entry = self.slots[row.0 as usize].entry.as_mut();
        entry.expect("rows in the graph and in indexes are occupied")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million tasks shall cost some 400 MB in all: keys, indexes and clients' futures come on
    /// top of this.
    #[test]
    fn a_task_keeps_to_its_budget_of_bytes() {
        assert!(size_of::<Slot>() <= 216, "{} bytes", size_of::<Slot>());
    }

    #[test]
    fn a_row_is_used_again_under_another_id() {
        let mut tasks = TaskTable::default();
        let by = (ClientId(1), FutureId(1));
        let insert = |tasks: &mut TaskTable, key: &str| {
            let key = Key::new(key).expect("a short key");
            let source = Source::Data { by };
            let row = tasks.insert(TaskEntry::new(key, source, Priority::default()));
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
