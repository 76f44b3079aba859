use std::fmt;

use dask_proto::id::{RunId, StimulusId, TaskId};
use dask_proto::message::{Compute, WorkerToScheduler};
use dask_proto::{Address, Payload};

/// One fetch from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FlightId(pub u64);

/// One put of a client, named by the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PutId(pub u64);

impl fmt::Display for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flight{}", self.0)
    }
}

impl fmt::Display for PutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put{}", self.0)
    }
}

/// What a state asks of its shell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Instruction {
    /// Hold this value.
    Store {
        /// The task whose result it is.
        task: TaskId,
        /// The value.
        value: Payload,
    },
    /// Hold this value no more.
    Drop {
        /// The task whose result it is.
        task: TaskId,
    },
    /// Write this value to disk, and hold it there alone.
    Spill {
        /// The task whose result it is.
        task: TaskId,
    },
    /// Give back to the system what the allocator keeps and does not use.
    Trim,
    /// Run a task on the next free thread. Its dependencies are in the store.
    Execute(Box<Compute>),
    /// The result of this run will be dropped: tell the task, or do not start it.
    Cancel {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// Let a task that waits to come back into the pool go on.
    Rejoin {
        /// The task.
        task: TaskId,
        /// The attempt.
        run: RunId,
    },
    /// Ask a peer for results.
    Fetch {
        /// Names the fetch in its outcome.
        flight: FlightId,
        /// The peer.
        address: Address,
        /// The results.
        tasks: Vec<TaskId>,
    },
    /// Close the connection to a peer, which does not answer.
    Disconnect {
        /// The peer.
        address: Address,
    },
    /// Send a batch to the scheduler.
    ToScheduler(Vec<WorkerToScheduler>),
    /// Tell the client that its values are held.
    Stored {
        /// The put.
        put: PutId,
    },
    /// Flush what is to be said, close all connections and end.
    Close {
        /// Why, for people.
        reason: String,
    },
}

/// All that one event leads to, or several events one after the other: at most one batch for the
/// scheduler.
#[derive(Debug, Default)]
pub struct Instructions {
    stimulus: StimulusId,
    actions: Vec<Instruction>,
    to_scheduler: Vec<WorkerToScheduler>,
    stored: Vec<PutId>,
    close: Option<String>,
}

/// For how many instructions there is room from the start, after as many or more.
const KEPT: usize = 1024;

impl Instructions {
    /// An empty buffer, to be used again and again.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The last event that led to these, counted by the state.
    #[must_use]
    pub fn stimulus(&self) -> StimulusId {
        self.stimulus
    }

    /// Takes all instructions out, in the order in which they are to be carried out: values are in
    /// the store before anybody hears of them, and the scheduler hears of a put before its client.
    pub fn drain(&mut self) -> impl Iterator<Item = Instruction> + use<> {
        // As many are likely to follow: growing by and by would copy them again and again.
        let actions = Vec::with_capacity(self.actions.len().min(KEPT));
        let to_scheduler = Vec::with_capacity(self.to_scheduler.len().min(KEPT));
        let next = Self { actions, to_scheduler, ..Self::default() };
        let taken = std::mem::replace(self, next);
        let batch = Some(taken.to_scheduler).filter(|batch| !batch.is_empty());
        let stored = taken.stored.into_iter();
        taken
            .actions
            .into_iter()
            .chain(batch.map(Instruction::ToScheduler))
            .chain(stored.map(|put| Instruction::Stored { put }))
            .chain(taken.close.map(|reason| Instruction::Close { reason }))
    }

    pub(super) fn begin(&mut self, stimulus: StimulusId) {
        self.stimulus = stimulus;
    }

    pub(super) fn act(&mut self, action: Instruction) {
        self.actions.push(action);
    }

    /// Tells the scheduler.
    pub(super) fn tell(&mut self, message: WorkerToScheduler) {
        self.to_scheduler.push(message);
    }

    /// Whether the scheduler is to be told something.
    pub(super) fn has_batch(&self) -> bool {
        !self.to_scheduler.is_empty()
    }

    /// Tells the scheduler of a copy: one message for a run of them.
    pub(super) fn added(&mut self, task: TaskId, nbytes: u64) {
        if let Some(WorkerToScheduler::Added { tasks }) = self.to_scheduler.last_mut() {
            tasks.push((task, nbytes));
        } else {
            let tasks = vec![(task, nbytes)];
            self.tell(WorkerToScheduler::Added { tasks });
        }
    }

    /// Tells the scheduler of a copy that is not to be had: one message for a run of them.
    pub(super) fn not_acquired(&mut self, task: TaskId) {
        if let Some(WorkerToScheduler::NotAcquired { tasks }) = self.to_scheduler.last_mut() {
            tasks.push(task);
        } else {
            self.tell(WorkerToScheduler::NotAcquired { tasks: vec![task] });
        }
    }

    pub(super) fn stored(&mut self, put: PutId) {
        self.stored.push(put);
    }

    pub(super) fn close(&mut self, reason: String) {
        self.close.get_or_insert(reason);
    }
}
