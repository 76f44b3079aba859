//! Values from this process to the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::codec::Carriage;
use dask_proto::message::{Answer, Request, ScatterItem, StoredValue};
use dask_proto::{Address, Key, Payload};
use dask_task::Value;
use dask_tokenize::{key_name, tokenize, unique_key_name};

use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::Hold;
use crate::future::short_type_name;
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
        Self {
            workers: Vec::new(),
            broadcast: false,
            hash: true,
            timeout,
        }
    }
}

/// Puts values on workers; returns when they are there.
pub(crate) async fn scatter<T: Value>(
    link: &Arc<Link>,
    how: &Scatter,
    values: Vec<T>,
) -> Result<Vec<Future<T>>> {
    let mut holds = Vec::with_capacity(values.len());
    let mut items = Vec::with_capacity(values.len());
    let mut payloads = Vec::with_capacity(values.len());
    for value in values {
        let key = name(&value, how)?;
        let nbytes = dask_task::nbytes(&value);
        let payload = match link.carriage {
            Carriage::Objects => dask_task::live(value),
            Carriage::Bytes => {
                let bytes = dask_task::encode(&value);
                Payload::Bytes(bytes.map_err(|source| Kind::Value {
                    key: key.clone(),
                    source,
                })?)
            }
        };
        let hold = Hold::new(link, key.clone());
        items.push(ScatterItem {
            future: hold.id,
            key,
            nbytes,
        });
        holds.push(hold);
        payloads.push(payload);
    }
    if holds.is_empty() {
        return Ok(Vec::new());
    }
    let request = Request::Scatter {
        items,
        workers: how.workers.clone(),
        broadcast: how.broadcast,
    };
    let placed = tokio::time::timeout(how.timeout, place(link, request, &holds, payloads)).await;
    placed.unwrap_or_else(|_| Err(Error::timeout("scattering data", how.timeout)))?;
    Ok(holds.into_iter().map(Future::new).collect())
}

async fn place(
    link: &Arc<Link>,
    request: Request,
    holds: &[Arc<Hold>],
    payloads: Vec<Payload>,
) -> Result<()> {
    let Answer::Targets { workers, items } = link.ask_holding(request, holds).await? else {
        return Err(Kind::Answer.into());
    };
    if items.len() != holds.len() {
        return Err(Kind::Answer.into());
    }
    let mut by_worker: BTreeMap<Address, Vec<StoredValue>> = BTreeMap::new();
    for ((hold, item), value) in holds.iter().zip(items).zip(payloads) {
        for worker in item.workers {
            let worker = workers
                .get(worker as usize)
                .ok_or(Error::from(Kind::Answer))?;
            let (key, value) = (hold.key.clone(), value.clone());
            let stored = StoredValue {
                task: item.task,
                key,
                value,
            };
            by_worker.entry(worker.clone()).or_default().push(stored);
        }
    }
    let puts = by_worker.into_iter().map(|(worker, values)| {
        let link = link.clone();
        tokio::spawn(async move { link.peers.put(&worker, values).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.map_err(|_| Error::from(Kind::Closed))??;
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
    let name = if how.hash {
        key_name(&prefix, tokenize(value)?)
    } else {
        unique_key_name(&prefix)
    };
    Ok(Key::new(name)?)
}
