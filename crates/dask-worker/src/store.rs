use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dask_proto::Payload;
use dask_proto::id::TaskId;
use dask_proto::map::TaskMap;
use tokio::sync::mpsc;

use crate::spill::SpillFile;
use crate::state::Event;

/// The results that a worker holds, live, encoded, or on disk. Shared by the worker's loop, its
/// threads and the connections that serve its peers; which results are here, and which of them are
/// to be on disk, is for the state alone to say.
#[derive(Debug)]
pub(crate) struct Store {
    values: Mutex<Values>,
    /// What the state has to know: bounded by what it asked for, and by the runs under way.
    reports: mpsc::UnboundedSender<Event>,
}

#[derive(Debug, Default)]
struct Values {
    held: TaskMap<Held>,
    generation: u64,
}

/// A result in memory, or on disk, or both: a value never changes, so its file stays good, and
/// costs nothing to go back to.
#[derive(Debug)]
struct Held {
    /// Tells it from an earlier result of the same task.
    generation: u64,
    memory: Option<Payload>,
    file: Option<Arc<SpillFile>>,
}

/// A result, to be used now.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is in memory.
    Here(Payload),
    /// It is to be read from disk.
    OnDisk(OnDisk),
}

/// A result on disk. The file stays as long as this does.
#[derive(Debug, Clone)]
pub(crate) struct OnDisk {
    task: TaskId,
    generation: u64,
    file: Arc<SpillFile>,
}

/// What there is to write of a result that is to go to disk.
#[derive(Debug)]
pub(crate) enum ToSpill {
    /// All of it.
    Write { generation: u64, value: Payload },
    /// Nothing: it was written before, or is gone.
    Nothing { evicted: Option<Payload> },
}

impl Values {
    fn find(&self, task: TaskId) -> Option<Found> {
        let held = self.held.get(&task)?;
        match (&held.memory, &held.file) {
            (Some(value), _) => Some(Found::Here(value.clone())),
            (None, Some(file)) => {
                let (generation, file) = (held.generation, Arc::clone(file));
                Some(Found::OnDisk(OnDisk { task, generation, file }))
            }
            (None, None) => None,
        }
    }
}

impl Store {
    /// An empty store, and what its state has to hear.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (reports, heard) = mpsc::unbounded_channel();
        (Self { values: Mutex::default(), reports }, heard)
    }

    pub(crate) fn insert(&self, task: TaskId, value: Payload) {
        let mut values = self.lock();
        values.generation += 1;
        let generation = values.generation;
        let held = Held { generation, memory: Some(value), file: None };
        let previous = values.held.insert(task, held);
        drop(values);
        discard(previous);
    }

    pub(crate) fn remove(&self, task: TaskId) {
        let removed = self.lock().held.remove(&task);
        discard(removed);
    }

    pub(crate) fn get(&self, task: TaskId) -> Option<Found> {
        self.lock().find(task)
    }

    /// Several results, up to the first that is not here.
    pub(crate) fn get_all(&self, tasks: impl ExactSizeIterator<Item = TaskId>) -> Vec<Found> {
        let mut found = Vec::with_capacity(tasks.len());
        let values = self.lock();
        found.extend(tasks.map_while(|task| values.find(task)));
        found
    }

    /// Reads a result from disk. One that cannot be read is lost, and the state hears of it.
    pub(crate) fn read(&self, result: &OnDisk) -> Option<Payload> {
        let task = result.task;
        match catch_unwind(AssertUnwindSafe(|| result.file.read())) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => tracing::error!(%error, %task, "a result is lost on disk"),
            Err(_) => tracing::error!(%task, "a result is lost on disk: reading it panicked"),
        }
        let values = self.lock();
        let held = values.held.get(&task);
        if held.is_some_and(|held| held.generation == result.generation) {
            self.report(Event::Lost { task });
        }
        None
    }

    /// Puts a live value in place of its encoding, if that is still here.
    pub(crate) fn decoded(&self, task: TaskId, value: Payload) {
        let mut values = self.lock();
        let memory = values.held.get_mut(&task).and_then(|held| held.memory.as_mut());
        if let Some(held) = memory.filter(|held| held.is_encoded()) {
            *held = value;
        }
    }

    /// Holds in memory what a task read from disk and used in place: the next will find it.
    pub(crate) fn unspilled(&self, result: &OnDisk, value: Payload) {
        let mut values = self.lock();
        let held = values.held.get_mut(&result.task);
        if let Some(held) = held.filter(|held| held.generation == result.generation)
            && held.memory.is_none()
        {
            held.memory = Some(value);
            self.report(Event::Unspilled { task: result.task });
        }
    }

    /// What is to be written of a result.
    pub(crate) fn to_spill(&self, task: TaskId) -> ToSpill {
        let mut values = self.lock();
        let Some(held) = values.held.get_mut(&task) else {
            return ToSpill::Nothing { evicted: None };
        };
        match (&held.file, &held.memory) {
            (None, Some(value)) => {
                ToSpill::Write { generation: held.generation, value: value.clone() }
            }
            _ => {
                let evicted = held.memory.take();
                self.report(Event::Spilled { task });
                ToSpill::Nothing { evicted }
            }
        }
    }

    /// A result was written: it leaves memory, for the caller to drop. Nothing happens when it is
    /// no longer the result that is held.
    pub(crate) fn spilled(
        &self,
        task: TaskId,
        generation: u64,
        file: Arc<SpillFile>,
    ) -> Option<Payload> {
        let mut values = self.lock();
        let held = values.held.get_mut(&task);
        let held = held.filter(|held| held.generation == generation)?;
        held.file = Some(file);
        let evicted = held.memory.take();
        self.report(Event::Spilled { task });
        evicted
    }

    /// Tells the state.
    pub(crate) fn report(&self, event: Event) {
        // The worker may have ended.
        let _ = self.reports.send(event);
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what may own a user's value, whose `drop` may panic: that must not end the worker.
pub(crate) fn discard<T>(value: T) {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(value)));
    if dropped.is_err() {
        tracing::error!("a value of a task panicked when it was dropped");
    }
}
