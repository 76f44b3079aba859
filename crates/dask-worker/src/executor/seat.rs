//! The place of a thread in the pool, as the task that runs on it sees it.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use dask_proto::Key;
use dask_proto::id::{RunId, TaskId};
use dask_proto::message::{LogLevel, RunningTask};
use dask_task::TaskDef;
use dask_task::context::{Host, PoolError};

use super::Shared;
use super::look::Seen;

/// A thread that runs tasks.
pub(super) struct Seat {
    shared: Arc<Shared>,
    /// Set when the result of the run will be dropped. One for all runs of the thread, each of
    /// which has it for itself from its start to its end.
    cancelled: Arc<AtomicBool>,
    turn: Mutex<Turn>,
    /// What it runs now, for those who ask.
    now: Mutex<Option<Now>>,
}

/// A task that runs.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) key: Key,
    pub(super) def: Option<&'static TaskDef>,
    pub(super) since: Instant,
    /// The number by which the system knows the thread.
    pub(super) thread: Option<u32>,
    /// Where on the stack the call is made.
    pub(super) top: usize,
}

/// The run that has the thread now, or had it last.
#[derive(Debug, Default)]
struct Turn {
    run: (TaskId, RunId),
    /// Since when it has been outside of the pool.
    left: Option<Instant>,
    /// How long it was outside of the pool before that.
    outside: Duration,
}

impl Seat {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, cancelled: Arc::default(), turn: Mutex::default(), now: Mutex::default() }
    }

    /// From now on the thread runs this, in the pool.
    pub(super) fn begin(&self, run: (TaskId, RunId)) {
        *self.turn() = Turn { run, ..Turn::default() };
    }

    /// The thread calls this function now.
    pub(super) fn calls(&self, now: Now) {
        *self.now() = Some(now);
    }

    /// The thread calls nothing now.
    pub(super) fn called(&self) {
        *self.now() = None;
    }

    /// The task that runs on the thread.
    pub(super) fn running(&self) -> Option<RunningTask> {
        let now = self.now();
        let Now { key, def, since, .. } = now.as_ref()?;
        let elapsed_ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let function = def.map_or_else(String::new, |def| def.path.to_owned());
        let key = key.clone();
        drop(now);
        // One that waits to come back into the pool holds the lock, and is outside.
        let is_inside = self.turn.try_lock().is_ok_and(|turn| turn.left.is_none());
        Some(RunningTask { key, function, elapsed_ns, seceded: !is_inside })
    }

    /// The task that runs on the thread, for those who look at the thread itself.
    pub(super) fn seen(self: Arc<Self>) -> Option<Seen> {
        let now = self.now();
        let Now { def, since, thread, top, .. } = *now.as_ref()?;
        drop(now);
        Some(Seen { seat: self, def, thread, top, since })
    }

    /// Does this while what began then cannot come to its end; nothing if it came to it.
    pub(super) fn during<T>(&self, since: Instant, work: impl FnOnce() -> T) -> Option<T> {
        let now = self.now();
        let runs = now.as_ref().is_some_and(|now| now.since == since);
        runs.then(work)
    }

    fn now(&self) -> MutexGuard<'_, Option<Now>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flag of the run that has the thread.
    pub(super) fn cancelled(&self) -> &Arc<AtomicBool> {
        &self.cancelled
    }

    /// Whether the run left the pool and did not come back.
    pub(super) fn is_outside(&self) -> bool {
        self.turn().left.is_some()
    }

    /// For how long the run was outside of the pool.
    pub(super) fn time_outside(&self) -> Duration {
        let turn = self.turn();
        turn.outside + turn.left.map_or(Duration::ZERO, |left| left.elapsed())
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Seat {
    fn is_outside(&self) -> bool {
        Seat::is_outside(self)
    }

    fn secede(&self) -> Result<(), PoolError> {
        let mut turn = self.turn();
        if turn.left.is_none() {
            self.shared.replace_thread(turn.run)?;
            turn.left = Some(Instant::now());
        }
        Ok(())
    }

    fn rejoin(&self) -> Result<(), PoolError> {
        let mut turn = self.turn();
        if let Some(left) = turn.left {
            self.shared.await_readmission(turn.run, &self.cancelled)?;
            turn.outside += left.elapsed();
            turn.left = None;
        }
        Ok(())
    }

    fn local_directory(&self) -> io::Result<PathBuf> {
        self.shared.locker().path()
    }

    fn say(&self, key: Key, level: LogLevel, text: String) {
        self.shared.log().record(level, Some(key), text);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("turn", &self.turn).finish_non_exhaustive()
    }
}
