//! Blocking futures wherever futures go: they are arguments, are waited for and gathered, and
//! travel.

use dask_task::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Future, block_on};
use crate::future::gather::{Gather, Holds, Values};
use crate::future::wait::futures;
use crate::submit::argument::{ArgumentError, CallBuilder, Dependency, IntoArg, dependencies};
use crate::{AnyFuture, AsCompleted, Batches, Futures, Result, WithResults};

dependencies! {
    Future: |future| Dependency::Future(future.0.hold.clone());
}

impl<T: Value> AnyFuture for Future<T> {}

futures!(Future);

impl<T: Value> Gather for Future<T> {
    type Output = T;

    fn holds(&self, holds: &mut Holds) {
        self.0.holds(holds);
    }

    fn values(&self, values: &mut Values) -> Result<Option<T>> {
        self.0.values(values)
    }
}

impl<T: Value> AsCompleted<Future<T>> {
    /// The next future that is done, with its result or why there is none: Dask's `with_results`.
    pub fn next_with_result(&mut self) -> Option<(Future<T>, Result<T>)> {
        let future = block_on(self.one())?;
        let result = future.result();
        Some((future, result))
    }

    /// The futures that are done by now, at least one; `None` when all have come out.
    pub fn next_batch(&mut self) -> Option<Vec<Future<T>>> {
        block_on(self.batch())
    }
}

impl<T: Value> Iterator for AsCompleted<Future<T>> {
    type Item = Future<T>;

    fn next(&mut self) -> Option<Self::Item> {
        block_on(self.one())
    }
}

impl<T: Value> Iterator for WithResults<Future<T>> {
    type Item = (Future<T>, Result<T>);

    fn next(&mut self) -> Option<Self::Item> {
        self.done.next_with_result()
    }
}

impl<T: Value> Iterator for Batches<Future<T>> {
    type Item = Vec<Future<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.done.next_batch()
    }
}

impl<T> Serialize for Future<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Future<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::Future::deserialize(deserializer).map(Self)
    }
}

/// Its key, for the verbs that take one.
impl<T> AsRef<str> for Future<T> {
    fn as_ref(&self) -> &str {
        self.key().as_str()
    }
}
