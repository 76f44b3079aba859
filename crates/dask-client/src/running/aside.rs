//! Tasks that wait make room for others.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use dask_task::context::{Context, Host};

/// Whether a wait of this thread's task has it stand aside, and the other waits of the task.
#[derive(Default)]
struct Waits {
    is_aside: bool,
    /// How often it came back.
    returns: u64,
    others: Vec<Waker>,
}

thread_local! {
    static WAITS: RefCell<Waits> = const {
        RefCell::new(Waits { is_aside: false, returns: 0, others: Vec::new() })
    };
}

/// A task that stands aside: outside of its worker's pool of threads until this is dropped.
#[derive(Debug)]
pub(crate) struct Aside {
    host: Arc<dyn Host>,
}

impl Aside {
    /// Lets the task on this thread leave the pool. `None` outside of tasks, for one that has left
    /// already, and for one that cannot: it waits in the pool then.
    pub(crate) fn begin() -> Option<Self> {
        let host = Context::current()?.host;
        let is_aside = !host.is_outside() && host.secede().is_ok();
        is_aside.then(|| {
            WAITS.with_borrow_mut(|waits| waits.is_aside = true);
            Self { host }
        })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A task that ends by a panic, or is cancelled, need not come back.
        if !std::thread::panicking() {
            let _ = self.host.rejoin();
        }
        let others = WAITS.with_borrow_mut(|waits| {
            waits.is_aside = false;
            waits.returns += 1;
            std::mem::take(&mut waits.others)
        });
        // What still waits is to make room again, also if it is polled only once it is woken.
        others.into_iter().for_each(Waker::wake);
    }
}

/// A wait of a task that stands aside for another wait.
#[derive(Default)]
struct Beside(Option<u64>);

impl Beside {
    /// Has it woken when the task comes back.
    fn note(&mut self, waker: &Waker) {
        WAITS.with_borrow_mut(|waits| {
            if waits.is_aside && self.0 != Some(waits.returns) {
                self.0 = Some(waits.returns);
                waits.others.push(waker.clone());
            }
        });
    }
}

/// Waits, and lets the task on this thread stand aside for as long as that takes.
pub(crate) async fn aside<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (mut aside, mut beside) = (None, Beside::default());
    std::future::poll_fn(move |context| {
        let poll = future.as_mut().poll(context);
        if poll.is_ready() || aside.is_some() {
            return poll;
        }
        aside = Aside::begin();
        if aside.is_none() {
            beside.note(context.waker());
        }
        poll
    })
    .await
}

/// How long a task may wait for something that is mostly there at once, before it makes room.
const GRACE: Duration = Duration::from_millis(20);

/// Waits, and lets the task on this thread stand aside if that takes longer than a moment.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    if Context::current().is_none() {
        return future.await;
    }
    let mut future = pin!(future);
    match tokio::time::timeout(GRACE, future.as_mut()).await {
        Ok(output) => output,
        Err(_) => aside(future).await,
    }
}
