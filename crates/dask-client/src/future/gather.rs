//! Values back from the cluster.

use std::collections::{BTreeMap, HashMap};
use std::future::IntoFuture;
use std::hash::Hash;
use std::iter::Zip;
use std::marker::PhantomData;
use std::sync::Arc;
use std::vec::IntoIter;

use dask_proto::Payload;
use dask_task::Value;

use crate::error::Kind;
use crate::future::fetch::fetch;
use crate::future::hold::Hold;
use crate::future::{BoxFuture, Future};
use crate::tuples::for_tuples;
use crate::{Client, Error, Result};

/// What [`Client::gather`] takes: futures in any nesting of slices, vectors, arrays, tuples and
/// maps. The values come back in the same nesting.
pub trait Gather {
    /// The values.
    type Output;

    #[doc(hidden)]
    fn holds(&self, holds: &mut Holds);

    /// `None` where a skipped future leaves nothing.
    #[doc(hidden)]
    fn values(&self, values: &mut Values) -> Result<Option<Self::Output>>;
}

/// The futures in what is gathered, in order.
#[doc(hidden)]
#[derive(Default)]
pub struct Holds(pub(crate) Vec<Arc<Hold>>);

/// The values of the same futures, in the same order.
#[doc(hidden)]
pub struct Values(Zip<IntoIter<Arc<Hold>>, IntoIter<Option<Payload>>>);

/// What becomes of futures that failed: the argument of [`GatherBuilder::errors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Errors {
    /// The first error is the result.
    #[default]
    Raise,
    /// They are left out of lists and maps.
    Skip,
}

/// A gather that starts when it is awaited.
#[must_use = "a gather does nothing until it is awaited"]
pub struct GatherBuilder<'a, G> {
    client: Client,
    futures: G,
    errors: Errors,
    lifetime: PhantomData<&'a ()>,
}

impl<G> GatherBuilder<'_, G> {
    /// Whether futures that failed are an error, or left out.
    pub fn errors(mut self, errors: Errors) -> Self {
        self.errors = errors;
        self
    }
}

impl<'a, G: Gather + Send + 'a> IntoFuture for GatherBuilder<'a, G> {
    type Output = Result<G::Output>;
    type IntoFuture = BoxFuture<'a, Result<G::Output>>;

    fn into_future(self) -> Self::IntoFuture {
        let mut holds = Holds::default();
        self.futures.holds(&mut holds);
        Box::pin(async move {
            let link = self.client.link();
            // What another client holds is held by this one too, under an id of its own.
            for hold in holds.0.iter_mut().filter(|hold| !Arc::ptr_eq(&hold.client, link)) {
                *hold = hold.on(link).unwrap_or_else(|_| hold.clone());
            }
            let payloads = fetch(link, &holds.0, self.errors).await?;
            let mut values = Values(holds.0.into_iter().zip(payloads));
            let values = self.futures.values(&mut values)?;
            values.ok_or_else(|| Kind::Skipped.into())
        })
    }
}

impl Client {
    /// Waits for futures and fetches their values, in the nesting of the futures: Dask's `gather`.
    ///
    /// ```
    /// # use dask_client::{Client, Result, Skip, task};
    /// # #[task] fn parse(s: &str) -> Result<i64, std::num::ParseIntError> { s.parse() }
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let futures = client.map(parse, ["1", "2", "three"]);
    /// assert_eq!(client.gather(&futures[..2]).await?, [1, 2]);
    /// assert_eq!(client.gather((&futures[0], &futures[1])).await?, (1, 2));
    /// assert_eq!(client.gather(&futures).errors(Skip).await?, [1, 2]);
    /// # client.close().await
    /// # }
    /// ```
    pub fn gather<'a, G: Gather + Send + 'a>(&self, futures: G) -> GatherBuilder<'a, G> {
        let client = self.clone();
        GatherBuilder { client, futures, errors: Errors::Raise, lifetime: PhantomData }
    }
}

/// The value of one future.
pub(crate) async fn value<T: Value>(hold: &Arc<Hold>) -> Result<T> {
    let holds = [hold.clone()];
    let mut payloads = fetch(&hold.client, &holds, Errors::Raise).await?;
    let payload = payloads.pop().flatten();
    decode(hold, payload.ok_or(Error::from(Kind::Answer))?)
}

fn decode<T: Value>(hold: &Hold, payload: Payload) -> Result<T> {
    let key = || hold.key.clone();
    dask_task::take(payload).map_err(|source| Kind::Value { key: key(), source }.into())
}

impl<T: Value> Gather for Future<T> {
    type Output = T;

    fn holds(&self, holds: &mut Holds) {
        holds.0.push(self.hold.clone());
    }

    fn values(&self, values: &mut Values) -> Result<Option<T>> {
        let (hold, payload) = values.0.next().ok_or(Error::from(Kind::Answer))?;
        payload.map(|payload| decode(&hold, payload)).transpose()
    }
}

impl<G: Gather + ?Sized> Gather for &G {
    type Output = G::Output;

    fn holds(&self, holds: &mut Holds) {
        (**self).holds(holds);
    }

    fn values(&self, values: &mut Values) -> Result<Option<G::Output>> {
        (**self).values(values)
    }
}

/// Sequences leave out what is skipped.
macro_rules! sequences {
    ($([$($generics:tt)*] $sequence:ty;)*) => {$(
        impl<$($generics)*> Gather for $sequence {
            type Output = Vec<G::Output>;

            fn holds(&self, holds: &mut Holds) {
                self.iter().for_each(|element| element.holds(holds));
            }

            fn values(&self, values: &mut Values) -> Result<Option<Self::Output>> {
                let elements = self.iter().map(|element| element.values(values));
                elements.filter_map(Result::transpose).collect::<Result<_>>().map(Some)
            }
        }
    )*};
}

sequences! {
    [G: Gather] [G];
    [G: Gather] Vec<G>;
    [G: Gather, const N: usize] [G; N];
}

/// Maps leave out what is skipped.
macro_rules! maps {
    ($($map:ident: $($bound:ident)+;)*) => {$(
        impl<K: Clone $(+ $bound)+, G: Gather> Gather for $map<K, G> {
            type Output = $map<K, G::Output>;

            fn holds(&self, holds: &mut Holds) {
                self.values().for_each(|element| element.holds(holds));
            }

            fn values(&self, values: &mut Values) -> Result<Option<Self::Output>> {
                let entries = self.iter().map(|(key, element)| {
                    Ok(element.values(values)?.map(|value| (key.clone(), value)))
                });
                entries.filter_map(Result::transpose).collect::<Result<_>>().map(Some)
            }
        }
    )*};
}

maps! {
    HashMap: Eq Hash;
    BTreeMap: Ord;
}

/// A tuple with a skipped element is skipped as a whole.
macro_rules! tuples {
    ($(($($element:ident $index:tt),*))*) => {$(
        impl<$($element: Gather),*> Gather for ($($element,)*) {
            type Output = ($($element::Output,)*);

            fn holds(&self, holds: &mut Holds) {
                $(self.$index.holds(holds);)*
            }

            fn values(&self, values: &mut Values) -> Result<Option<Self::Output>> {
                // Every element takes its values, skipped or not.
                let elements = ($(self.$index.values(values)?,)*);
                Ok((|| Some(($(elements.$index?,)*)))())
            }
        }
    )*};
}

for_tuples!(tuples);
