//! What a running task may ask: which task it is, where it runs, whether it is still wanted.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dask_proto::{Address, Key};

/// The task that runs on this thread.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its key.
    pub key: Key,
    /// The address of the worker that runs it.
    pub worker: Address,
    /// Set when nobody wants the result any more.
    pub cancelled: Arc<AtomicBool>,
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Leaves the task when dropped.
#[derive(Debug)]
pub struct Entered(Option<Context>);

impl Context {
    /// Makes this the task that runs on this thread, until the guard is dropped.
    #[must_use]
    pub fn enter(self) -> Entered {
        Entered(CURRENT.replace(Some(self)))
    }

    /// The task that runs on this thread; `None` outside of tasks.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Whether the task that runs on this thread was cancelled: a long task asks now and then and
/// returns early, since its result would be dropped. `false` outside of tasks.
#[must_use]
pub fn is_cancelled() -> bool {
    CURRENT.with_borrow(|current| {
        current.as_ref().is_some_and(|context| context.cancelled.load(Ordering::Relaxed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_knows_itself_and_hears_of_its_cancellation() {
        let cancelled = Arc::new(AtomicBool::new(false));
        let context = Context {
            key: Key::new("f-1").expect("a short key"),
            worker: "tcp://127.0.0.1:1".parse().expect("an address"),
            cancelled: cancelled.clone(),
        };
        let entered = context.enter();
        assert_eq!(Context::current().expect("inside a task").key, "f-1");
        assert!(!is_cancelled());
        cancelled.store(true, Ordering::Relaxed);
        assert!(is_cancelled());
        drop(entered);
        assert!(Context::current().is_none() && !is_cancelled());
    }
}
