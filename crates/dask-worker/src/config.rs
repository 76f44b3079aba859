use std::collections::BTreeMap;
use std::time::Duration;

use dask_proto::Address;
use dask_proto::message::Program;

/// How a worker is set up. Start from [`Config::new`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The scheduler.
    pub scheduler: Address,
    /// Where to listen for peers. `None` chooses: the same scheme as the scheduler, and for TCP
    /// the local address from which the scheduler is reached, with a free port.
    pub listen: Option<Address>,
    /// Its name, unique on the cluster; `None` takes its address.
    pub name: Option<String>,
    /// How many tasks it runs at once; at least 1.
    pub nthreads: u32,
    /// Bytes of memory that it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Its abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// The program that it is a part of.
    pub program: Program,
    /// How long to try to reach the scheduler.
    pub connect_timeout: Duration,
    /// The stack of each thread that runs tasks, in bytes.
    pub stack_bytes: usize,
    /// How many tasks may be outside of the pool of threads at once: each has a thread of its own.
    pub seceded_limit: usize,
    /// Whether a task that overflows its stack is reported before the process dies. Installs a
    /// signal handler for the whole process, so it is for processes that are workers.
    pub report_stack_overflow: bool,
}

impl Config {
    /// A worker of this scheduler with a thread per core and up to 1000 tasks outside of them, 30
    /// seconds to connect, stacks of 16 MiB and no signal handler.
    #[must_use]
    pub fn new(scheduler: Address) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            scheduler,
            listen: None,
            name: None,
            nthreads: u32::try_from(cores).unwrap_or(u32::MAX),
            memory_limit: None,
            resources: BTreeMap::new(),
            program: Program::default(),
            connect_timeout: Duration::from_secs(30),
            stack_bytes: 16 << 20,
            seceded_limit: 1000,
            report_stack_overflow: false,
        }
    }
}
