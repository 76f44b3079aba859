use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use dask_proto::limits::MAX_NWORKERS;
use dask_proto::message::Program;
use dask_transport::Transports;

use crate::memory::Ledger;
use crate::ports::Ports;
use crate::{Config, Lifetime};

/// What all programs of an agent share.
pub(crate) struct Host {
    pub(crate) config: Config,
    pub(crate) transports: Transports,
    /// What it calls itself when it connects.
    pub(crate) program: Program,
    pub(crate) ports: Ports,
    pub(crate) ledger: Ledger,
    /// The interface that workers listen on.
    pub(crate) interface: String,
    /// Of the agent, and of its workers.
    pub(crate) name: String,
}

impl Host {
    /// Those of the workers of each program.
    pub(crate) fn worker_names(&self) -> Vec<String> {
        match self.config.nworkers {
            0 | 1 => vec![self.name.clone()],
            n => (0..n.min(MAX_NWORKERS)).map(|i| format!("{}-{i}", self.name)).collect(),
        }
    }

    /// How long something lives, with chance added or taken away.
    pub(crate) fn staggered(&self, lifetime: &Lifetime) -> Duration {
        // Each of these has other keys: that is all the chance that is needed.
        let chance = RandomState::new().hash_one(&self.name) as f64 / u64::MAX as f64;
        let earliest = lifetime.duration.saturating_sub(lifetime.stagger);
        let spread = lifetime.stagger.as_secs_f64() * 2.0 * chance;
        let spread = Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX);
        earliest.saturating_add(spread)
    }
}
