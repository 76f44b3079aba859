use std::sync::Arc;

use dask_proto::graph::Priority;
use dask_proto::id::{ClientId, FutureId, RunId, TaskId, WorkerId};
use dask_proto::map::{SmallList, SmallSet};
use dask_proto::{Address, Key, Moment, Payload, TaskError};

use super::copies::Copies;
use super::function::FunctionRow;
use super::rows::Rows;
use super::spec::{Source, Spec};

/// A client's future on a key. Packed, so that there is room beside it in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
pub(in crate::state) struct Hold {
    pub(in crate::state) client: ClientId,
    pub(in crate::state) future: FutureId,
}

/// What the scheduler knows about a task. There can be millions: every byte counts.
#[derive(Debug)]
pub(in crate::state) struct TaskEntry {
    pub(in crate::state) key: Key,
    pub(in crate::state) state: TaskState,
    /// When it came into that state.
    pub(in crate::state) since: Since,
    pub(in crate::state) source: Source,
    /// The position in the order in which tasks were first heard of.
    sequence: u64,
    /// The futures on it (Dask's `who_wants`).
    pub(in crate::state) holds: SmallSet<Hold>,
    /// The tasks whose results are its arguments, as often as the body counts them. They stay
    /// known for as long as this task is, so that it can be computed again.
    pub(in crate::state) dependencies: Rows,
    /// The tasks that have this one as a dependency, as often as they do, in order of arrival.
    /// Forgotten ones are swept out once they are the greater part: forgetting one is O(1).
    pub(in crate::state) dependents: SmallList<TaskId>,
    /// How many of `dependents` are still known.
    pub(in crate::state) live_dependents: u32,
    /// How many of `dependents` are on their way to a result and need this one.
    pub(in crate::state) waiters: u32,
    /// The latest attempt.
    pub(in crate::state) run: RunId,
    /// How many tasks had its row before it.
    pub(in crate::state) generation: u32,
    /// Somebody fired and forgot it: it is wanted until it is done.
    pub(in crate::state) fired: bool,
    /// Boxed, for hardly any task has any of it.
    uncommon: Option<Box<Uncommon>>,
}

/// What hardly any task has.
#[derive(Debug, Default)]
struct Uncommon {
    /// The arguments, if they are none that tasks share.
    body: Option<Payload>,
    /// Tells a resubmission from a collision where the key does not.
    content: Option<[u8; 16]>,
    deaths: Deaths,
}

/// The workers that died while they had a task.
#[derive(Debug, Default)]
pub(in crate::state) struct Deaths {
    /// Those under which it may have been running.
    pub(in crate::state) suspected: Vec<Address>,
    /// How many died since it was last done while it seemed to be waiting there for its turn.
    pub(in crate::state) beside: u32,
}

/// A moment to a tenth of a second, which people and the watchdog are content with: a row has four
/// bytes left. Ends thirteen years after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::state) struct Since(u32);

impl Since {
    const NANOS: u64 = 100_000_000;

    pub(in crate::state) fn moment(self) -> Moment {
        Moment::from_nanos(u64::from(self.0) * Self::NANOS)
    }
}

impl From<Moment> for Since {
    fn from(moment: Moment) -> Self {
        Self(u32::try_from(moment.as_nanos() / Self::NANOS).unwrap_or(u32::MAX))
    }
}

/// Where a task stands. The names are Dask's; forgotten is the absence of an entry.
#[derive(Debug)]
pub(in crate::state) enum TaskState {
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
    Memory(Copies),
    /// It failed, or something that it depends on did.
    Erred { error: Arc<TaskError> },
}

/// A [`TaskState`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) enum StateName {
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
    pub(in crate::state) const ALL: [Self; 7] = [
        Self::Released,
        Self::Waiting,
        Self::Queued,
        Self::NoWorker,
        Self::Processing,
        Self::Memory,
        Self::Erred,
    ];

    pub(in crate::state) fn as_str(self) -> &'static str {
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
    pub(in crate::state) fn name(&self) -> StateName {
        match self {
            Self::Released => StateName::Released,
            Self::Waiting { .. } => StateName::Waiting,
            Self::Queued => StateName::Queued,
            Self::NoWorker => StateName::NoWorker,
            Self::Processing { .. } => StateName::Processing,
            Self::Memory(_) => StateName::Memory,
            Self::Erred { .. } => StateName::Erred,
        }
    }

    /// On its way to a result, and so in need of its dependencies.
    pub(in crate::state) fn is_active(&self) -> bool {
        matches!(
            self,
            Self::Waiting { .. } | Self::Queued | Self::NoWorker | Self::Processing { .. }
        )
    }

    pub(in crate::state) fn is_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}

impl TaskEntry {
    pub(in crate::state) fn new(key: Key, source: Source, sequence: u64) -> Self {
        Self {
            key,
            state: TaskState::Released,
            since: Since::default(),
            source,
            sequence,
            holds: SmallSet::Empty,
            dependencies: Rows::default(),
            dependents: SmallList::Empty,
            live_dependents: 0,
            waiters: 0,
            run: RunId(0),
            generation: 0,
            fired: false,
            uncommon: None,
        }
    }

    /// What runs first.
    pub(in crate::state) fn priority(&self) -> Priority {
        let user = self.spec().map_or(0, Spec::priority);
        Priority::new(user, self.sequence)
    }

    /// The arguments.
    pub(in crate::state) fn body(&self) -> Payload {
        let own = self.uncommon.as_ref().and_then(|uncommon| uncommon.body.as_ref());
        match (own, &self.source) {
            (Some(own), _) => own.clone(),
            (None, Source::Spec(spec)) => spec.shared_body(),
            (None, Source::Data { .. }) => Payload::default(),
        }
    }

    /// Gives it arguments of its own.
    pub(in crate::state) fn set_body(&mut self, body: Payload) {
        self.uncommon.get_or_insert_default().body = Some(body);
    }

    /// The digest of function and arguments where the key does not contain it.
    pub(in crate::state) fn content(&self) -> Option<[u8; 16]> {
        self.uncommon.as_ref()?.content
    }

    pub(in crate::state) fn set_content(&mut self, content: Option<[u8; 16]>) {
        if content.is_some() {
            self.uncommon.get_or_insert_default().content = content;
        }
    }

    /// The workers under which it may have been running when they died.
    pub(in crate::state) fn suspected(&self) -> &[Address] {
        self.uncommon.as_ref().map_or(&[], |uncommon| &uncommon.deaths.suspected)
    }

    /// The workers that died while it was there, to add one.
    pub(in crate::state) fn deaths_mut(&mut self) -> &mut Deaths {
        &mut self.uncommon.get_or_insert_default().deaths
    }

    /// It is done: those that died beside it do not count any more.
    pub(in crate::state) fn clear_beside(&mut self) {
        if let Some(uncommon) = &mut self.uncommon {
            uncommon.deaths.beside = 0;
        }
    }

    /// It is tried anew, as if no worker had died.
    pub(in crate::state) fn clear_deaths(&mut self) {
        if let Some(uncommon) = &mut self.uncommon {
            uncommon.deaths = Deaths::default();
        }
    }

    /// Whether anybody has use for its result.
    pub(in crate::state) fn is_wanted(&self) -> bool {
        self.is_held() || self.waiters > 0
    }

    /// Whether a future or nobody's patience keeps it.
    pub(in crate::state) fn is_held(&self) -> bool {
        self.fired || !self.holds.is_empty()
    }

    pub(in crate::state) fn spec(&self) -> Option<&Spec> {
        match &self.source {
            Source::Spec(spec) => Some(spec),
            Source::Data { .. } => None,
        }
    }

    pub(in crate::state) fn spec_mut(&mut self) -> Option<&mut Spec> {
        match &mut self.source {
            Source::Spec(spec) => Some(spec),
            Source::Data { .. } => None,
        }
    }

    pub(in crate::state) fn function(&self) -> Option<FunctionRow> {
        self.spec().map(|spec| spec.function)
    }

    /// Where its result is, if it is anywhere.
    pub(in crate::state) fn holders(&self) -> Option<&Copies> {
        match &self.state {
            TaskState::Memory(copies) => Some(copies),
            _ => None,
        }
    }

    /// The size of its result in bytes, if it is in memory.
    pub(in crate::state) fn nbytes(&self) -> Option<u64> {
        self.holders().map(Copies::nbytes)
    }
}

/// A place in the [`TaskTable`](super::task_table::TaskTable): the low half of a [`TaskId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::state) struct Row(u32);

impl Row {
    /// The place with this number, which may be vacant.
    pub(in crate::state) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The place as a number, to spread choices by.
    pub(in crate::state) fn number(self) -> u32 {
        self.0
    }
}
