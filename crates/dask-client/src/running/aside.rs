//! Tasks that wait make room for others.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dask_task::context::{Context, Host};

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
        (!host.is_outside() && host.secede().is_ok()).then(|| Self { host })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A task that ends by a panic, or is cancelled, need not come back.
        if !std::thread::panicking() {
            let _ = self.host.rejoin();
        }
    }
}

/// Waits, and lets the task on this thread stand aside for as long as that takes.
pub(crate) async fn aside<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut aside = None;
    std::future::poll_fn(move |context| {
        let poll = future.as_mut().poll(context);
        if poll.is_ready() || aside.is_some() {
            return poll;
        }
        aside = Aside::begin();
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
