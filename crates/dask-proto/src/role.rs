//! How a program is told to be a worker: by its environment, which leaves the user's command line
//! alone. Whoever starts workers writes these variables, and the program's worker role reads them
//! and takes them out, so that programs which its tasks start are no workers.

/// `worker` makes the process a worker.
pub const ROLE: &str = "DASK_ROLE";

/// The scheduler that the worker joins.
pub const SCHEDULER_ADDRESS: &str = "DASK_SCHEDULER_ADDRESS";

/// The token of a client, which agents may ask for. Those that start workers do not pass it on.
pub const TOKEN: &str = "DASK_TOKEN";

/// How many tasks it runs at once; the number of cores unless set.
pub const NTHREADS: &str = "DASK_WORKER_NTHREADS";

/// Its name; its address unless set.
pub const NAME: &str = "DASK_WORKER_NAME";

/// Its abstract resources: `GPU=1 MEMORY=16e9`; none unless set.
pub const RESOURCES: &str = "DASK_WORKER_RESOURCES";

/// The memory that it may use, such as `512MiB`; no limit unless set.
pub const MEMORY_LIMIT: &str = "DASK_WORKER_MEMORY_LIMIT";

/// The share of the limit beyond which results go to disk (`worker.memory.target`); `false` for
/// never.
pub const MEMORY_TARGET: &str = "DASK_WORKER_MEMORY_TARGET";

/// The share beyond which the memory of the process makes results go to disk
/// (`worker.memory.spill`); `false` for never.
pub const MEMORY_SPILL: &str = "DASK_WORKER_MEMORY_SPILL";

/// The share beyond which nothing starts (`worker.memory.pause`); `false` for never.
pub const MEMORY_PAUSE: &str = "DASK_WORKER_MEMORY_PAUSE";

/// Where results go that do not fit; a temporary directory unless set.
pub const LOCAL_DIRECTORY: &str = "DASK_WORKER_LOCAL_DIRECTORY";

/// The address that it listens on; a free port unless set.
pub const LISTEN: &str = "DASK_WORKER_LISTEN";

/// For how many microseconds it looks for messages before it goes to sleep, where they come in
/// quick succession; 0 for never. `dask scheduler` reads it too.
pub const BUSY_POLL: &str = "DASK_BUSY_POLL";

/// The host at which its peers reach it, where it listens on another; that one unless set.
pub const CONTACT_HOST: &str = "DASK_WORKER_CONTACT_HOST";

/// The SHA-256 of the executable, for an agent knows it; none unless set.
pub const PROGRAM: &str = "DASK_WORKER_PROGRAM";

/// `1`: end when standard input ends, that is with the parent.
pub const EXIT_ON_STDIN_CLOSE: &str = "DASK_EXIT_ON_STDIN_CLOSE";

/// `1`: whoever started it starts it again when it exits with [`exit::RESTARTING`].
pub const RESTARTS: &str = "DASK_WORKER_RESTARTS";

/// The target of what a client says with `tracing` on behalf of workers. A process that is one
/// itself does not log it again.
pub const FORWARDED_LOG: &str = "dask::worker";

/// How a worker process ends.
pub mod exit {
    /// It came to its end: its parent is gone.
    pub const DONE: i32 = 0;
    /// Something went wrong, which it said on standard error.
    pub const FAULT: i32 = 1;
    /// It asks to be started again.
    pub const RESTARTING: i32 = 3;
    /// The scheduler closed its connection, and did not retire it.
    pub const CLOSED: i32 = 4;
    /// It was retired: nobody expects another in its place.
    pub const RETIRED: i32 = 5;
}

/// What a worker prints on standard output once the scheduler knows it, before its address.
pub const WORKER_READY: &str = "Worker at: ";
