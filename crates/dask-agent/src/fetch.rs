use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dask_program::receive;
use dask_proto::message::{AgentToScheduler, CodePolicy, Hello, ProgramLink, ProgramSource, Role};
use dask_proto::program::Executable;
use dask_transport::{Outbox, connect_once};

use crate::CacheError;
use crate::agent::Host;

/// How long whoever has a program may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the log says how far a program is.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// How often the scheduler hears that a program gets on: it gives up an agent that does not after
/// many times as long.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Where a program is, once it is there, fetched from where it is said to be unless it is in the
/// cache.
pub(crate) async fn have(
    host: &Arc<Host>,
    (program, from): (&Executable, Option<&ProgramSource>),
    outbox: &Outbox<AgentToScheduler>,
) -> Result<PathBuf, CacheError> {
    // Reading all of a large program would keep the thread that drives everything.
    let (looking, id) = (host.clone(), program.id);
    let found = tokio::task::spawn_blocking(move || looking.config.cache.find(id)).await;
    match (found, from) {
        (Ok(Ok(path)), _) => Ok(path),
        (Ok(Err(error)), None) => Err(error),
        // Whatever the scheduler believes.
        (Ok(Err(error)), _) if host.config.code == CodePolicy::Installed => Err(error),
        (Err(error), None) => std::panic::resume_unwind(error.into_panic()),
        (_, Some(source)) => fetch(host, (program, source), outbox).await,
    }
}

async fn fetch(
    host: &Arc<Host>,
    (program, source): (&Executable, &ProgramSource),
    outbox: &Outbox<AgentToScheduler>,
) -> Result<PathBuf, CacheError> {
    let (address, ticket) = match source {
        ProgramSource::Agent { address } => (address, 0),
        ProgramSource::Scheduler { ticket } => (&host.config.scheduler, *ticket),
        _ => return host.config.cache.find(program.id),
    };
    let (name, bytes, started) = (&program.name, program.bytes, Instant::now());
    tracing::info!(name, program = program.id.short(), bytes, from = %address, "fetching");
    let cache = &host.config.cache;
    let (partial, file) = cache.start(program)?;
    let link = ProgramLink::Download { program: program.id, ticket };
    let hello = Hello { role: Role::Program(link), program: host.program.clone() };
    let connected = connect_once(&host.transports, address, &hello, CONNECT_TIMEOUT).await;
    let (mut connection, _) = connected?;
    let (mut reported, mut told) = (started, started);
    let progress = |got: u64| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            // Without a scheduler nobody waits for it.
            let _ = outbox.send([AgentToScheduler::Fetching { program: program.id }]);
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let percent = 100.0 * got as f64 / bytes.max(1) as f64;
            tracing::info!(name, "fetching: {percent:.0} % of {bytes} bytes are here");
        }
    };
    receive(&mut connection, program, file, progress).await?;
    let path = cache.keep(partial, program.id)?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(name, program = program.id.short(), bytes, "fetched in {seconds:.3} s");
    Ok(path)
}
