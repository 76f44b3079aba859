//! The roles of a program marked `#[dask_client::main]`: the user's main, or a worker.
//!
//! The environment says which, and the user's command line is left alone. A worker takes the
//! variables out of its environment, so that programs which its tasks start are no workers:
//!
//! | variable | meaning |
//! |---|---|
//! | `DASK_ROLE` | `worker` makes the process a worker; it never enters the user's main |
//! | `DASK_SCHEDULER_ADDRESS` | the scheduler that the worker joins |
//! | `DASK_WORKER_NTHREADS` | how many tasks it runs at once; the number of cores unless set |
//! | `DASK_WORKER_NAME` | its name; its address unless set |
//! | `DASK_WORKER_RESOURCES` | its abstract resources: `GPU=1 MEMORY=16e9`; none unless set |
//! | `DASK_WORKER_MEMORY_LIMIT` | the memory it may use, such as `512MiB`; no limit unless set |
//! | `DASK_WORKER_MEMORY_TARGET` | its share beyond which results go to disk, or `false` |
//! | `DASK_WORKER_MEMORY_SPILL` | the same for the memory of the process |
//! | `DASK_WORKER_MEMORY_PAUSE` | its share beyond which nothing starts, or `false` |
//! | `DASK_WORKER_LOCAL_DIRECTORY` | where results go that do not fit; a temporary one unless set |
//! | `DASK_BUSY_POLL` | for how many microseconds it looks for messages before it sleeps; 200 |
//! | `DASK_WORKER_LISTEN` | the address it listens on; a free port unless set |
//! | `DASK_WORKER_CONTACT_HOST` | the host at which others reach it, if that is another |
//! | `DASK_WORKER_PROGRAM` | the SHA-256 of its executable, for an agent that knows it |
//! | `DASK_EXIT_ON_STDIN_CLOSE` | `1`: end when standard input ends, that is with the parent |
//! | `DASK_WORKER_RESTARTS` | `1`: whoever started it starts it again when it exits with 3 |
//!
//! A worker exits with 0 when it has come to its end: it was retired, or its parent is gone. With
//! 3 it asks to be started again, and with 4 the scheduler closed its connection for another
//! reason; anything else is a fault.

use std::sync::atomic::{AtomicBool, Ordering};

use dask_proto::role::ROLE;

/// Whether this program has a worker role, so that it can be started as one.
static HAS_ROLES: AtomicBool = AtomicBool::new(false);

#[cfg(feature = "worker")]
pub(crate) fn has_roles() -> bool {
    HAS_ROLES.load(Ordering::Relaxed)
}

/// What `#[dask_client::main]` makes of an async main.
pub fn run_main<F: Future>(main: impl FnOnce() -> F) -> F::Output {
    role();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a process that cannot start threads cannot run an async main");
    // What main spawns, and its timers, are this runtime's; its connections are driven by the
    // thread that it waits on.
    let context = runtime.enter();
    let output = crate::driver::block_on(main());
    crate::driver::block_on(crate::driver::flush());
    drop(context);
    runtime.shutdown_background();
    output
}

/// What `#[dask_client::main]` does first: in the worker role it serves and never returns.
pub fn role() {
    HAS_ROLES.store(true, Ordering::Relaxed);
    match std::env::var(ROLE).as_deref() {
        Err(_) | Ok("" | "main") => {}
        Ok("worker") => std::process::exit(worker::main()),
        Ok(other) => {
            eprintln!("{ROLE}={other:?} is no role: unset it, or set it to \"worker\"");
            std::process::exit(2)
        }
    }
}

#[cfg(not(feature = "worker"))]
mod worker {
    pub(super) fn main() -> i32 {
        eprintln!("this program was built without the feature \"worker\" of dask-client");
        2
    }
}

#[cfg(feature = "worker")]
mod worker {
    use std::io::{Read, Stdin, Write};
    use std::num::NonZero;
    use std::str::FromStr;
    use std::time::Duration;

    use dask_proto::human::describe;
    use dask_proto::message::RETIRED;
    use dask_proto::role::{
        BUSY_POLL, CONTACT_HOST, EXIT_ON_STDIN_CLOSE, LISTEN, LOCAL_DIRECTORY, MEMORY_LIMIT,
        MEMORY_PAUSE, MEMORY_SPILL, MEMORY_TARGET, NAME, NTHREADS, PROGRAM, RESOURCES, RESTARTS,
        ROLE, SCHEDULER_ADDRESS, WORKER_READY, exit,
    };
    use dask_proto::{Address, ByteSize, Resources};
    use dask_transport::{BusyPoll, Transports};
    use dask_worker::{Config, Ended, Worker, run_process};

    use crate::client::program::program;
    use crate::running::companion::Companion;

    pub(super) fn main() -> i32 {
        match run() {
            Ok(code) => code,
            Err(error) => {
                eprintln!("worker: {error}");
                exit::FAULT
            }
        }
    }

    fn run() -> Result<i32, String> {
        let mut config = Config::new(required::<Address>(SCHEDULER_ADDRESS)?);
        config.listen = optional(LISTEN)?;
        config.contact_host = optional(CONTACT_HOST)?;
        config.name = optional(NAME)?;
        let resources = optional::<Resources>(RESOURCES)?.unwrap_or_default();
        config.resources = resources.0;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        config.nthreads = optional(NTHREADS)?.unwrap_or(cores).max(1);
        let memory_limit = optional::<ByteSize>(MEMORY_LIMIT)?.map(|ByteSize(bytes)| bytes);
        config.memory_limit = memory_limit.filter(|bytes| *bytes > 0);
        for (variable, share) in [
            (MEMORY_TARGET, &mut config.memory_target),
            (MEMORY_SPILL, &mut config.memory_spill),
            (MEMORY_PAUSE, &mut config.memory_pause),
        ] {
            match take(variable).as_deref() {
                None => {}
                Some("false") => *share = None,
                Some(text) => match text.parse() {
                    Ok(number) => *share = Some(number),
                    Err(error) => return Err(format!("{variable}={text:?}: {error}")),
                },
            }
        }
        config.local_directory = optional(LOCAL_DIRECTORY)?;
        let busy_poll = optional(BUSY_POLL)?.map(Duration::from_micros);
        config.busy_poll = busy_poll.unwrap_or(BusyPoll::LIMIT);
        let ends_with_input = take(EXIT_ON_STDIN_CLOSE).as_deref() == Some("1");
        let parent = ends_with_input.then(std::io::stdin);
        take(ROLE);
        config.program = program();
        config.restarts = take(RESTARTS).as_deref() == Some("1");
        config.program_id = optional(PROGRAM)?;
        config.report_stack_overflow = true;
        config.log.install();
        let companion = Companion::new(config.scheduler.clone(), Transports::default());
        config.companion = companion.slot();
        crate::default::is_worker_with(companion);
        serve(config, parent)
    }

    /// Works to the end; how the process is to end.
    fn serve(config: Config, parent: Option<Stdin>) -> Result<i32, String> {
        let scheduler = config.scheduler.clone();
        let is_child = parent.is_some();
        let joined = |worker: &Worker| {
            let (address, name) = (worker.address(), worker.name());
            let threads = worker.nthreads();
            let line = format!("{WORKER_READY}{address} (name {name}, {threads} threads)\n");
            // Whoever started the process may not listen.
            let _ = std::io::stdout().write_all(line.as_bytes());
        };
        let ended = run_process(config, Transports::default(), joined, parent_gone(parent));
        match ended {
            Ok(Ended::Restarting) => Ok(exit::RESTARTING),
            // Whoever started it for a cluster, and ends it, knows.
            Ok(Ended::Closed { reason }) if is_child => {
                Ok(if reason == RETIRED { exit::RETIRED } else { exit::CLOSED })
            }
            Ok(Ended::Closed { reason }) => {
                eprintln!("worker: {scheduler} closed it: {reason}");
                Ok(exit::DONE)
            }
            Ok(_) => Ok(exit::DONE),
            Err(error) => Err(format!("{} ({scheduler})", describe(&error))),
        }
    }

    /// Resolves when this input ends, if there is one.
    async fn parent_gone(parent: Option<Stdin>) {
        let Some(input) = parent else {
            return std::future::pending().await;
        };
        let (sender, gone) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _sender = sender;
            let mut input = input.lock();
            let mut buffer = [0; 64];
            while matches!(input.read(&mut buffer), Ok(1..)) {}
        });
        // The thread ends by dropping its end.
        let _ = gone.await;
    }

    fn required<T: FromStr<Err: std::fmt::Display>>(name: &str) -> Result<T, String> {
        optional(name)?.ok_or_else(|| format!("{name} is not set"))
    }

    fn optional<T: FromStr<Err: std::fmt::Display>>(name: &str) -> Result<Option<T>, String> {
        let Some(text) = take(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error| format!("{name}={text:?}: {error}"))
    }

    /// Takes a variable out of the environment.
    fn take(name: &str) -> Option<String> {
        let value = std::env::var(name).ok();
        // SAFETY: nobody else reads the environment. The role comes before anything else in the
        // program's main function, and a worker starts its threads after this.
        unsafe { std::env::remove_var(name) };
        value
    }
}
