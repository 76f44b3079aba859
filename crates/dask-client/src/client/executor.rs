use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dask_task::{TaskFn, Value};

use crate::client::control::{Force, cancel};
use crate::client::options::Options;
use crate::future::hold::{Hold, Outcome};
use crate::state::Unanswered;
use crate::submit::argument::IntoArgs;
use crate::{Client, Future, Result};

/// A pool to which calls are handed, in the manner of Python's `concurrent.futures`: Dask's
/// `ClientExecutor`. Calls are impure unless told otherwise; clones are the same executor.
///
/// ```
/// # use dask_client::{Client, Result, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let executor = client.options().retries(2).get_executor();
/// let future = executor.submit(inc, 1);
/// assert_eq!(executor.map(inc, 0..3).await?, [1, 2, 3]);
/// executor.shutdown().await;                  // waits for what was submitted
/// assert_eq!(future.await?, 2);
/// assert!(executor.submit(inc, 1).await.unwrap_err().is_cancelled());
/// # client.close().await
/// # }
/// ```
#[derive(Clone)]
pub struct Executor {
    options: Options,
    calls: Arc<Mutex<Calls>>,
}

/// What was submitted and may not be done.
#[derive(Default)]
struct Calls {
    holds: Vec<Weak<Hold>>,
    /// How many there may be before those are left out that are done.
    room: usize,
    is_shut_down: bool,
}

impl Client {
    /// An [`Executor`] on this cluster: Dask's `get_executor`.
    #[must_use]
    pub fn get_executor(&self) -> Executor {
        self.options().get_executor()
    }
}

impl Options {
    /// [`Client::get_executor`], for calls with these options.
    #[must_use]
    pub fn get_executor(self) -> Executor {
        Executor { options: self.pure(false), calls: Arc::default() }
    }
}

impl Executor {
    /// Whether equal calls are one task; `false` by default.
    #[must_use]
    pub fn pure(mut self, pure: bool) -> Self {
        self.options = self.options.pure(pure);
        self
    }

    /// Submits a call. Once the executor is shut down, the future is cancelled.
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        if self.calls().is_shut_down {
            return self.refused();
        }
        let future = self.options.submit(function, args);
        self.calls().note(&future.hold);
        future
    }

    /// Calls the function for every item, and gives the results in the order of the items.
    ///
    /// # Errors
    /// When a call fails, the executor is shut down, or the scheduler is gone.
    pub async fn map<F: TaskFn, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        if self.calls().is_shut_down {
            let refused: Future<F::Output> = self.refused();
            return refused.await.map(|value| vec![value]);
        }
        let futures = self.options.map(function, items);
        for future in &futures {
            self.calls().note(&future.hold);
        }
        self.options.client.gather(&futures).await
    }

    /// Takes no more calls, and waits until those that it took are done, whatever becomes of them.
    /// Futures that were dropped are not waited for.
    pub async fn shutdown(&self) {
        for hold in self.close() {
            hold.done().await;
        }
    }

    /// Takes no more calls, and cancels those that are not done: Python's `cancel_futures`.
    ///
    /// # Errors
    /// When the scheduler is gone.
    pub async fn shutdown_now(&self) -> Result<()> {
        cancel(self.options.client.link(), &self.close(), Force::No).await
    }

    /// The calls that are not done.
    fn close(&self) -> Vec<Arc<Hold>> {
        let mut calls = self.calls();
        calls.is_shut_down = true;
        let holds = std::mem::take(&mut calls.holds).into_iter();
        holds.filter_map(|hold| hold.upgrade()).filter(|hold| hold.outcome().is_none()).collect()
    }

    fn refused<T: Value>(&self) -> Future<T> {
        let key = dask_tokenize::unique_key_name("refused");
        let key = dask_proto::Key::new(key).expect("a uuid is shorter than a key may be");
        let hold = Hold::new(self.options.client.link(), key);
        let reason = "the executor was shut down before".into();
        hold.settle(Outcome::Cancelled(Unanswered::Cancelled(reason)));
        Future::new(hold)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn note(&mut self, hold: &Arc<Hold>) {
        if self.holds.len() >= self.room {
            let is_open = |hold: Arc<Hold>| hold.outcome().is_none();
            self.holds.retain(|hold| hold.upgrade().is_some_and(is_open));
            self.room = (2 * self.holds.len()).max(64);
        }
        self.holds.push(Arc::downgrade(hold));
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Executor of {:?}>", self.options.client)
    }
}
