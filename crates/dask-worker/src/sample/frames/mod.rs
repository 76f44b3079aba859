//! The frames of a task's stack: copied by its thread, unwound and named by whoever asks.

mod interrupt;
mod name;
mod symbol;
mod unwind;

use std::time::Duration;

use dask_proto::message::StackFrame;
use dask_task::TaskDef;

use super::ENDED;
use crate::executor::Seen;

use interrupt::Turn;
pub(crate) use interrupt::watch_thread;
use name::Names;
use unwind::Unwinder;
pub(crate) use unwind::{Trace, depth};

/// Looks at stacks.
pub(crate) struct Frames {
    unwinder: Unwinder,
    names: Names,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { unwinder: Unwinder::new(), names: Names::default() }
    }

    /// Where a task is.
    ///
    /// # Errors
    /// Why that is not known.
    pub(crate) fn look(&mut self, seen: &Seen, patience: Duration) -> Result<Trace, &'static str> {
        let thread = seen.thread.ok_or("[no number of the thread]")?;
        let turn = Turn::take()?;
        // The thread cannot end before it is asked. What it answers later is its own.
        let asked = seen.while_it_runs(|| turn.ask(thread, seen.top)).ok_or(ENDED)?;
        let copied = if asked { turn.answer(thread, patience) } else { None };
        let trace = self.unwinder.trace(&copied.ok_or("[no answer]")?);
        // It was this task's stack if it still runs.
        seen.while_it_runs(|| trace).ok_or(ENDED)
    }

    /// Looks up what it takes to name these.
    pub(crate) fn prepare<'a>(
        &mut self,
        traces: impl Iterator<Item = (&'static TaskDef, &'a Trace)>,
    ) {
        self.names.prepare(traces, &self.unwinder);
    }

    /// The frames of a task, outermost first, which is the task's function. What was not prepared
    /// has no name.
    pub(crate) fn name(&self, def: &TaskDef, trace: &Trace) -> Vec<StackFrame> {
        self.names.stack(def, trace)
    }
}
