use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use dask_program::Tokens;
use dask_proto::Address;
use dask_proto::message::CodePolicy;

use crate::Cache;

/// How an agent is set up. Start from [`Config::new`].
#[derive(Debug)]
pub struct Config {
    /// The scheduler.
    pub scheduler: Address,
    /// Its name, unique among agents, and that of its workers; `None` takes its address.
    pub name: Option<String>,
    /// The interface that it and its workers listen on; `None` takes the one from which the
    /// scheduler is reached.
    pub host: Option<String>,
    /// The host at which others reach it and its workers, where that is another than they listen on
    /// (Dask's `contact_address`); `None` unless it is.
    pub contact_host: Option<String>,
    /// The ports that workers listen on; `None` takes free ones.
    pub worker_ports: Option<RangeInclusive<u16>>,
    /// How many worker processes each program has.
    pub nworkers: u32,
    /// How many tasks each of them runs at once.
    pub nthreads: u32,
    /// Bytes of memory that each of them may use; `None` without a limit. The workers of all
    /// programs together may use what those of one may.
    pub memory_limit: Option<u64>,
    /// The share of the limit at which a worker is killed (Dask's `worker.memory.terminate`);
    /// `None` for never.
    pub memory_terminate: Option<f64>,
    /// Variables that each worker is started with, in place of the agent's own (Dask's
    /// `nanny.environ`).
    pub environ: BTreeMap<String, String>,
    /// The abstract resources of each worker.
    pub resources: BTreeMap<String, f64>,
    /// Where results of workers go that do not fit in memory; `None` lets them choose.
    pub local_directory: Option<PathBuf>,
    /// Whether it runs programs that clients bring.
    pub code: CodePolicy,
    /// Whose clients' programs it runs: those that know one of these tokens; `None` for all.
    pub tokens: Option<Tokens>,
    /// Where programs are kept.
    pub cache: Cache,
    /// Whether workers are watched.
    pub nanny: Nanny,
    /// After how long without a scheduler it ends (`death-timeout`); `None` for never.
    pub death_timeout: Option<Duration>,
    /// When workers are replaced, or the agent ends.
    pub lifetime: Option<Lifetime>,
}

/// Whether workers are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nanny {
    /// A worker that dies is started again, and one that takes too much memory is killed.
    #[default]
    On,
    /// Workers are on their own (`--no-nanny`).
    Off,
}

/// How long workers live (`lifetime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// How long.
    pub duration: Duration,
    /// By how much that may be shorter or longer, so that not all end at once.
    pub stagger: Duration,
    /// Whether others take their place; otherwise the agent ends with them.
    pub restart: bool,
}

impl Config {
    /// An agent of this scheduler: one worker with a thread per core for each program that clients
    /// bring, no memory limit (with one, a worker is killed at 95 % of it), and no end.
    #[must_use]
    pub fn new(scheduler: Address, cache: Cache) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            scheduler,
            name: None,
            host: None,
            contact_host: None,
            worker_ports: None,
            nworkers: 1,
            nthreads: u32::try_from(cores).unwrap_or(u32::MAX),
            memory_limit: None,
            memory_terminate: Some(0.95),
            environ: BTreeMap::new(),
            resources: BTreeMap::new(),
            local_directory: None,
            code: CodePolicy::FromClients,
            tokens: None,
            cache,
            nanny: Nanny::On,
            death_timeout: None,
            lifetime: None,
        }
    }

    /// The bytes of all workers together, of whatever programs, at which the largest is killed: one
    /// program may have as much.
    pub(crate) fn most_memory_of_all(&self) -> Option<u64> {
        Some(self.most_memory()?.saturating_mul(self.nworkers.max(1).into()))
    }

    /// The bytes at which a worker is killed.
    pub(crate) fn most_memory(&self) -> Option<u64> {
        let share = self.memory_terminate.filter(|share| share.is_finite() && *share > 0.0)?;
        let limit = self.memory_limit.filter(|_| self.nanny == Nanny::On)?;
        // Nobody counts bytes beyond the precision of a float.
        Some((limit as f64 * share) as u64)
    }
}
