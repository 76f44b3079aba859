//! The place of a thread in the pool, as the task that runs on it sees it.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dask_proto::Key;
use dask_proto::id::{RunId, TaskId};
use dask_proto::message::LogLevel;
use dask_task::context::{Host, PoolError};

use crate::executor::Shared;

/// A thread that runs tasks.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    turn: Mutex<Turn>,
}

/// The run that has the thread now, or had it last.
#[derive(Debug, Default)]
struct Turn {
    run: (TaskId, RunId),
    cancelled: Arc<AtomicBool>,
    /// Since when it has been outside of the pool.
    left: Option<Instant>,
    /// How long it was outside of the pool before that.
    outside: Duration,
}

impl Seat {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, turn: Mutex::default() }
    }

    /// From now on the thread runs this, in the pool.
    pub(crate) fn begin(&self, run: (TaskId, RunId), cancelled: Arc<AtomicBool>) {
        *self.turn() = Turn { run, cancelled, ..Turn::default() };
    }

    /// Whether the run left the pool and did not come back.
    pub(crate) fn is_outside(&self) -> bool {
        self.turn().left.is_some()
    }

    /// For how long the run was outside of the pool.
    pub(crate) fn time_outside(&self) -> Duration {
        let turn = self.turn();
        turn.outside + turn.left.map_or(Duration::ZERO, |left| left.elapsed())
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Seat {
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
            self.shared.await_readmission(turn.run, &turn.cancelled)?;
            turn.outside += left.elapsed();
            turn.left = None;
        }
        Ok(())
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
