use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::Program;
use dask_proto::program::ProgramId;
use dask_task::context::Companion;

use crate::Log;
use crate::state::MemoryLimits;

/// How a worker is set up. Start from [`Config::new`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The scheduler.
    pub scheduler: Address,
    /// Where to listen for peers. `None` chooses: the same scheme as the scheduler, and for TCP
    /// the local address from which the scheduler is reached, with a free port.
    pub listen: Option<Address>,
    /// The host at which its peers reach it, where that is another than it listens on (Dask's
    /// `contact_address`); `None` unless it is.
    pub contact_host: Option<String>,
    /// Its name, unique on the cluster; `None` takes its address.
    pub name: Option<String>,
    /// How many tasks it runs at once; at least 1.
    pub nthreads: u32,
    /// Bytes of memory that it may use; `None` without a limit, and then the next three mean
    /// nothing.
    pub memory_limit: Option<u64>,
    /// The share of the limit beyond which results go to disk, least recently used first (Dask's
    /// `worker.memory.target`); `None` leaves it to `memory_spill`.
    pub memory_target: Option<f64>,
    /// The share of the limit beyond which the memory of the process, which is more than its
    /// results, makes results go to disk (Dask's `worker.memory.spill`); `None` for never.
    pub memory_spill: Option<f64>,
    /// The share of the limit beyond which nothing starts until there is less (Dask's
    /// `worker.memory.pause`); `None` for never.
    pub memory_pause: Option<f64>,
    /// To how many peers it sends results at the same time; at least 1. Others are told that it is
    /// busy, and ask again or ask another (Dask's `worker.connections.outgoing`).
    pub transfers: usize,
    /// Where results go that do not fit in memory: into a fresh directory inside this one, removed
    /// when the worker ends. `None` takes the system's directory for temporary files. Directories
    /// of workers that were killed are removed by the next that starts here.
    pub local_directory: Option<PathBuf>,
    /// Its abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// The program that it is a part of.
    pub program: Program,
    /// Which program that is, if an agent started it.
    pub program_id: Option<ProgramId>,
    /// How long to try to reach the scheduler.
    pub connect_timeout: Duration,
    /// The stack of each thread that runs tasks, in bytes.
    pub stack_bytes: usize,
    /// How many tasks may be outside of the pool of threads at once: each has a thread of its own.
    pub seceded_limit: usize,
    /// For how long it looks for the next message before it goes to sleep, where messages come in
    /// quick succession. For a process that is a worker and nothing else; zero for never.
    pub busy_poll: Duration,
    /// Where lines for the scheduler are put: those of its tasks, and others that are put there.
    pub log: Log,
    /// What its tasks are to have at hand.
    pub companion: Companion,
    /// Whether something starts the worker again when it ends as [`Ended::Restarting`]: then
    /// clients may ask it to (Dask's workers with a nanny). It needs a name, by which its successor
    /// is known.
    ///
    /// [`Ended::Restarting`]: crate::Ended::Restarting
    pub restarts: bool,
    /// Whether a task that overflows its stack is reported before the process dies. Installs a
    /// signal handler for the whole process, so it is for processes that are workers.
    pub report_stack_overflow: bool,
}

impl Config {
    /// A worker of this scheduler with a thread per core and up to 1000 tasks outside of them, no
    /// memory limit (with one, it acts at 60, 70 and 80 % of it), 30 seconds to connect, stacks of
    /// 16 MiB and no signal handler.
    #[must_use]
    pub fn new(scheduler: Address) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            scheduler,
            listen: None,
            contact_host: None,
            name: None,
            nthreads: u32::try_from(cores).unwrap_or(u32::MAX),
            memory_limit: None,
            memory_target: Some(0.6),
            memory_spill: Some(0.7),
            memory_pause: Some(0.8),
            transfers: 50,
            local_directory: None,
            resources: BTreeMap::new(),
            program: Program::default(),
            program_id: None,
            connect_timeout: Duration::from_secs(30),
            stack_bytes: 16 << 20,
            seceded_limit: 1000,
            busy_poll: Duration::ZERO,
            log: Log::new(),
            companion: Companion::default(),
            restarts: false,
            report_stack_overflow: false,
        }
    }

    /// The bytes at which the worker acts.
    pub(crate) fn memory_limits(&self) -> Option<MemoryLimits> {
        let limit = self.memory_limit?;
        let at = |share: Option<f64>| {
            let share = share.filter(|share| share.is_finite());
            // Nobody counts bytes beyond the precision of a float.
            share.map_or(MemoryLimits::NEVER, |share| (limit as f64 * share) as u64)
        };
        Some(MemoryLimits {
            target: at(self.memory_target),
            spill: at(self.memory_spill),
            pause: at(self.memory_pause),
        })
    }
}
