//! Who drives the connections: whoever waits for them.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use std::{fmt, io};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

/// A runtime of one thread, which is whichever thread waits for it: reading a message, and acting
/// upon it, wakes no other thread, which costs more than all the rest of a short task.
///
/// A thread that waits in [`block_on`](Self::block_on) drives all connections meanwhile. While it
/// does something else, and nobody waits, a *keeper* takes over: a thread of the reactor's own,
/// which notices within a few milliseconds, and steps aside at the next occasion. So connections
/// go on whatever the program does, and a program that waits again and again for short answers is
/// alone with its connections.
pub struct Reactor {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Runtime,
    /// Threads that wait: one of them drives, if the keeper does not.
    waiting: AtomicUsize,
    /// How often a thread came to wait, or went.
    turns: AtomicU64,
    /// One of [`WATCHES`], [`SLEEPS`] and [`DRIVES`].
    keeper: AtomicU8,
    /// Asks the keeper to step aside.
    aside: Notify,
    bell: Mutex<()>,
    /// Wakes the keeper from its sleep.
    ring: Condvar,
    is_closed: AtomicBool,
}

/// The keeper looks now and then whether connections are driven.
const WATCHES: u8 = 0;
/// Somebody has been driving for so long that the keeper has to be woken to watch again.
const SLEEPS: u8 = 1;
/// The keeper drives.
const DRIVES: u8 = 2;

/// How soon the keeper looks again: a look costs a few microseconds, on a processor that may have
/// to be woken for it.
const TICK: Duration = Duration::from_millis(1);

/// How soon it looks at the latest, as threads keep coming and going: every time it waits longer.
const LONGEST_TICK: Duration = Duration::from_millis(8);

/// For how long no thread came or went when the keeper goes to sleep.
const QUIET: Duration = Duration::from_millis(50);

impl Reactor {
    /// A reactor whose keeper has this name and a stack of this size.
    ///
    /// # Errors
    /// When the runtime or the thread cannot be started.
    pub fn start(name: &str, stack_bytes: usize) -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().thread_stack_size(stack_bytes).enable_all().build()?;
        let shared = Arc::new(Shared {
            runtime,
            waiting: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
            keeper: AtomicU8::new(WATCHES),
            aside: Notify::new(),
            bell: Mutex::new(()),
            ring: Condvar::new(),
            is_closed: AtomicBool::new(false),
        });
        let keeper = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes);
        builder.spawn(move || keeper.keep())?;
        Ok(Self { shared })
    }

    /// Where tasks are spawned that the reactor drives.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.shared.runtime.handle()
    }

    /// Waits for a future on this thread, which drives the connections whenever the future is
    /// pending. The future itself is polled outside of the runtime, so it may take its time: the
    /// keeper takes over.
    ///
    /// # Panics
    /// On a thread that already drives a runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let signal = Arc::new(Signal { raised: Notify::new(), shared: Arc::clone(&self.shared) });
        let waker = Waker::from(Arc::clone(&signal));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.shared.wait(&signal);
        }
    }
}

impl Shared {
    /// Drives, or waits for who drives, until the signal is raised.
    fn wait(&self, signal: &Signal) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.runtime.block_on(async {
            let mut raised = pin!(signal.raised.notified());
            if raised.as_mut().enable() {
                // A future that wakes itself waits for what others do: they get a turn.
                tokio::task::yield_now().await;
            } else {
                raised.await;
            }
        });
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.keeper.load(Ordering::SeqCst) == SLEEPS {
            self.wake_keeper();
        }
    }

    /// The life of the keeper.
    fn keep(&self) {
        let mut seen = 0;
        let mut tick = TICK;
        let mut quiet = Duration::ZERO;
        while !self.is_closed.load(Ordering::SeqCst) {
            self.pause(tick);
            let turns = self.turns.load(Ordering::SeqCst);
            if turns != seen {
                seen = turns;
                quiet = Duration::ZERO;
                tick = (2 * tick).min(LONGEST_TICK);
                continue;
            }
            quiet += tick;
            if self.waiting.load(Ordering::SeqCst) == 0 {
                self.drive();
            } else if quiet >= QUIET {
                self.sleep(turns);
            } else {
                continue;
            }
            tick = TICK;
            quiet = Duration::ZERO;
        }
    }

    fn pause(&self, tick: Duration) {
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_closed.load(Ordering::SeqCst) {
            drop(self.ring.wait_timeout(bell, tick));
        }
    }

    /// Drives until somebody who waits can do it.
    fn drive(&self) {
        self.keeper.store(DRIVES, Ordering::SeqCst);
        if !self.is_closed.load(Ordering::SeqCst) {
            self.runtime.block_on(self.aside.notified());
        }
        self.keeper.store(WATCHES, Ordering::SeqCst);
    }

    /// Waits until a thread comes or goes.
    fn sleep(&self, turns: u64) {
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        self.keeper.store(SLEEPS, Ordering::SeqCst);
        // Whoever goes after this looks at `keeper`, and rings under the lock.
        while self.turns.load(Ordering::SeqCst) == turns && !self.is_closed.load(Ordering::SeqCst) {
            bell = self.ring.wait(bell).unwrap_or_else(PoisonError::into_inner);
        }
        self.keeper.store(WATCHES, Ordering::SeqCst);
    }

    fn wake_keeper(&self) {
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner));
        self.ring.notify_all();
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.shared.aside.notify_one();
        self.shared.wake_keeper();
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// What a thread waits for in [`Reactor::block_on`].
struct Signal {
    raised: Notify,
    shared: Arc<Shared>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raised.notify_one();
        let shared = &self.shared;
        // Who waits is about to do something, and will wait again, without the keeper's help.
        if shared.keeper.load(Ordering::SeqCst) == DRIVES
            && shared.waiting.load(Ordering::SeqCst) > 0
        {
            shared.aside.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    const STACK: usize = 1 << 20;

    fn reactor() -> Reactor {
        Reactor::start("keeper", STACK).unwrap()
    }

    /// Which thread runs a task that is spawned now.
    async fn driver(reactor: &Reactor) -> ThreadId {
        let task = reactor.handle().spawn(async { thread::current().id() });
        task.await.unwrap()
    }

    #[test]
    fn the_thread_that_waits_drives() {
        let reactor = reactor();
        // The keeper may have been first, and steps aside by and by.
        let me = thread::current().id();
        while reactor.block_on(driver(&reactor)) != me {}
    }

    #[test]
    fn the_keeper_drives_while_nobody_waits() {
        let reactor = reactor();
        let (sender, receiver) = mpsc::channel();
        reactor.handle().spawn(async move { sender.send(thread::current().id()) });
        assert_ne!(receiver.recv().unwrap(), thread::current().id());
    }

    #[test]
    fn the_keeper_takes_over_from_a_future_that_takes_its_time() {
        let reactor = reactor();
        let me = thread::current().id();
        while reactor.block_on(driver(&reactor)) != me {}
        let (sender, receiver) = mpsc::channel();
        let keeper = reactor.block_on(async {
            reactor.handle().spawn(async move { sender.send(thread::current().id()) });
            // Blocks this thread, as no future should, and some do.
            receiver.recv().unwrap()
        });
        assert_ne!(keeper, me);
    }

    #[test]
    fn the_keeper_wakes_after_a_long_wait() {
        let reactor = reactor();
        let (sender, receiver) = mpsc::channel();
        reactor.block_on(async {
            // Until the keeper has gone to sleep.
            while reactor.shared.keeper.load(Ordering::SeqCst) != SLEEPS {
                // sleep: the keeper goes to sleep when nothing happens for some time
                let wait = async { tokio::time::sleep(2 * QUIET).await };
                reactor.handle().spawn(wait).await.unwrap();
            }
            reactor.handle().spawn(async move { sender.send(thread::current().id()) });
            receiver.recv().unwrap()
        });
    }

    #[test]
    fn a_future_that_wakes_itself_does_not_stop_others() {
        let reactor = reactor();
        let me = thread::current().id();
        while reactor.block_on(driver(&reactor)) != me {}
        let task = reactor.handle().spawn(async { thread::current().id() });
        reactor.block_on(async {
            while !task.is_finished() {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn threads_that_wait_at_once_all_hear() {
        let reactor = reactor();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        reactor.block_on(driver(&reactor));
                    }
                });
            }
        });
    }

    #[test]
    fn a_reactor_that_is_dropped_ends_its_tasks() {
        let reactor = reactor();
        let (sender, receiver) = mpsc::channel::<()>();
        reactor.handle().spawn(async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        });
        drop(reactor);
        assert!(receiver.recv().is_err(), "the runtime went with the keeper");
    }
}
