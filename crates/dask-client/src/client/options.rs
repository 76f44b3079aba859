use std::time::Duration;

use dask_proto::graph::TaskOptions;
use dask_task::{TaskFn, Value};

use crate::actor::ActorOptions;
use crate::future::gather::{Errors, Gather, GatherBuilder};
use crate::graph::Graph;
use crate::graph::collections::{self, Collections};
use crate::submit::argument::IntoArgs;
use crate::submit::scatter::Scatter;
use crate::submit::{MAP_BATCH, Name, Naming, Submitter};
use crate::{Client, Error, Future, Result};

/// Options for the verbs of a client, which Dask takes as keyword arguments: [`Client::options`].
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a verb uses them"]
pub struct Options<C = Client> {
    pub(crate) client: C,
    pub(crate) task: TaskOptions,
    key: Option<String>,
    pure: bool,
    batch_size: usize,
    scatter: Scatter,
    pub(crate) timeout: Option<Duration>,
    pub(crate) n: Option<u32>,
    pub(crate) overwrite: bool,
    pub(crate) errors: Errors,
}

impl<C> Options<C> {
    pub(crate) fn new(client: C) -> Self {
        Self {
            client,
            task: TaskOptions::default(),
            key: None,
            pure: true,
            batch_size: MAP_BATCH,
            scatter: Scatter::default(),
            timeout: None,
            n: None,
            overwrite: false,
            errors: Errors::Raise,
        }
    }

    /// Whether the function gives the same result for the same arguments; `true` by default. An
    /// impure call gets a key of its own, so it is computed even if the same call was made before,
    /// unless [`Options::key`] names it.
    pub fn pure(mut self, pure: bool) -> Self {
        self.pure = pure;
        self
    }

    /// The key of the task; for `map`, what all keys start with.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How often a task that fails is run again before its error counts; 0 by default.
    pub fn retries(mut self, retries: u32) -> Self {
        self.task.retries = retries;
        self
    }

    /// Tasks with a higher priority run first; 0 by default.
    pub fn priority(mut self, priority: i32) -> Self {
        self.task.priority = priority;
        self
    }

    /// The only workers that may run the task or get the data, or that the verb is about:
    /// addresses, hosts or names.
    pub fn workers<W: Into<String>>(mut self, workers: impl IntoIterator<Item = W>) -> Self {
        self.task.workers = workers.into_iter().map(Into::into).collect();
        self.scatter.workers.clone_from(&self.task.workers);
        self
    }

    /// Whether other workers may run the task when none of [`Options::workers`] is there.
    pub fn allow_other_workers(mut self, allow: bool) -> Self {
        self.task.allow_other_workers = allow;
        self
    }

    /// Abstract resources that the task holds while it runs, such as `[("GPU", 1.0)]`.
    pub fn resources<N: Into<String>>(
        mut self,
        resources: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        self.task.resources = resources.into_iter().map(|(name, n)| (name.into(), n)).collect();
        self
    }

    /// How many calls of a `map` are sent to the scheduler at a time.
    pub fn batch_size(mut self, tasks: usize) -> Self {
        self.batch_size = tasks.max(1);
        self
    }

    /// Whether scattered data go to every worker; `false` by default.
    pub fn broadcast(mut self, broadcast: bool) -> Self {
        self.scatter.broadcast = broadcast;
        self
    }

    /// Whether the keys of scattered data are made from their content; `true` by default.
    pub fn hash(mut self, hash: bool) -> Self {
        self.scatter.hash = hash;
        self
    }

    /// How long the verb waits for workers; by default 30 s for a scatter, two minutes for a
    /// restart, and without limit for [`Client::wait_for_workers`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.scatter.timeout = timeout;
        self.timeout = Some(timeout);
        self
    }

    /// How many copies [`Client::replicate`] makes, and how many lines of each worker
    /// [`Client::get_worker_logs`] gives at most.
    pub fn n(mut self, n: u32) -> Self {
        self.n = Some(n);
        self
    }

    /// Whether a dataset takes the place of one that has its name: Dask's `override`.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether futures that failed are an error of a `gather`, as unless told otherwise, or left
    /// out; for a `run`, whether workers on which it failed are.
    ///
    /// ```
    /// # use dask_client::{Skip, blocking, task};
    /// # #[task]
    /// # fn parse(s: &str) -> Result<i64, std::num::ParseIntError> { s.parse() }
    /// # let client = blocking::Client::local()?;
    /// let futures = client.map(parse, ["1", "two", "3"]);
    /// assert_eq!(client.options().errors(Skip).gather(&futures)?, [1, 3]);
    /// # client.close()?;
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = errors;
        self
    }

    /// The same options for another client.
    pub(crate) fn on<D>(&self, client: D) -> Options<D> {
        Options {
            client,
            task: self.task.clone(),
            key: self.key.clone(),
            pure: self.pure,
            batch_size: self.batch_size,
            scatter: self.scatter.clone(),
            timeout: self.timeout,
            n: self.n,
            overwrite: self.overwrite,
            errors: self.errors,
        }
    }

    /// How tasks are named, with what a key of the user's stands for.
    fn naming<'a>(&'a self, key: fn(&'a str) -> Name<'a>) -> Naming<'a> {
        Naming { name: self.key.as_deref().map_or(Name::Function, key), pure: self.pure }
    }
}

impl Options {
    /// Whether to submit an [`Actor`](crate::Actor), which is what `true` says. A function that
    /// makes an actor makes nothing else, so after `false` every call on the handle fails, and says
    /// why. Tasks need no such option.
    ///
    /// ```
    /// # use dask_client::{Actor, Client, Result, actor};
    /// struct Counter { n: i64 }
    ///
    /// #[actor]
    /// impl Counter {
    ///     pub fn new() -> Self { Self { n: 0 } }
    ///     pub fn add(&mut self, n: i64) -> i64 { self.n += n; self.n }
    /// }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let counter: Actor<Counter> = client.options().actor(true).submit(Counter::new, ());
    /// counter.add(1);
    /// assert_eq!(counter.add(10).await?, 11);
    /// # client.close().await
    /// # }
    /// ```
    pub fn actor(self, actor: bool) -> ActorOptions {
        ActorOptions::new(self.client, TaskOptions { actor, ..self.task }, self.key)
    }

    /// [`Client::submit`] with these options.
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        let naming = self.naming(Name::Key);
        let mut submitter = Submitter::new(self.client.link(), &self.task, naming, function.def());
        let hold = submitter.add::<F>(args);
        submitter.flush();
        Future::new(hold)
    }

    /// [`Client::map`] with these options.
    pub fn map<F: TaskFn, I>(&self, function: F, items: I) -> Vec<Future<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        let naming = self.naming(Name::Prefix);
        let items = items.into_iter();
        let mut futures = Vec::with_capacity(items.size_hint().0.min(1 << 20));
        let mut submitter = Submitter::new(self.client.link(), &self.task, naming, function.def());
        for args in items {
            futures.push(Future::new(submitter.add::<F>(args)));
            if submitter.waiting() >= self.batch_size {
                submitter.flush();
            }
        }
        submitter.flush();
        futures
    }

    /// [`Client::compute`] with these options.
    pub fn compute<C: Collections>(&self, collections: C) -> C::Futures {
        collections::start(&collections, self.client.link(), &self.task)
    }

    /// [`Client::persist`] with these options.
    pub fn persist<C: Collections>(&self, collections: C) -> C::Persisted {
        collections::persist_on(&collections, self.client.link(), &self.task)
    }

    /// [`Client::get`] with these options.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get<T: Value, K: AsRef<str>>(
        &self,
        graph: &Graph,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<T>> {
        let holds = graph.submit(keys, self.client.link(), &self.task)?;
        let futures: Vec<Future<T>> = holds.into_iter().map(Future::new).collect();
        self.client.gather(&futures).await
    }

    /// [`Client::gather`] with these options.
    pub fn gather<'a, G: Gather + Send + 'a>(&self, futures: G) -> GatherBuilder<'a, G> {
        self.client.gather(futures).errors(self.errors)
    }

    /// [`Client::scatter`] with these options.
    ///
    /// # Errors
    /// As [`Client::scatter`].
    pub async fn scatter<T: Value>(&self, value: T) -> Result<Future<T>> {
        let mut futures = self.scatter_many([value]).await?;
        Ok(futures.pop().expect("one future per value"))
    }

    /// [`Client::scatter_many`] with these options.
    ///
    /// # Errors
    /// As [`Client::scatter`].
    pub async fn scatter_many<T: Value>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Future<T>>> {
        let values = values.into_iter().collect();
        crate::submit::scatter::scatter(self.client.link(), &self.scatter, values).await
    }

    /// [`Client::wait_for_workers`] with these options.
    ///
    /// # Errors
    /// As there, and when the time is up ([`Error::is_timeout`]).
    pub async fn wait_for_workers(&self, n: u32) -> Result<()> {
        let workers = self.client.wait_for_workers(n);
        match self.timeout {
            None => workers.await,
            Some(timeout) => tokio::time::timeout(timeout, workers)
                .await
                .map_err(|_| Error::timeout("waiting for workers", timeout))?,
        }
    }
}
