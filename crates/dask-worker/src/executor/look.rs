//! Tasks that run, as they are looked at from outside.

use std::sync::{Arc, Weak};
use std::time::Instant;

use dask_proto::message::RunningTask;
use dask_task::TaskDef;

use super::seat::Seat;
use super::{Executor, Shared};

/// Looks at the threads from outside, for as long as they are there.
pub(crate) struct Sampler {
    shared: Weak<Shared>,
}

/// A task that was found on a thread.
pub(crate) struct Seen {
    pub(super) seat: Arc<Seat>,
    pub(crate) def: Option<&'static TaskDef>,
    /// The number by which the system knows the thread.
    pub(crate) thread: Option<u32>,
    /// Where on the thread's stack the task was called: it is below.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "stacks are read on Linux"))]
    pub(crate) top: usize,
    /// Tells it from what the thread runs before and after.
    pub(super) since: Instant,
}

impl Executor {
    /// What looks at the threads from outside.
    pub(crate) fn sampler(&self) -> Sampler {
        Sampler { shared: Arc::downgrade(&self.shared) }
    }
}

impl Sampler {
    /// The tasks that run now; `None` once the worker ended.
    pub(crate) fn look(&self) -> Option<Vec<Seen>> {
        let shared = self.shared.upgrade()?;
        let queue = shared.queue();
        if queue.is_closed {
            return None;
        }
        let seats: Vec<_> = queue.running.values().cloned().collect();
        drop(queue);
        Some(seats.into_iter().filter_map(Seat::seen).collect())
    }
}

impl Seen {
    /// The path of the task's function.
    pub(crate) fn path(&self) -> &'static str {
        self.def.map_or("a function that is not here", |def| def.path)
    }

    /// The task, if it still runs.
    pub(crate) fn task(&self) -> Option<RunningTask> {
        self.while_it_runs(|| ())?;
        self.seat.running()
    }

    /// Does this while the task cannot come to its end; nothing if it came to it.
    pub(crate) fn while_it_runs<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        self.seat.during(self.since, work)
    }
}
