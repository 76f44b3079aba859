use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dask_program::receive;
use dask_proto::limits::PROGRAM_PIECE_BYTES;
use dask_proto::message::{AgentToScheduler, CodePolicy, Hello, ProgramLink, ProgramSource, Role};
use dask_proto::program::Executable;
use dask_transport::{Outbox, connect_once};

use crate::host::Host;
use crate::{Cache, CacheError};

/// How long whoever has a program may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the log says how far a program is.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// How often the scheduler hears that a program gets on: it gives up an agent that does not after
/// many times as long.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How far a program was when the scheduler last heard that it gets on.
struct Told {
    at: Instant,
    got: u64,
}

impl Told {
    /// Whether it is to hear it again: whoever sends as little as keeps the turn does not get on.
    fn gets_on(&mut self, got: u64, of: u64) -> bool {
        let came = got.saturating_sub(self.got);
        let is_more = came >= PROGRAM_PIECE_BYTES as u64 || (came > 0 && got == of);
        let is_due = is_more && self.at.elapsed() >= TELL_EVERY;
        if is_due {
            *self = Self { at: Instant::now(), got };
        }
        is_due
    }
}

/// Does what may wait for the disk, for other agents, or for all of a large program to be read,
/// beside the thread that drives everything.
async fn with_cache<T: Send + 'static>(
    host: &Arc<Host>,
    work: impl FnOnce(&Cache) -> T + Send + 'static,
) -> T {
    let host = host.clone();
    match tokio::task::spawn_blocking(move || work(&host.config.cache)).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Has a program, fetched from where it is said to be unless it is in the cache: the file keeps it
/// there, as by [`Cache::acquire`].
pub(crate) async fn have(
    host: &Arc<Host>,
    (program, from): (&Executable, Option<&ProgramSource>),
    outbox: &Outbox<AgentToScheduler>,
) -> Result<Option<File>, CacheError> {
    let id = program.id;
    let found = with_cache(host, move |cache| cache.acquire(id)).await;
    match (found, from) {
        (Ok(held), _) => Ok(held),
        (Err(error), None) => Err(error),
        // Whatever the scheduler believes.
        (Err(error), _) if host.config.code == CodePolicy::Installed => Err(error),
        (_, Some(source)) => fetch(host, (program, source), outbox).await,
    }
}

async fn fetch(
    host: &Arc<Host>,
    (program, source): (&Executable, &ProgramSource),
    outbox: &Outbox<AgentToScheduler>,
) -> Result<Option<File>, CacheError> {
    let id = program.id;
    let (address, ticket) = match source {
        ProgramSource::Agent { address } => (address, 0),
        ProgramSource::Scheduler { ticket } => (&host.config.scheduler, *ticket),
        _ => return with_cache(host, move |cache| cache.acquire(id)).await,
    };
    let (name, bytes, started) = (&program.name, program.bytes, Instant::now());
    tracing::info!(name, program = id.short(), bytes, from = %address, "fetching");
    let wanted = program.clone();
    let (partial, file) = with_cache(host, move |cache| cache.start(&wanted)).await?;
    let link = ProgramLink::Download { program: id, ticket };
    let hello = Hello { role: Role::Program(link), program: host.program.clone() };
    let connected = connect_once(&host.transports, address, &hello, CONNECT_TIMEOUT).await;
    let (mut connection, _) = connected?;
    let (mut reported, mut told) = (started, Told { at: started, got: 0 });
    let progress = |got: u64| {
        if told.gets_on(got, bytes) {
            // Without a scheduler nobody waits for it.
            let _ = outbox.send([AgentToScheduler::Fetching { program: id }]);
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let percent = 100.0 * got as f64 / bytes.max(1) as f64;
            tracing::info!(name, "fetching: {percent:.0} % of {bytes} bytes are here");
        }
    };
    receive(&mut connection, program, file, progress).await?;
    let held = with_cache(host, move |cache| cache.keep(partial, id)).await?;
    let seconds = started.elapsed().as_secs_f64();
    tracing::info!(name, program = id.short(), bytes, "fetched in {seconds:.3} s");
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = PROGRAM_PIECE_BYTES as u64;

    /// What the scheduler hears of pieces of these bytes that come one every 29 s.
    fn heard(pieces: impl IntoIterator<Item = u64>, of: u64) -> Vec<u64> {
        let mut told = Told { at: Instant::now(), got: 0 };
        let mut got = 0;
        let mut hears = |bytes| {
            got += bytes;
            told.at = Instant::now().checked_sub(Duration::from_secs(29)).expect("a clock");
            told.gets_on(got, of).then_some(got)
        };
        pieces.into_iter().filter_map(&mut hears).collect()
    }

    #[test]
    fn a_program_gets_on_by_whole_pieces_and_the_last() {
        assert_eq!(heard([PIECE, PIECE, 5], 2 * PIECE + 5), [PIECE, 2 * PIECE, 2 * PIECE + 5]);
        assert_eq!(heard([1; 1000], 1 << 30), []);
        assert_eq!(heard([PIECE / 4; 10], 1 << 30), [PIECE, 2 * PIECE]);
        assert_eq!(heard([0, 5, 0, 0], 5), [5]);
    }

    #[test]
    fn the_scheduler_hears_it_no_more_often_than_it_needs_to() {
        let mut told = Told { at: Instant::now(), got: 0 };
        assert!(!told.gets_on(PIECE, 2 * PIECE) && told.got == 0);
    }
}
