//! Tasks that make use of what a running task may do.

use std::io::{Error, Result};

use dask_client::{
    Client, Future, Reschedule, as_completed, blocking, get_client, get_worker, print, rejoin,
    secede, task, wait, warn,
};

use tokio::runtime::Handle;
use tokio::task::{JoinSet, LocalSet};

use crate::stage::perform;

/// Does what the stage says, outside of its worker's pool of threads, and comes back.
#[task]
pub fn step_aside(stage: &str, name: &str) -> Result<i64> {
    secede().map_err(Error::other)?;
    let given = perform(stage, name).map_err(Error::other)?;
    rejoin().map_err(Error::other)?;
    Ok(given)
}

/// Computes with tasks of its own, for whose results it waits outside of the pool.
#[task]
pub fn fibonacci(n: i64) -> std::result::Result<i64, dask_client::Error> {
    if n < 2 {
        return Ok(n);
    }
    let client = blocking::default_client()?;
    let (one, two) = (client.submit(fibonacci, n - 1), client.submit(fibonacci, n - 2));
    secede().map_err(Error::other)?;
    let sum = one.result()? + two.result()?;
    rejoin().map_err(Error::other)?;
    Ok(sum)
}

/// Counts aloud, and says when it is done.
#[task]
pub fn count_aloud(n: i64) -> i64 {
    for i in 0..n {
        print(format_args!("{i} of {n}"));
    }
    warn("that was all");
    n
}

/// Has a task of its own count aloud.
#[task]
pub async fn have_counted(n: i64) -> dask_client::Result<i64> {
    get_client()?.submit(count_aloud, n).await
}

/// The same with the client of its worker, waiting as it comes.
#[task]
pub async fn fibonacci_async(n: i64) -> dask_client::Result<i64> {
    if n < 2 {
        return Ok(n);
    }
    let client = get_client()?;
    let (one, two) = (client.submit(fibonacci_async, n - 1), client.submit(fibonacci_async, n - 2));
    Ok(one.await? + two.await?)
}

/// Sums these up with tasks of its own, in the way that is named, on a worker that has but one
/// thread.
#[task]
pub fn total(way: &str, of: Vec<i64>) -> dask_client::Result<i64> {
    let client = blocking::get_client()?;
    let futures = client.map(same, of);
    match way {
        "gather" => Ok(client.gather(&futures)?.iter().sum()),
        "wait" => {
            blocking::wait(&futures)?;
            futures.iter().map(blocking::Future::result).sum()
        }
        "first" => {
            let first = wait(&futures).first_completed().block()?;
            assert!(!first.done.is_empty());
            futures.iter().map(blocking::Future::result).sum()
        }
        "as completed" => as_completed(futures).map(|future| future.result()).sum(),
        "worker client" => {
            let client = blocking::worker_client()?;
            Ok(client.gather(&futures)?.iter().sum())
        }
        other => panic!("no way {other}"),
    }
}

/// The sum of what two tasks of its own do on the stage, for which it waits at once; each wait is
/// looked at only when it is woken.
#[task]
pub fn of_two(stage: &str) -> dask_client::Result<i64> {
    let client = get_client()?;
    let (local, mut parts) = (LocalSet::new(), JoinSet::new());
    for name in ["first", "second"] {
        let part = client.submit(perform, (stage, name));
        parts.spawn_local_on(async move { part.result().await }, &local);
    }
    let sum = async {
        let mut sum = 0;
        while let Some(part) = parts.join_next().await {
            sum += part.map_err(Error::other)??;
        }
        Ok(sum)
    };
    Handle::current().block_on(local.run_until(sum))
}

/// Its argument.
#[task]
pub fn same(x: i64) -> i64 {
    x
}

/// What a future in its argument stands for.
#[task]
pub async fn unwrap(future: Future<i64>) -> dask_client::Result<i64> {
    future.await
}

/// Futures in a value of its own.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Parts {
    /// What the value is about.
    pub name: String,
    /// What it is made of.
    pub parts: Vec<Future<i64>>,
}

/// The sum of what the futures stand for, and this number.
#[task]
pub async fn sum_parts(of: Parts, more: i64) -> dask_client::Result<i64> {
    let mut sum = more;
    for part in of.parts {
        sum += part.await?;
    }
    Ok(sum)
}

/// Its first argument, when the second is there.
#[task]
pub fn pass_on(of: Parts, _after: i64) -> Parts {
    of
}

/// The address, the name and the threads of its worker, and the address of its client.
#[task]
pub fn whereabouts() -> dask_client::Result<(String, String, u32, String)> {
    let (worker, client): (_, Client) = (get_worker()?, get_client()?);
    let scheduler = client.address().to_string();
    Ok((worker.address.to_string(), worker.name.clone(), worker.nthreads, scheduler))
}

/// Asks to be run elsewhere until it is on the worker of this name.
#[task]
pub fn only_on(name: &str) -> dask_client::Result<String> {
    if get_worker()?.name != name {
        return Err(Reschedule.into());
    }
    Ok(name.to_owned())
}
