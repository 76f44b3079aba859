use std::future::IntoFuture;

use dask_task::{TaskFn, Value};

use super::{Client, Future, block_on, blocking};
use crate::actor::ActorOptions;
use crate::future::gather::Gather;
use crate::graph::Graph;
use crate::graph::collections::Collections;
use crate::submit::argument::IntoArgs;
use crate::{Options, Result};

/// [`Options`] of a blocking client: its verbs block.
impl Options<Client> {
    pub(super) fn asynchronous(&self) -> Options {
        self.on(self.client.0.clone())
    }

    /// [`Options::actor`](crate::Options::actor): wait for its calls with
    /// [`block`](crate::ActorFuture::block).
    pub fn actor(self, actor: bool) -> ActorOptions {
        self.asynchronous().actor(actor)
    }

    /// [`Client::submit`] with these options.
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        Future(self.asynchronous().submit(function, args))
    }

    /// [`Client::map`] with these options.
    pub fn map<F: TaskFn, I>(&self, function: F, items: I) -> Vec<Future<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        blocking(self.asynchronous().map(function, items))
    }

    /// [`Client::compute`] with these options.
    pub fn compute<C: Collections>(&self, collections: C) -> C::Blocking {
        C::blocking(self.asynchronous().compute(collections))
    }

    /// [`Client::persist`] with these options.
    pub fn persist<C: Collections>(&self, collections: C) -> C::Persisted {
        self.asynchronous().persist(collections)
    }

    /// [`Client::get`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn get<T: Value, K: AsRef<str>>(
        &self,
        graph: &Graph,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<T>> {
        block_on(self.asynchronous().get(graph, keys))
    }

    /// [`Client::gather`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn gather<G: Gather + Send>(&self, futures: G) -> Result<G::Output> {
        block_on(self.asynchronous().gather(futures).into_future())
    }

    /// [`Client::scatter`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn scatter<T: Value>(&self, value: T) -> Result<Future<T>> {
        block_on(self.asynchronous().scatter(value)).map(Future)
    }

    /// [`Client::scatter_many`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn scatter_many<T: Value>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Future<T>>> {
        block_on(self.asynchronous().scatter_many(values)).map(blocking)
    }

    /// [`Client::wait_for_workers`] with these options.
    ///
    /// # Errors
    /// As [`Options::wait_for_workers`](crate::Options).
    pub fn wait_for_workers(&self, n: u32) -> Result<()> {
        block_on(self.asynchronous().wait_for_workers(n))
    }
}
