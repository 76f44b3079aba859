use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use dask_proto::codec::Carriage;
use dask_proto::graph::TaskOptions;
use dask_proto::{Key, TaskErrorKind};
use dask_task::{FUSED, TaskDef, TaskFn, Value};
use dask_tokenize::unique_key_name;

use crate::driver::Link;
use crate::future::hold::Hold;
use crate::graph::{Graph, Plan};
use crate::submit::argument::{ArgumentError, Call, CallBuilder, Dependency, IntoArgs};
use crate::submit::refusal;
use crate::{BoxFuture, Result};

/// A call that is not made yet: Dask's `Delayed`. [`delayed`] makes one.
pub struct Delayed<T> {
    source: Dependency,
    value: PhantomData<fn() -> T>,
}

/// One call of a graph.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) key: Key,
    pub(crate) def: &'static TaskDef,
    pub(crate) call: Call,
    /// Why the call cannot be made, if it cannot: reported when it is computed.
    invalid: Option<ArgumentError>,
    /// The functions of the calls that were fused to this one.
    fused: Vec<&'static str>,
}

/// A call of `function` that is made when somebody computes it: Dask's `delayed`.
///
/// Arguments are values, futures and other delayed calls. Each delayed call has a key of its own,
/// so two of the same are computed twice.
///
/// ```
/// # use dask_client::{Client, Delayed, Result, delayed, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let (a, b) = (delayed(inc, 1), delayed(inc, 2));
/// let c: Delayed<i64> = delayed(add, (&a, &b));
/// assert_eq!(c.compute().await?, 5);               // on the default client, else in this process
/// let future = client.compute(&c);                 // in the background
/// assert_eq!(future.await?, 5);
/// let c = client.persist(&c);                      // its result stays on the cluster
/// assert_eq!(delayed(inc, &c).compute().await?, 6);
/// # client.close().await
/// # }
/// ```
pub fn delayed<F: TaskFn>(function: F, args: impl IntoArgs<F::Params>) -> Delayed<F::Output> {
    let def = function.def();
    let key = Key::new(unique_key_name(def.name())).expect("a function's name fits a key");
    // The key is unique, so that nothing need be known about the arguments.
    let mut call = CallBuilder::new(Carriage::Objects, None);
    let invalid = args.write(&mut call).err();
    let (call, _) = call.finish();
    let mut node = Node::new(key, def, call);
    node.invalid = invalid;
    Delayed::new(Dependency::Delayed(Arc::new(node)))
}

/// What can be computed on a cluster: delayed calls, and collections of them.
///
/// Dask's collection protocol: a graph, the keys of its outputs, how to rebuild the collection on
/// outputs that are already computed, and how to finish them to one value.
pub trait Collection: Sized {
    /// What computing it gives.
    type Value: Value;

    /// The calls that it consists of.
    fn graph(&self) -> Graph;

    /// The keys of its outputs, in order.
    fn outputs(&self) -> Vec<Key>;

    /// The same collection on other outputs, in the order of [`Collection::outputs`]: on the
    /// cluster, or the same results in fewer tasks.
    fn rebuild(&self, outputs: Vec<Output>) -> Self;

    /// The one call whose result is the collection's value.
    fn finish(&self) -> Delayed<Self::Value>;

    /// Its graph with fewer tasks, for [`optimize`](crate::optimize): [`Graph::cull`],
    /// [`Graph::fuse`] and [`Graph::inline`] help. `None` leaves it to that.
    ///
    /// # Errors
    /// As the collection sees fit.
    fn optimized_graph(&self) -> Result<Option<Graph>> {
        Ok(None)
    }

    /// Computes it on the default client, or in this process where there is none.
    ///
    /// # Errors
    /// When a task fails, or the default client's scheduler is gone.
    fn compute(&self) -> BoxFuture<'static, Result<Self::Value>> {
        let call = self.finish();
        Box::pin(async move { call.compute().await })
    }

    /// Starts computing it on the default client, or in this process where there is none, and keeps
    /// its outputs there.
    ///
    /// # Errors
    /// When there is no default client and none can be started in this process.
    fn persist(&self) -> BoxFuture<'_, Result<Self>>
    where
        Self: Sync,
    {
        Box::pin(crate::persist(self))
    }

    /// Draws the graph into a file: `.svg` for a picture, `.dot` for the text that Graphviz draws.
    ///
    /// # Errors
    /// As [`Graph::visualize`].
    fn visualize(&self, file: impl AsRef<Path>) -> Result<()> {
        self.graph().visualize(file)
    }
}

/// An output of a collection: on the cluster, or a call.
#[derive(Debug, Clone)]
pub struct Output(Dependency);

impl Output {
    pub(crate) fn new(dependency: Dependency) -> Self {
        Self(dependency)
    }

    pub(crate) fn on_cluster(hold: Arc<Hold>) -> Self {
        Self(Dependency::Future(hold))
    }

    /// The output as a delayed value. The type is the one that the collection gave its call.
    #[must_use]
    pub fn delayed<T>(self) -> Delayed<T> {
        Delayed::new(self.0)
    }
}

impl<T> Delayed<T> {
    fn new(source: Dependency) -> Self {
        Self { source, value: PhantomData }
    }

    /// The key of the call and of its result.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.source.key()
    }

    pub(crate) fn dependency(&self) -> Dependency {
        self.source.clone()
    }
}

impl<T: Value> Delayed<T> {
    /// Computes the call on the default client, or in this process where there is none.
    ///
    /// # Errors
    /// When the task fails, or the default client's scheduler is gone.
    pub async fn compute(&self) -> Result<T> {
        crate::compute(self).await
    }

    /// Starts the call on the default client and keeps the result there, or in this process where
    /// there is none.
    ///
    /// # Errors
    /// When there is no default client and none can be started in this process.
    pub async fn persist(&self) -> Result<Self> {
        crate::persist(self).await
    }
}

impl<T: Value> Collection for Delayed<T> {
    type Value = T;

    fn graph(&self) -> Graph {
        match &self.source {
            Dependency::Delayed(node) => Graph::with(node.clone()),
            Dependency::Future(hold) => Graph::of_future(hold.clone()),
            Dependency::Key(_) => Graph::new(),
        }
    }

    fn outputs(&self) -> Vec<Key> {
        vec![self.key().clone()]
    }

    fn rebuild(&self, outputs: Vec<Output>) -> Self {
        outputs.into_iter().next().map_or_else(|| self.clone(), Output::delayed)
    }

    fn finish(&self) -> Delayed<T> {
        self.clone()
    }
}

impl<T> Clone for Delayed<T> {
    fn clone(&self) -> Self {
        Self::new(self.source.clone())
    }
}

impl<T> fmt::Debug for Delayed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delayed({})", self.key())
    }
}

impl Node {
    pub(crate) fn new(key: Key, def: &'static TaskDef, call: Call) -> Self {
        Self { key, def, call, invalid: None, fused: Vec::new() }
    }

    /// One task of calls of these functions.
    pub(crate) fn fused(key: Key, call: Call, functions: Vec<&'static str>) -> Self {
        Self { key, def: &FUSED, call, invalid: None, fused: functions }
    }

    /// The same call with its dependencies elsewhere.
    pub(crate) fn with(&self, dependencies: Vec<Dependency>) -> Self {
        let call = Call { body: self.call.body.clone(), dependencies, token: self.call.token };
        let (invalid, fused) = (self.invalid.clone(), self.fused.clone());
        Self { key: self.key.clone(), def: self.def, call, invalid, fused }
    }

    /// The names of the functions that are called.
    pub(crate) fn functions(&self) -> Vec<&'static str> {
        if self.fused.is_empty() { vec![self.def.name()] } else { self.fused.clone() }
    }

    /// Submits the call with everything that it needs.
    pub(crate) fn submit(self: &Arc<Self>, link: &Arc<Link>, options: &TaskOptions) -> Arc<Hold> {
        let plan = Plan::new(vec![self.clone()], &Graph::new());
        let plan = plan.expect("delayed calls depend on earlier ones, so they form no cycle");
        plan.send(link, options).remove(&self.key).expect("the plan is for this call")
    }

    /// Why the call cannot be made, as its task's failure.
    pub(crate) fn failure(&self) -> Option<dask_proto::TaskError> {
        let key = Some(self.key.clone());
        let error = self.invalid.as_ref()?;
        Some(refusal(TaskErrorKind::Serialization, key, self.def, error))
    }
}

/// A chain of calls may be longer than a thread's stack, so that one does not drop the next.
impl Drop for Node {
    fn drop(&mut self) {
        let mut dependencies = std::mem::take(&mut self.call.dependencies);
        while let Some(dependency) = dependencies.pop() {
            if let Dependency::Delayed(node) = dependency
                && let Some(mut node) = Arc::into_inner(node)
            {
                dependencies.append(&mut node.call.dependencies);
            }
        }
    }
}
