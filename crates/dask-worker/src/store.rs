use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dask_proto::Payload;
use dask_proto::id::TaskId;

/// The results that a worker holds, live or encoded. Shared by the worker's loop and the
/// connections that serve its peers; which results are here is for the state alone to say.
#[derive(Debug, Default)]
pub(crate) struct Store {
    values: Mutex<HashMap<TaskId, Payload>>,
}

impl Store {
    pub(crate) fn insert(&self, task: TaskId, value: Payload) {
        let previous = self.lock().insert(task, value);
        discard(previous);
    }

    pub(crate) fn remove(&self, task: TaskId) {
        let removed = self.lock().remove(&task);
        discard(removed);
    }

    pub(crate) fn get(&self, task: TaskId) -> Option<Payload> {
        self.lock().get(&task).cloned()
    }

    /// Puts a live value in place of its encoding, if that is still here.
    pub(crate) fn decoded(&self, task: TaskId, value: Payload) {
        let mut values = self.lock();
        if let Some(held) = values.get_mut(&task).filter(|held| held.is_encoded()) {
            *held = value;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Payload>> {
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
