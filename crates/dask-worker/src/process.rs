//! A worker that has a process for itself.

use std::pin::pin;
use std::sync::mpsc;

use dask_transport::{Reactor, Transports, keep_freed_memory};

use crate::executor::Volunteer;
use crate::{Config, Ended, Error, Worker};

/// Values below this are made in memory that others left: as far as the allocator of glibc goes.
const VALUE_BYTES: u32 = 32 << 20;

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
    keep_freed_memory(VALUE_BYTES);
    // Values are also encoded and dropped outside of their tasks: what fits the stack of a task
    // must fit there, so it is not this thread, whose stack is not ours to choose.
    let stack_bytes = config.stack_bytes;
    let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(stack_bytes);
    // Not its end: it may be in a task that goes on for ever, and nobody waits for such.
    let (sender, ended) = mpsc::channel();
    thread
        .spawn(move || match Reactor::start("worker-keeper", stack_bytes) {
            Ok(reactor) => {
                let volunteer = Volunteer::default();
                let life = live(config, transports, (joined, shutdown), volunteer.clone());
                drive(&reactor, &volunteer, async move { drop(sender.send(life.await)) });
            }
            // The other end waits.
            Err(error) => drop(sender.send(Err(Error::Threads(error)))),
        })
        .map_err(Error::Threads)?;
    ended.recv().expect("the worker panicked, and said so")
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
    life: impl Future<Output = ()> + Send + 'static,
) {
    let _context = reactor.handle().enter();
    let mut life = tokio::spawn(life);
    let mut thread = None;
    loop {
        let call = reactor.block_on(async {
            tokio::select! {
                biased;
                call = volunteer.called() => Some(call),
                // If it panicked it has said so, and whoever waits for its outcome hears it.
                _ = &mut life => None,
            }
        });
        match call {
            Some(call) => volunteer.answer(&mut thread, call),
            None => return,
        }
    }
}
