use std::fmt;

use dask_proto::graph::Priority;
use dask_proto::id::{FunctionId, RunId, TaskId, WorkerId};
use dask_proto::map::SmallSet;
use dask_proto::message::Compute;

use super::instruction::FlightId;
use super::resources::Requirement;

/// What the worker knows of one task: one that it computes, one whose result it holds or needs,
/// or both.
#[derive(Debug, Default)]
pub(super) struct TaskEntry {
    pub(super) state: TaskState,
    /// The most urgent reason to have it.
    pub(super) priority: Priority,
    /// The size of its result in bytes, as far as known.
    pub(super) nbytes: u64,
    /// The peers that may be asked for its result.
    pub(super) holders: SmallSet<WorkerId>,
    /// The peers that were asked in vain.
    pub(super) failed: SmallSet<WorkerId>,
    /// The tasks here that need its result and have not started.
    pub(super) dependents: SmallSet<TaskId>,
    /// Whether the scheduler wants a copy here.
    pub(super) acquired: bool,
}

impl TaskEntry {
    /// Whether somebody wants the result here, wherever it comes from.
    pub(super) fn is_needed(&self) -> bool {
        self.acquired || !self.dependents.is_empty()
    }
}

/// Where a task stands. A task that erred is reported and released at once.
#[derive(Debug, Default)]
pub(super) enum TaskState {
    /// Nothing is done for it.
    #[default]
    Released,
    /// To be computed, once the last dependency is here.
    Waiting {
        compute: Box<Compute>,
        /// How many distinct dependencies are not here.
        missing: usize,
    },
    /// To be computed, once the run of it that was cancelled ends.
    Resumed { compute: Box<Compute> },
    /// To be computed, once a thread is free.
    Ready { compute: Box<Compute> },
    /// To be computed, once a thread and its abstract resources are free.
    Constrained { compute: Box<Compute>, requirement: Requirement },
    /// On a thread, or handed to the threads.
    Executing(Run),
    /// Running outside of the pool.
    LongRunning(Run),
    /// Its result is to be fetched.
    Fetch,
    /// Its result is being fetched.
    Flight(FlightId),
    /// No peer is left that could have its result; lasts to the end of an event.
    Missing,
    /// Its result is here.
    Memory,
}

/// One run of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) function: FunctionId,
    pub(super) requirement: Requirement,
    /// How long it was expected to run, in nanoseconds.
    pub(super) cost_ns: u32,
    /// Whether it left the pool.
    pub(super) seceded: bool,
    /// Whether it waits to come back.
    pub(super) returning: bool,
}

/// The name of a task's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Nothing is done for it, or it is not known.
    Released,
    /// To be computed, once the last dependency is here.
    Waiting,
    /// To be computed, once the run of it that was cancelled ends.
    Resumed,
    /// To be computed, once a thread is free.
    Ready,
    /// To be computed, once a thread and its abstract resources are free.
    Constrained,
    /// On a thread, or handed to the threads.
    Executing,
    /// Running outside of the pool.
    LongRunning,
    /// Its result is to be fetched.
    Fetch,
    /// Its result is being fetched.
    Flight,
    /// No peer is left that could have its result.
    Missing,
    /// Its result is here.
    Memory,
    /// It failed: reported, and released at once.
    Error,
}

impl TaskState {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Released => Stage::Released,
            Self::Waiting { .. } => Stage::Waiting,
            Self::Resumed { .. } => Stage::Resumed,
            Self::Ready { .. } => Stage::Ready,
            Self::Constrained { .. } => Stage::Constrained,
            Self::Executing(_) => Stage::Executing,
            Self::LongRunning(_) => Stage::LongRunning,
            Self::Fetch => Stage::Fetch,
            Self::Flight(_) => Stage::Flight,
            Self::Missing => Stage::Missing,
            Self::Memory => Stage::Memory,
        }
    }

    /// The attempt that the scheduler asked for, if the task is to be computed here.
    pub(super) fn run(&self) -> Option<RunId> {
        match self {
            Self::Waiting { compute, .. }
            | Self::Resumed { compute }
            | Self::Ready { compute }
            | Self::Constrained { compute, .. } => Some(compute.run),
            Self::Executing(run) | Self::LongRunning(run) => Some(run.id),
            _ => None,
        }
    }

    /// The assignment that has not started.
    pub(super) fn compute(&self) -> Option<&Compute> {
        match self {
            Self::Waiting { compute, .. }
            | Self::Resumed { compute }
            | Self::Ready { compute }
            | Self::Constrained { compute, .. } => Some(compute),
            _ => None,
        }
    }

    /// Takes the assignment that has not started.
    pub(super) fn into_compute(self) -> Option<Box<Compute>> {
        match self {
            Self::Waiting { compute, .. }
            | Self::Resumed { compute }
            | Self::Ready { compute }
            | Self::Constrained { compute, .. } => Some(compute),
            _ => None,
        }
    }
}

impl Stage {
    /// Dask's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Waiting => "waiting",
            Self::Resumed => "resumed",
            Self::Ready => "ready",
            Self::Constrained => "constrained",
            Self::Executing => "executing",
            Self::LongRunning => "long-running",
            Self::Fetch => "fetch",
            Self::Flight => "flight",
            Self::Missing => "missing",
            Self::Memory => "memory",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
