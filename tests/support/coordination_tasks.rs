//! Tasks that meet at primitives of the scheduler.

use dask_client::blocking::{Event, Lock, Queue, Semaphore, Variable, get_client};
use dask_client::{Future, Result, task};

use crate::stage::perform;

/// Does what the stage says while it holds a lock.
#[task]
pub fn locked(lock: &str, stage: &str, name: &str) -> Result<i64> {
    let held = Lock::new(&get_client()?, lock).acquire()?;
    let given = perform(stage, name).map_err(std::io::Error::other)?;
    held.release()?;
    Ok(given)
}

/// Does what the stage says while it has one of two leases.
#[task]
pub fn leased(semaphore: &str, stage: &str, name: &str) -> Result<i64> {
    let semaphore = Semaphore::new(&get_client()?, semaphore).max_leases(2);
    let _lease = semaphore.acquire()?;
    Ok(perform(stage, name).map_err(std::io::Error::other)?)
}

/// Says that it is there, and waits for an event.
#[task]
pub fn wait_for(event: &str, arrived: &str) -> Result<bool> {
    let client = get_client()?;
    Event::new(&client, arrived).set()?;
    let event = Event::new(&client, event);
    event.wait()?;
    event.is_set()
}

/// Sets an event.
#[task]
pub async fn set(event: &str) -> Result<()> {
    dask_client::Event::new(&dask_client::get_client()?, event).set().await
}

/// Takes so many numbers from a queue, and puts their sum into another.
#[task]
pub fn add_up(from: &str, to: &str, count: i64) -> Result<i64> {
    let client = get_client()?;
    let (from, to) = (Queue::<i64>::new(&client, from), Queue::<i64>::new(&client, to));
    let sum = (0..count).map(|_| from.get()).sum::<Result<i64>>()?;
    to.put(&sum)?;
    Ok(sum)
}

/// Takes a future from a queue and gives its result.
#[task]
pub async fn resolve(queue: &str) -> Result<i64> {
    let queue: dask_client::Queue<Future<i64>> =
        dask_client::Queue::new(&dask_client::get_client()?, queue);
    queue.get().await?.await
}

/// The value of a variable, once it has one.
#[task]
pub fn read(variable: &str) -> Result<String> {
    Variable::new(&get_client()?, variable).get()
}
