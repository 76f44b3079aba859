//! What happens, for plugins: noted only while somebody asks for it, and of no consequence here.

use dask_proto::Address;
use dask_proto::id::WorkerId;
use dask_task::plugin::Transition;

use crate::state::SchedulerState;
use crate::state::table::task::{Row, StateName};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observation {
    /// A worker joined.
    WorkerAdded {
        /// Its address.
        worker: Address,
        /// Its name.
        name: String,
    },
    /// A worker left.
    WorkerRemoved {
        /// Its address.
        worker: Address,
        /// Its name.
        name: String,
    },
    /// A client connected.
    ClientAdded {
        /// Its name.
        name: String,
    },
    /// A client left.
    ClientRemoved {
        /// Its name.
        name: String,
    },
    /// A task went from one state to another.
    Moved(Transition),
    /// All tasks were dropped.
    Restarted,
}

impl Observation {
    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        let texts = match self {
            Self::WorkerAdded { worker, name } | Self::WorkerRemoved { worker, name } => {
                worker.as_str().len() + name.len()
            }
            Self::ClientAdded { name } | Self::ClientRemoved { name } => name.len(),
            Self::Moved(transition) => {
                let worker = transition.worker.as_ref().map_or(0, |worker| worker.as_str().len());
                transition.key.as_str().len() + worker
            }
            Self::Restarted => 0,
        };
        size_of::<Self>() + texts
    }
}

/// Whether what happens is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observe {
    /// It is.
    Everything,
    /// It is not.
    Nothing,
}

impl SchedulerState {
    /// Notes what happens from now on, or no longer.
    pub fn observe(&mut self, observe: Observe) {
        self.observed = (observe == Observe::Everything).then(Vec::new);
    }

    /// What happened since this was asked last, oldest first.
    pub fn observations(&mut self) -> Vec<Observation> {
        self.observed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(in crate::state) fn happened(&mut self, observation: impl FnOnce() -> Observation) {
        if let Some(observed) = &mut self.observed {
            observed.push(observation());
        }
    }

    pub(in crate::state) fn moved(
        &mut self,
        row: Row,
        (from, to): (StateName, StateName),
        worker: Option<WorkerId>,
    ) {
        if self.observed.is_none() {
            return;
        }
        let worker = worker.and_then(|worker| self.workers.get(worker));
        let worker = worker.map(|entry| entry.join.address.clone());
        let (start, finish) = (from.as_str(), to.as_str());
        let key = self.tasks[row].key.clone();
        self.happened(|| Observation::Moved(Transition { key, start, finish, worker }));
    }
}
