//! Futures inside other values: a future travels as its key.

use std::cell::RefCell;
use std::sync::Arc;

use dask_proto::Key;
use dask_proto::id::FutureId;
use dask_proto::message::{ClientToScheduler, KeptValue};
use dask_task::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::Hold;
use crate::state::{Event, NAMED_AT_ONCE};
use crate::{Client, Future, Result, default};

thread_local! {
    /// The futures in the value that is being serialized, where somebody wants to know.
    static FOUND: RefCell<Option<Vec<Arc<Hold>>>> = const { RefCell::new(None) };

    /// The client of the futures in the value that is being deserialized, where it is not the
    /// default one.
    static CLIENT: RefCell<Option<Arc<Link>>> = const { RefCell::new(None) };
}

impl<T> Serialize for Future<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FOUND.with_borrow_mut(|found| {
            if let Some(found) = found {
                found.push(self.hold.clone());
            }
        });
        serializer.serialize_newtype_struct("Future", self.key())
    }
}

impl<'de, T> Deserialize<'de> for Future<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Future")]
        struct Travelled(Key);
        let Travelled(key) = Travelled::deserialize(deserializer)?;
        let client =
            CLIENT.with_borrow(Clone::clone).or_else(default::current).ok_or_else(|| {
                serde::de::Error::custom("a future arrived where no client is connected")
            })?;
        Ok(Self::new(Hold::subscribe(&client, key)))
    }
}

/// Sets a thread's variable back when it is dropped, also by a panic of the user's code.
struct Restore<T: 'static>(&'static std::thread::LocalKey<RefCell<Option<T>>>, Option<T>);

impl<T: 'static> Restore<T> {
    fn after(variable: &'static std::thread::LocalKey<RefCell<Option<T>>>, value: T) -> Self {
        Self(variable, variable.replace(Some(value)))
    }
}

impl<T: 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1.take());
    }
}

/// The value as the scheduler keeps it.
pub(crate) fn pack<T: Serialize + ?Sized>(value: &T) -> Result<KeptValue> {
    let (bytes, holds) = encode(value)?;
    let mut futures: Vec<Key> = holds.iter().map(|hold| hold.key.clone()).collect();
    futures.sort();
    futures.dedup();
    Ok(KeptValue { payload: bytes.into(), futures })
}

/// A value that the scheduler kept, with its futures as those of this client.
pub(crate) fn unpack<T: Value>(client: &Arc<Link>, value: &KeptValue) -> Result<T> {
    let _restore = Restore::after(&CLIENT, client.clone());
    let bytes = value.payload.to_bytes().map_err(Kind::Kept)?;
    dask_task::decode(&bytes).map_err(|source| Kind::Kept(source).into())
}

/// The value of the futures that [`futures_of`] finds: their types are not known there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Unknown {}

/// The futures in a value, however deep: Dask's `futures_of`. They can be waited for, cancelled or
/// replicated; their results are fetched through the value itself.
///
/// ```
/// # use dask_client::{Client, Result, futures_of, task, wait};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let parts = [("a", client.submit(inc, 1)), ("b", client.submit(inc, 2))];
/// let parts: Vec<_> = parts.map(|(name, part)| (name.to_owned(), part)).into();
/// wait(futures_of(&parts)?).await?;
/// assert!(parts.iter().all(|(_, part)| part.done()));
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// When the value cannot be serialized.
pub fn futures_of<T: Serialize + ?Sized>(value: &T) -> Result<Vec<Future<Unknown>>> {
    let (_, holds) = encode(value)?;
    Ok(holds.into_iter().map(Future::new).collect())
}

impl Client {
    /// [`futures_of`]: Dask's `Client.futures_of`.
    ///
    /// # Errors
    /// As there.
    pub fn futures_of<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<Future<Unknown>>> {
        futures_of(value)
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<(bytes::Bytes, Vec<Arc<Hold>>)> {
    let (bytes, holds) = found_by(|| dask_task::encode_borrowed(value));
    Ok((bytes.map_err(Kind::Kept)?, holds))
}

/// What this gives, and the futures in what it serializes, which live at least as long. Where
/// there are none that costs no more than a look at a variable of the thread.
pub(crate) fn found_by<R>(serialize: impl FnOnce() -> R) -> (R, Vec<Arc<Hold>>) {
    let _restore = Restore::after(&FOUND, Vec::new());
    let serialized = serialize();
    (serialized, FOUND.take().unwrap_or_default())
}

/// The futures in the value of a task, which the scheduler is to hold as long as it knows that.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The task.
    carrier: FutureId,
    holds: Vec<Arc<Hold>>,
}

impl Carried {
    /// What this task carries, if it does: as holds of its client. Of a future that was cancelled,
    /// or never became a task, there is nothing to hold.
    pub(crate) fn new(carrier: &Hold, found: &[Arc<Hold>]) -> Option<Self> {
        let holds = found.iter().filter_map(|hold| hold.on(&carrier.client).ok());
        let (carrier, holds) = (carrier.id, holds.collect::<Vec<_>>());
        (!holds.is_empty()).then_some(Self { carrier, holds })
    }

    /// Tells the scheduler, behind what tells it of the task. From then on it holds them.
    pub(crate) fn send(self, link: &Link) {
        for part in self.holds.chunks(NAMED_AT_ONCE) {
            let carried = part.iter().map(|hold| hold.id).collect();
            link.tell(Event::Told(ClientToScheduler::Carry { future: self.carrier, carried }));
        }
    }
}
