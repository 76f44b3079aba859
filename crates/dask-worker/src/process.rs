//! A worker that has a process for itself.

use std::pin::pin;

use dask_transport::{Reactor, Transports};

use crate::executor::Volunteer;
use crate::{Config, Ended, Error, Worker};

/// Runs a worker on threads of its own until it ends: what a process does that is a worker and
/// nothing else. `joined` is called once it has joined; `shutdown` makes it leave, or give up
/// joining.
///
/// One thread drives all connections, so that a message is read, taken in and answered without
/// waking another, which costs more than the work; it also runs short tasks that come alone.
///
/// # Errors
/// As [`Worker::connect`] and [`Worker::run`].
///
/// # Panics
/// When the worker does, which is a bug of it.
pub fn run_process(
    config: Config,
    transports: Transports,
    joined: impl FnOnce(&Worker) + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Ended, Error> {
    // Values are also encoded and dropped outside of their tasks: what fits the stack of a task
    // must fit there, so it is not this thread, whose stack is not ours to choose.
    let stack_bytes = config.stack_bytes;
    let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(stack_bytes);
    let worker = thread.spawn(move || {
        let reactor = Reactor::start("worker-keeper", stack_bytes).map_err(Error::Threads)?;
        let volunteer = Volunteer::default();
        let life = live(config, transports, (joined, shutdown), volunteer.clone());
        drive(&reactor, &volunteer, life)
    });
    worker.map_err(Error::Threads)?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn live(
    config: Config,
    transports: Transports,
    (joined, shutdown): (impl FnOnce(&Worker), impl Future<Output = ()>),
    volunteer: Volunteer,
) -> Result<Ended, Error> {
    let mut shutdown = pin!(shutdown);
    let worker = tokio::select! {
        worker = Worker::connect(config, transports) => worker?,
        () = shutdown.as_mut() => return Ok(Ended::Shutdown),
    };
    joined(&worker);
    worker.run_with(shutdown, Some(volunteer)).await
}

/// Drives the connections on this thread, which runs what the worker gives it between.
fn drive(
    reactor: &Reactor,
    volunteer: &Volunteer,
    life: impl Future<Output = Result<Ended, Error>> + Send + 'static,
) -> Result<Ended, Error> {
    let _context = reactor.handle().enter();
    let mut life = tokio::spawn(life);
    let mut thread = None;
    loop {
        let call = reactor.block_on(async {
            tokio::select! {
                biased;
                call = volunteer.called() => Ok(call),
                ended = &mut life => Err(ended),
            }
        });
        match call {
            Ok(call) => volunteer.answer(&mut thread, call),
            Err(ended) => {
                return ended.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
            }
        }
    }
}
