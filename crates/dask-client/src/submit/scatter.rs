//! Values from this process to the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::codec::Carriage;
use dask_proto::message::{Answer, Request, ScatterItem, StoredValue};
use dask_proto::{Address, Key, Payload};
use dask_task::Value;
use dask_tokenize::{key_name, tokenize, unique_key_name};
use tokio::task::JoinSet;

use crate::client::control::KEYS_AT_ONCE;
use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::Hold;
use crate::future::short_type_name;
use crate::future::travel::{Carried, found_by};
use crate::{Error, Future, Result};

/// How data are scattered.
#[derive(Debug, Clone)]
pub(crate) struct Scatter {
    pub(crate) workers: Vec<String>,
    pub(crate) broadcast: bool,
    pub(crate) hash: bool,
    pub(crate) timeout: Duration,
}

impl Default for Scatter {
    fn default() -> Self {
        let timeout = Duration::from_secs(30);
        Self { workers: Vec::new(), broadcast: false, hash: true, timeout }
    }
}

/// Puts values on workers; returns when they are there.
pub(crate) async fn scatter<T: Value>(
    link: &Arc<Link>,
    how: &Scatter,
    values: Vec<T>,
) -> Result<Vec<Future<T>>> {
    let mut data = Vec::with_capacity(values.len());
    for value in values {
        data.push(Datum::new(link, how, value)?);
    }
    if data.is_empty() {
        return Ok(Vec::new());
    }
    let workers = link.ask(Request::WaitForWorkers { n: 1 });
    let waited = tokio::time::timeout(how.timeout, workers).await;
    waited.unwrap_or_else(|_| Err(Error::timeout("waiting for a worker", how.timeout)))?;
    for part in data.chunks(KEYS_AT_ONCE) {
        place(link, how, part).await?;
    }
    Ok(data.into_iter().map(|datum| Future::new(datum.hold)).collect())
}

/// One value on its way.
struct Datum {
    hold: Arc<Hold>,
    nbytes: u64,
    value: Payload,
    /// The futures in a value that was encoded.
    found: Vec<Arc<Hold>>,
}

impl Datum {
    fn new<T: Value>(link: &Arc<Link>, how: &Scatter, value: T) -> Result<Self> {
        let key = name(&value, how)?;
        let nbytes = dask_task::nbytes(&value);
        let (value, found) = match link.carriage {
            Carriage::Objects => (dask_task::live(value), Vec::new()),
            Carriage::Bytes => {
                let (encoded, found) = found_by(|| dask_task::live(value).encoded());
                (encoded.map_err(|source| Kind::Value { key: key.clone(), source })?, found)
            }
        };
        Ok(Self { hold: Hold::new(link, key), nbytes, value, found })
    }
}

async fn place(link: &Arc<Link>, how: &Scatter, data: &[Datum]) -> Result<()> {
    let item = |datum: &Datum| ScatterItem {
        future: datum.hold.id,
        key: datum.hold.key.clone(),
        nbytes: datum.nbytes,
    };
    let request = Request::Scatter {
        items: data.iter().map(item).collect(),
        workers: how.workers.clone(),
        broadcast: how.broadcast,
    };
    let holds: Vec<_> = data.iter().map(|datum| datum.hold.clone()).collect();
    let Answer::Targets { workers, items } = link.ask_holding(request, &holds).await? else {
        return Err(Kind::Answer.into());
    };
    let carried = data.iter().filter_map(|datum| Carried::new(&datum.hold, &datum.found));
    carried.for_each(|carried| carried.send(link));
    if items.len() != data.len() {
        return Err(Kind::Answer.into());
    }
    let mut by_worker: BTreeMap<Address, Vec<StoredValue>> = BTreeMap::new();
    for (datum, item) in data.iter().zip(items) {
        for worker in item.workers {
            let worker = workers.get(worker as usize).ok_or(Error::from(Kind::Answer))?;
            let (task, key, value) = (item.task, datum.hold.key.clone(), datum.value.clone());
            let stored = StoredValue { task, key, value };
            by_worker.entry(worker.clone()).or_default().push(stored);
        }
    }
    let mut puts = JoinSet::new();
    for (worker, values) in by_worker {
        let link = link.clone();
        puts.spawn(async move { link.peers.put(&worker, values).await });
    }
    while let Some(put) = puts.join_next().await {
        put.map_err(|_| Error::from(Kind::Closed))??;
    }
    // The workers told the scheduler before they answered, so this wait is short.
    for hold in holds {
        let outcome = hold.done().await;
        if let Some(error) = hold.error(&outcome) {
            return Err(error);
        }
    }
    Ok(())
}

/// `"Vec<f64>-<token>"`, as Dask names scattered data by their type.
fn name<T: Value>(value: &T, how: &Scatter) -> Result<Key> {
    let prefix = short_type_name(std::any::type_name::<T>());
    let name =
        if how.hash { key_name(&prefix, tokenize(value)?) } else { unique_key_name(&prefix) };
    Ok(Key::new(name)?)
}
