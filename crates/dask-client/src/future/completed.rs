//! Futures in the order in which they are done, with their results or in batches.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dask_task::Value;
use futures_core::Stream;

use crate::future::as_completed::AsCompleted;
use crate::future::wait::{AnyFuture, Futures};
use crate::running::aside::aside;
use crate::{BoxFuture, Future, Result};

/// Futures as they are done, each with its result or why there is none: what
/// [`AsCompleted::with_results`] gives.
pub struct WithResults<F: AnyFuture> {
    pub(crate) done: AsCompleted<F>,
    /// The future that is done, while its result is on its way.
    next: Option<(F, BoxFuture<'static, Result<F::Output>>)>,
}

/// Lists of futures that are done: what [`AsCompleted::batches`] gives.
#[derive(Debug)]
pub struct Batches<F> {
    pub(crate) done: AsCompleted<F>,
}

impl<F: AnyFuture> AsCompleted<F> {
    /// Futures with their results, or with why there is none: Dask's `with_results=True`. A
    /// [`Stream`] with a `next` of its own, and of blocking futures an [`Iterator`].
    ///
    /// ```
    /// # use dask_client::task;
    /// use dask_client::blocking::{Client, as_completed};
    ///
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # let client = Client::local()?;
    /// for (future, result) in as_completed(client.map(inc, 0..3)).with_results() {
    ///     println!("{}: {}", future.key(), result?);
    /// }
    /// # client.close()?;
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    #[must_use]
    pub fn with_results(self) -> WithResults<F> {
        WithResults { done: self, next: None }
    }

    /// All futures that are done by now, at least one at a time: Dask's `as_completed.batches`. A
    /// [`Stream`] of lists with a `next` of its own, and of blocking futures an [`Iterator`].
    ///
    /// ```
    /// # use dask_client::{Client, Result, as_completed, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let mut batches = as_completed(client.map(inc, 0..100)).batches();
    /// while let Some(futures) = batches.next().await {
    ///     println!("{:?}", client.gather(&futures).await?);
    /// }
    /// # client.close().await
    /// # }
    /// ```
    #[must_use]
    pub fn batches(self) -> Batches<F> {
        Batches { done: self }
    }
}

impl<F: AnyFuture> WithResults<F> {
    /// Adds more futures, also while others come out.
    pub fn add(&mut self, futures: impl Futures<Future = F>) {
        self.done.add(futures);
    }
}

impl<F: AnyFuture> Batches<F> {
    /// Adds more futures, also while others come out.
    pub fn add(&mut self, futures: impl Futures<Future = F>) {
        self.done.add(futures);
    }
}

impl<T: Value> WithResults<Future<T>> {
    /// The next future that is done, with its result; `None` when all have come out.
    pub async fn next(&mut self) -> Option<(Future<T>, Result<T>)> {
        aside(std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context))).await
    }
}

impl<T: Value> Batches<Future<T>> {
    /// The futures that are done by now, at least one; `None` when all have come out.
    pub async fn next(&mut self) -> Option<Vec<Future<T>>> {
        self.done.next_batch().await
    }
}

impl<T: Value> Stream for WithResults<Future<T>> {
    type Item = (Future<T>, Result<T>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { done, next } = self.get_mut();
        if next.is_none() {
            let Some(future) = ready!(done.poll_done(context)) else { return Poll::Ready(None) };
            let result = (&future).into_future();
            *next = Some((future, result));
        }
        let Some((_, result)) = next else { return Poll::Ready(None) };
        let result = ready!(result.as_mut().poll(context));
        Poll::Ready(next.take().map(|(future, _)| (future, result)))
    }
}

impl<T: Value> Stream for Batches<Future<T>> {
    type Item = Vec<Future<T>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().done.poll_batch(context)
    }
}

impl<F: AnyFuture> fmt::Debug for WithResults<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.done.count() + usize::from(self.next.is_some());
        write!(f, "<{left} futures with their results>")
    }
}
