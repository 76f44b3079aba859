//! The reactor of the process: the thread that waits for a client drives its connection.

use std::cell::Cell;
use std::future::Future;
use std::sync::OnceLock;

use dask_transport::Reactor;
use tokio::runtime::Handle;

/// The stack of the thread that drives connections while nobody waits. Values of the program are
/// encoded and dropped there.
const STACK_BYTES: usize = 8 << 20;

static REACTOR: OnceLock<Reactor> = OnceLock::new();

thread_local! {
    /// Whether this thread waits in [`block_on`].
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Waits on this thread, which drives the connections that are made in the future.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let reactor = REACTOR.get_or_init(|| {
        let started = Reactor::start("dask-client", STACK_BYTES);
        started.expect("a process that cannot start a thread cannot have a client")
    });
    // A main function has a runtime already, for what it spawns.
    let context = Handle::try_current().is_err().then(|| reactor.handle().enter());
    let outer = WAITS.replace(true);
    let _restored = Restore(outer);
    let output = reactor.block_on(future);
    drop(context);
    output
}

/// Where a connection that is made now is driven: by the thread that will wait for it, or by the
/// runtime that polls this.
pub(crate) fn home() -> Handle {
    match REACTOR.get() {
        Some(reactor) if WAITS.get() => reactor.handle().clone(),
        _ => Handle::current(),
    }
}

struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        WAITS.set(self.0);
    }
}
