//! Values back from the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::IntoFuture;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use dask_proto::id::TaskId;
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::{Answer, ClientToScheduler, Request, ValueAt};
use dask_proto::{Address, Payload};
use dask_task::Value;

use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::{Hold, Outcome};
use crate::future::{BoxFuture, Future};
use crate::state::Event;
use crate::{Client, Error, Result, blocking};

/// How often a value that is not where it was said to be is looked for again.
const TRIES: u32 = 20;

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
pub struct Values(std::vec::IntoIter<(Arc<Hold>, Option<Payload>)>);

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
            let payloads = fetch(self.client.link(), &holds.0, self.errors).await?;
            let pairs: Vec<_> = holds.0.into_iter().zip(payloads).collect();
            let values = self.futures.values(&mut Values(pairs.into_iter()))?;
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
        GatherBuilder {
            client,
            futures,
            errors: Errors::Raise,
            lifetime: PhantomData,
        }
    }
}

/// The value of one future.
pub(crate) async fn value<T: Value>(hold: &Arc<Hold>) -> Result<T> {
    let holds = [hold.clone()];
    let mut payloads = fetch(&hold.client, &holds, Errors::Raise).await?;
    let payload = payloads.pop().flatten();
    decode(
        hold,
        payload.expect("a future that is not skipped has a value"),
    )
}

fn decode<T: Value>(hold: &Hold, payload: Payload) -> Result<T> {
    dask_task::take(payload).map_err(|source| {
        Kind::Value {
            key: hold.key.clone(),
            source,
        }
        .into()
    })
}

/// The payloads of these futures, `None` for those that are skipped.
async fn fetch(
    link: &Arc<Link>,
    holds: &[Arc<Hold>],
    errors: Errors,
) -> Result<Vec<Option<Payload>>> {
    let mut payloads: Vec<Option<Payload>> = vec![None; holds.len()];
    let mut absent: Vec<usize> = (0..holds.len()).collect();
    for _ in 0..TRIES {
        let mut remote = Vec::new();
        for &index in &absent {
            match holds[index].done().await {
                Outcome::Finished(Some(value)) => payloads[index] = Some(value),
                Outcome::Finished(None) => remote.push(index),
                _ if errors == Errors::Skip => {}
                outcome => return Err(holds[index].error(&outcome).unwrap_or(Kind::Answer.into())),
            }
        }
        // Fetched last: a future that fails while others are waited for is heard of at once.
        if remote.is_empty() {
            return Ok(payloads);
        }
        absent = remote_values(link, holds, &remote, &mut payloads).await?;
        if absent.is_empty() {
            return Ok(payloads);
        }
    }
    let key = holds[absent[0]].key.clone();
    Err(Kind::Unavailable { key, tries: TRIES }.into())
}

/// Fetches values from the workers that hold them; the positions of those that were not there.
async fn remote_values(
    link: &Arc<Link>,
    holds: &[Arc<Hold>],
    wanted: &[usize],
    payloads: &mut [Option<Payload>],
) -> Result<Vec<usize>> {
    let mut absent = Vec::new();
    for chunk in wanted.chunks(SUBMIT_TASKS) {
        let mut by_worker: BTreeMap<Address, Vec<(usize, TaskId)>> = BTreeMap::new();
        for (&index, (task, holder)) in chunk.iter().zip(locate(link, holds, chunk).await?) {
            match holder {
                Some(worker) => by_worker.entry(worker).or_default().push((index, task)),
                None => absent.push(index),
            }
        }
        let fetches = by_worker.into_iter().map(|(worker, wanted)| {
            let link = link.clone();
            tokio::spawn(async move {
                // A future that is gathered twice is fetched once.
                let tasks: BTreeSet<_> = wanted.iter().map(|(_, task)| *task).collect();
                let values = link.peers.get(&worker, tasks.into_iter().collect()).await;
                (worker, wanted, values)
            })
        });
        for fetch in fetches.collect::<Vec<_>>() {
            let Ok((worker, wanted, values)) = fetch.await else {
                continue;
            };
            let values: HashMap<_, _> = values.unwrap_or_default().into_iter().collect();
            for (index, task) in wanted {
                match values.get(&task).cloned() {
                    Some(ValueAt::Found(value)) => payloads[index] = Some(value),
                    Some(ValueAt::Failed(reason)) => {
                        let (key, worker) = (holds[index].key.clone(), worker.clone());
                        return Err(Kind::Unserializable {
                            key,
                            worker,
                            reason,
                        }
                        .into());
                    }
                    _ => {
                        let (future, worker) = (holds[index].id, worker.clone());
                        link.tell(Event::Told(ClientToScheduler::MissingData {
                            future,
                            worker,
                        }));
                        absent.push(index);
                    }
                }
            }
        }
    }
    Ok(absent)
}

/// For each future its task and one worker that holds its value.
async fn locate(
    link: &Arc<Link>,
    holds: &[Arc<Hold>],
    wanted: &[usize],
) -> Result<Vec<(TaskId, Option<Address>)>> {
    let futures = wanted.iter().map(|&index| holds[index].id).collect();
    let Answer::Located { workers, items } = link.ask(Request::Locate { futures }).await? else {
        return Err(Kind::Answer.into());
    };
    if items.len() != wanted.len() {
        return Err(Kind::Answer.into());
    }
    // Replicas share the load: which holder is asked depends on the position.
    let holder = |(position, item): (usize, &dask_proto::message::Located)| {
        let count = item.workers.len().max(1);
        let chosen = item
            .workers
            .get(position % count)
            .and_then(|&w| workers.get(w as usize));
        (item.task, chosen.cloned())
    };
    Ok(items.iter().enumerate().map(holder).collect())
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

impl<T: Value> Gather for blocking::Future<T> {
    type Output = T;

    fn holds(&self, holds: &mut Holds) {
        self.0.holds(holds);
    }

    fn values(&self, values: &mut Values) -> Result<Option<T>> {
        self.0.values(values)
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

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
