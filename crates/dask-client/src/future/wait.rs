use std::future::IntoFuture;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dask_task::Value;

use crate::future::BoxFuture;
use crate::future::gather::{Gather, Holds};
use crate::future::hold::{Hold, Outcome};
use crate::{Error, Future, Result, Unknown};

/// A future of this crate, async or blocking.
pub trait AnyFuture: Gather + Clone + Send + Sync + 'static {}

impl<T: Value> AnyFuture for Future<T> {}

/// One future or many: what the verbs on futures take. Futures, vectors, slices and arrays of them,
/// by value or by reference. `()` names none: verbs that look at the cluster look at all of it
/// then, and `rebalance` moves whatever is there.
pub trait Futures {
    /// The futures.
    type Future: AnyFuture;

    #[doc(hidden)]
    const NAMED: bool = true;

    /// The futures in a list.
    fn into_list(self) -> Vec<Self::Future>;
}

impl Futures for () {
    type Future = Future<Unknown>;

    const NAMED: bool = false;

    fn into_list(self) -> Vec<Future<Unknown>> {
        Vec::new()
    }
}

/// Futures of a kind alone and in lists, by value and by reference.
macro_rules! futures {
    ($future:ident) => {
        futures! { @ $future
            [] $future<T>, future => vec![future];
            [] &$future<T>, future => vec![future.clone()];
            [] Vec<$future<T>>, list => list;
            [] &Vec<$future<T>>, list => list.clone();
            [] &[$future<T>], list => list.to_vec();
            [const N: usize] [$future<T>; N], list => list.into();
            [const N: usize] &[$future<T>; N], list => list.to_vec();
            [const N: usize] [&$future<T>; N], list => list.into_iter().cloned().collect();
            [] Vec<&$future<T>>, list => list.into_iter().cloned().collect();
            [] &[&$future<T>], list => list.iter().copied().cloned().collect();
        }
    };
    (@ $future:ident $([$($n:tt)*] $form:ty, $it:ident => $list:expr;)*) => {$(
        impl<T: Value, $($n)*> Futures for $form {
            type Future = $future<T>;

            fn into_list(self) -> Vec<$future<T>> {
                let $it = self;
                $list
            }
        }
    )*};
}

futures!(Future);

pub(crate) use futures;

pub(crate) fn holds(futures: impl Futures) -> Vec<Arc<Hold>> {
    let mut holds = Holds::default();
    futures.into_list().holds(&mut holds);
    holds.0
}

pub(crate) fn hold(future: &impl AnyFuture) -> Arc<Hold> {
    let mut holds = Holds::default();
    future.holds(&mut holds);
    holds.0.pop().expect("a future has a hold")
}

/// What [`wait`] gives: the futures that are done and those that are not.
#[derive(Debug, Clone)]
pub struct DoneAndNotDone<F> {
    /// Finished and failed futures.
    pub done: Vec<F>,
    /// Pending futures.
    pub not_done: Vec<F>,
}

/// A wait that starts when it is awaited.
#[derive(Debug)]
#[must_use = "a wait does nothing until it is awaited"]
pub struct Wait<F> {
    futures: Vec<F>,
    first: bool,
    timeout: Option<Duration>,
}

/// Waits until futures are done, finished or failed: Dask's `wait`.
///
/// ```
/// # use dask_client::{Client, Result, task, wait};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// use std::time::Duration;
///
/// let futures = client.map(inc, 0..3);
/// let first = wait(&futures).first_completed().timeout(Duration::from_secs(10)).await?.done;
/// assert!(!first.is_empty());
/// wait(&futures).await?;
/// assert!(futures.iter().all(|future| future.done()));
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When the time is up ([`Error::is_timeout`]), or a future is cancelled
/// ([`Error::is_cancelled`]).
pub fn wait<F: Futures>(futures: F) -> Wait<F::Future> {
    Wait { futures: futures.into_list(), first: false, timeout: None }
}

impl<F> Wait<F> {
    /// Waits until the first is done: Dask's `return_when="FIRST_COMPLETED"`.
    pub fn first_completed(mut self) -> Self {
        self.first = true;
        self
    }

    /// Waits until all are done, as it does unless told otherwise.
    pub fn all_completed(mut self) -> Self {
        self.first = false;
        self
    }

    /// Waits no longer than this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<F: AnyFuture> Wait<F> {
    async fn run(self) -> Result<DoneAndNotDone<F>> {
        let holds: Vec<_> = self.futures.iter().map(hold).collect();
        let wait = async { if self.first { first(&holds).await } else { all(&holds).await } };
        match self.timeout {
            None => wait.await,
            Some(timeout) => tokio::time::timeout(timeout, wait)
                .await
                .map_err(|_| Error::timeout("waiting for futures", timeout))?,
        }
        for hold in &holds {
            if let Some(outcome @ Outcome::Cancelled(_)) = hold.outcome() {
                return Err(hold.error(&outcome).expect("a cancelled future has an error"));
            }
        }
        let pairs = self.futures.into_iter().zip(&holds);
        let (done, not_done): (Vec<_>, Vec<_>) =
            pairs.partition(|(_, hold)| hold.outcome().is_some());
        let only = |pairs: Vec<(F, _)>| pairs.into_iter().map(|(future, _)| future).collect();
        Ok(DoneAndNotDone { done: only(done), not_done: only(not_done) })
    }
}

impl<F: AnyFuture> IntoFuture for Wait<F> {
    type Output = Result<DoneAndNotDone<F>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

async fn all(holds: &[Arc<Hold>]) {
    // The last first: they are done in the order of submission, mostly, and this wakes once.
    for hold in holds.iter().rev() {
        hold.done().await;
    }
}

async fn first(holds: &[Arc<Hold>]) {
    if holds.is_empty() {
        return;
    }
    let mut waits: Vec<_> = holds.iter().map(|hold| Box::pin(hold.done())).collect();
    std::future::poll_fn(|context| {
        let ready = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
