use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dask_task::Value;
use futures_core::Stream;
use tokio::sync::mpsc;

use crate::future::wait::{AnyFuture, Futures, hold};
use crate::running::aside::aside;
use crate::{Future, Result};

/// Futures in the order in which they are done: Dask's `as_completed`.
///
/// A [`Stream`] of futures, with a [`next`](AsCompleted::next) of its own; of blocking futures an
/// [`Iterator`]. A future comes out once for each time it went in, finished, failed or cancelled.
/// [`with_results`](AsCompleted::with_results) has their results beside them, and
/// [`batches`](AsCompleted::batches) all that are done at a time.
///
/// ```
/// # use dask_client::{task, Client, Result, as_completed};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let mut done = as_completed(client.map(inc, 0..3));
/// while let Some(future) = done.next().await {
///     if future.result().await? < 5 {
///         done.add(client.submit(inc, &future));
///     }
/// }
/// # client.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct AsCompleted<F> {
    pending: HashMap<u64, F>,
    next: u64,
    done: mpsc::UnboundedReceiver<u64>,
    sender: mpsc::UnboundedSender<u64>,
}

/// Futures in the order in which they are done.
pub fn as_completed<F: Futures>(futures: F) -> AsCompleted<F::Future> {
    AsCompleted::new(futures.into_list())
}

impl<F: AnyFuture> AsCompleted<F> {
    pub(crate) fn new(futures: Vec<F>) -> Self {
        // Not unbounded: one number for each future that is in here.
        let (sender, done) = mpsc::unbounded_channel();
        let mut this = Self { pending: HashMap::new(), next: 0, done, sender };
        this.extend(futures);
        this
    }

    /// Adds futures; others may have come out already.
    pub fn add(&mut self, futures: impl Futures<Future = F>) {
        self.extend(futures.into_list());
    }

    fn extend(&mut self, futures: Vec<F>) {
        for future in futures {
            let (number, sender) = (self.next, self.sender.clone());
            self.next += 1;
            let hold = hold(&future);
            self.pending.insert(number, future);
            // Without a receiver nobody wants to know.
            hold.when_done(Box::new(move || {
                let _ = sender.send(number);
            }));
        }
    }

    /// Whether a future is done that has not come out yet.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.done.is_empty()
    }

    /// How many futures are still to come out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pending.len()
    }

    /// Whether all futures have come out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Forgets the futures that are still to come out.
    pub fn clear(&mut self) {
        self.pending.clear();
        while self.done.try_recv().is_ok() {}
    }

    pub(crate) async fn one(&mut self) -> Option<F> {
        aside(std::future::poll_fn(|context| self.poll_done(context))).await
    }

    pub(crate) async fn batch(&mut self) -> Option<Vec<F>> {
        aside(std::future::poll_fn(|context| self.poll_batch(context))).await
    }

    pub(super) fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<F>>> {
        let Some(first) = ready!(self.poll_done(context)) else { return Poll::Ready(None) };
        let mut batch = vec![first];
        while let Ok(number) = self.done.try_recv() {
            batch.extend(self.pending.remove(&number));
        }
        Poll::Ready(Some(batch))
    }

    pub(super) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Option<F>> {
        loop {
            if self.pending.is_empty() {
                return Poll::Ready(None);
            }
            // `self` holds a sender, so the channel does not end.
            let Some(number) = ready!(self.done.poll_recv(context)) else {
                return Poll::Ready(None);
            };
            // A future that was cleared may still be reported.
            if let Some(future) = self.pending.remove(&number) {
                return Poll::Ready(Some(future));
            }
        }
    }
}

impl<T: Value> AsCompleted<Future<T>> {
    /// The next future that is done; `None` when all have come out.
    pub async fn next(&mut self) -> Option<Future<T>> {
        self.one().await
    }

    /// The next future that is done, with its result or why there is none: Dask's `with_results`.
    pub async fn next_with_result(&mut self) -> Option<(Future<T>, Result<T>)> {
        let future = self.one().await?;
        let result = future.result().await;
        Some((future, result))
    }

    /// The futures that are done by now, at least one; `None` when all have come out.
    pub async fn next_batch(&mut self) -> Option<Vec<Future<T>>> {
        self.batch().await
    }
}

impl<T: Value> Stream for AsCompleted<Future<T>> {
    type Item = Future<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_done(context)
    }
}
