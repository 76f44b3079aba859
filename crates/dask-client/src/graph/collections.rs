//! One collection or several, whose calls are one graph.

use std::collections::HashMap;
use std::sync::Arc;
use std::vec::IntoIter;

use dask_proto::graph::TaskOptions;
use dask_proto::{Key, TaskErrorKind};

use crate::driver::Link;
use crate::future::gather::Gather;
use crate::future::hold::Hold;
use crate::graph::delayed::{Collection, Output};
use crate::graph::{Graph, Plan};
use crate::submit::argument::Dependency;
use crate::tuples::for_tuples;
use crate::{Client, Future, Result, blocking, default};

/// What [`Client::compute`] and [`Client::persist`] take: a reference to a collection, to a list of
/// collections, or a tuple of such. What they have in common is computed once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` refers to no collections",
    label = "expected a reference to a collection, or to several",
    note = "one is passed as `&a`, a list as `&list`, several of different types as `(&a, &b)`"
)]
pub trait Collections {
    /// The futures of the values: one, a list, or a tuple.
    type Futures: Gather + Send;

    /// The same futures for programs that are not async.
    type Blocking: Gather + Send;

    /// The same collections on futures.
    type Persisted;

    #[doc(hidden)]
    fn calls(&self, calls: &mut Calls);

    #[doc(hidden)]
    fn futures(&self, holds: &mut Computed) -> Self::Futures;

    #[doc(hidden)]
    fn blocking(futures: Self::Futures) -> Self::Blocking;

    #[doc(hidden)]
    fn graph(&self, whole: &mut Whole);

    #[doc(hidden)]
    fn persisted(&self, outputs: &mut Outputs) -> Self::Persisted;
}

/// The calls whose results are the values.
#[doc(hidden)]
#[derive(Default)]
pub struct Calls(Vec<Dependency>);

/// A hold for each of them.
#[doc(hidden)]
pub struct Computed(IntoIter<Arc<Hold>>);

/// The graphs of all, with the keys of their outputs.
#[doc(hidden)]
#[derive(Default)]
pub struct Whole(Graph, Vec<Key>);

/// An output for each of them.
#[doc(hidden)]
pub struct Outputs(IntoIter<Output>);

impl<C: Collection> Collections for &C {
    type Futures = Future<C::Value>;
    type Blocking = blocking::Future<C::Value>;
    type Persisted = C;

    fn calls(&self, calls: &mut Calls) {
        calls.0.push(self.finish().dependency());
    }

    fn futures(&self, holds: &mut Computed) -> Self::Futures {
        Future::new(holds.0.next().expect("a hold for each call"))
    }

    fn blocking(futures: Self::Futures) -> Self::Blocking {
        blocking::Future(futures)
    }

    fn graph(&self, whole: &mut Whole) {
        whole.0.extend(Collection::graph(*self));
        whole.1.extend(self.outputs());
    }

    fn persisted(&self, outputs: &mut Outputs) -> C {
        let count = self.outputs().len();
        self.rebuild(outputs.0.by_ref().take(count).collect())
    }
}

/// Lists, by reference.
macro_rules! lists {
    ($([$($n:tt)*] $list:ty;)*) => {$(
        impl<C: Collection, $($n)*> Collections for $list {
            type Futures = Vec<Future<C::Value>>;
            type Blocking = Vec<blocking::Future<C::Value>>;
            type Persisted = Vec<C>;

            fn calls(&self, calls: &mut Calls) {
                self.iter().for_each(|one| one.calls(calls));
            }

            fn futures(&self, holds: &mut Computed) -> Self::Futures {
                self.iter().map(|one| one.futures(holds)).collect()
            }

            fn blocking(futures: Self::Futures) -> Self::Blocking {
                futures.into_iter().map(blocking::Future).collect()
            }

            fn graph(&self, whole: &mut Whole) {
                self.iter().for_each(|one| Collections::graph(&one, whole));
            }

            fn persisted(&self, outputs: &mut Outputs) -> Vec<C> {
                self.iter().map(|one| one.persisted(outputs)).collect()
            }
        }
    )*};
}

lists! {
    [] &Vec<C>;
    [] &[C];
    [const N: usize] &[C; N];
}

macro_rules! tuples {
    ($(($($one:ident $index:tt),*))*) => {$(
        impl<$($one: Collections),*> Collections for ($($one,)*) {
            type Futures = ($($one::Futures,)*);
            type Blocking = ($($one::Blocking,)*);
            type Persisted = ($($one::Persisted,)*);

            fn calls(&self, calls: &mut Calls) {
                $(self.$index.calls(calls);)*
            }

            fn futures(&self, holds: &mut Computed) -> Self::Futures {
                ($(self.$index.futures(holds),)*)
            }

            fn blocking(futures: Self::Futures) -> Self::Blocking {
                ($($one::blocking(futures.$index),)*)
            }

            fn graph(&self, whole: &mut Whole) {
                $(self.$index.graph(whole);)*
            }

            fn persisted(&self, outputs: &mut Outputs) -> Self::Persisted {
                ($(self.$index.persisted(outputs),)*)
            }
        }
    )*};
}

for_tuples!(tuples);

pub(crate) fn start<C: Collections>(
    collections: &C,
    link: &Arc<Link>,
    options: &TaskOptions,
) -> C::Futures {
    let mut calls = Calls::default();
    collections.calls(&mut calls);
    let nodes = calls.0.iter().filter_map(|call| match call {
        Dependency::Delayed(node) => Some(node.clone()),
        Dependency::Future(_) | Dependency::Key(_) => None,
    });
    let plan = Plan::new(nodes.collect(), &Graph::new());
    let plan = plan.expect("delayed calls depend on earlier ones, so they form no cycle");
    let sent = plan.send(link, options);
    let hold = |call| hold(call, &sent, link);
    collections
        .futures(&mut Computed(calls.0.into_iter().map(hold).collect::<Vec<_>>().into_iter()))
}

fn hold(call: Dependency, sent: &HashMap<Key, Arc<Hold>>, link: &Arc<Link>) -> Arc<Hold> {
    match call {
        Dependency::Future(hold) => hold.shared_with(link),
        Dependency::Delayed(node) => sent[&node.key].clone(),
        Dependency::Key(key) => Hold::subscribe(link, key),
    }
}

pub(crate) fn persist_on<C: Collections>(
    collections: &C,
    link: &Arc<Link>,
    options: &TaskOptions,
) -> C::Persisted {
    let mut whole = Whole::default();
    collections.graph(&mut whole);
    let Whole(graph, outputs) = whole;
    let outputs: Vec<Output> = match graph.submit(&outputs, link, options) {
        Ok(holds) => holds.into_iter().map(Output::on_cluster).collect(),
        Err(error) => {
            let failed = outputs.into_iter().map(|key| {
                let kind = TaskErrorKind::InvalidGraph;
                let error = dask_proto::TaskError::from_error(kind, key, &error);
                Output::on_cluster(Hold::failed(link, error))
            });
            failed.collect()
        }
    };
    collections.persisted(&mut Outputs(outputs.into_iter()))
}

impl Client {
    /// Starts computing a collection in the background: Dask's `Client.compute`. Several, in a list
    /// or a tuple, are computed together, and what they have in common once; the futures come back
    /// in the same nesting.
    ///
    /// ```
    /// # use dask_client::{Client, Result, delayed, task};
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let common = delayed(inc, 1);
    /// let (a, b) = (delayed(inc, &common), delayed(add, (&common, 10)));
    /// assert_eq!(client.compute(&a).await?, 3);
    /// let (a, b) = client.compute((&a, &b));
    /// assert_eq!(client.gather((&a, &b)).await?, (3, 12));
    /// # client.close().await
    /// # }
    /// ```
    pub fn compute<C: Collections>(&self, collections: C) -> C::Futures {
        self.options().compute(collections)
    }

    /// Starts computing a collection, or several, and keeps the outputs on the cluster: Dask's
    /// `Client.persist`.
    ///
    /// What is returned stands on futures in place of its graph.
    pub fn persist<C: Collections>(&self, collections: C) -> C::Persisted {
        self.options().persist(collections)
    }
}

/// The values of a collection, or of several, computed on the default client, or in this process
/// where there is none: Dask's `compute`.
///
/// ```
/// # use dask_client::{Result, compute, delayed, task};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// let calls = [1, 2, 3].map(|x| delayed(inc, x));
/// assert_eq!(compute(&calls).await?, [2, 3, 4]);
/// assert_eq!(compute((&calls[0], &calls[1])).await?, (2, 3));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When a task fails, or the default client's scheduler is gone.
pub async fn compute<C: Collections>(collections: C) -> Result<<C::Futures as Gather>::Output> {
    let client = default::or_local().await?;
    let futures = client.compute(collections);
    client.gather(futures).await
}

/// [`Client::persist`] on the default client, or in this process where there is none: Dask's
/// `persist`.
///
/// # Errors
/// When there is no default client and none can be started in this process.
pub async fn persist<C: Collections>(collections: C) -> Result<C::Persisted> {
    Ok(default::or_local().await?.persist(collections))
}
