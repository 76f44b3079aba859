//! The primitives whose verbs block, a line each.

use std::time::Duration;

use dask_task::Value;

use super::{Client, block_on};
use crate::Result;

/// [`Event`](crate::Event) whose verbs block.
#[derive(Debug, Clone)]
pub struct Event(crate::Event);

impl Event {
    /// [`Event::new`](crate::Event::new).
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(crate::Event::new(&client.0, name))
    }

    /// [`Event::set`](crate::Event::set).
    ///
    /// # Errors
    /// As there.
    pub fn set(&self) -> Result<()> {
        block_on(self.0.set())
    }

    /// [`Event::clear`](crate::Event::clear).
    ///
    /// # Errors
    /// As there.
    pub fn clear(&self) -> Result<()> {
        block_on(self.0.clear())
    }

    /// [`Event::is_set`](crate::Event::is_set).
    ///
    /// # Errors
    /// As there.
    pub fn is_set(&self) -> Result<bool> {
        block_on(self.0.is_set())
    }

    /// [`Event::wait`](crate::Event::wait).
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<()> {
        block_on(self.0.wait())
    }

    /// [`Event::try_wait`](crate::Event::try_wait).
    ///
    /// # Errors
    /// As there.
    pub fn try_wait(&self, timeout: Duration) -> Result<bool> {
        block_on(self.0.try_wait(timeout))
    }
}

/// [`Lock`](crate::Lock) whose verbs block.
#[derive(Debug, Clone)]
pub struct Lock(crate::Lock);

impl Lock {
    /// [`Lock::new`](crate::Lock::new).
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(crate::Lock::new(&client.0, name))
    }

    /// [`Lock::acquire`](crate::Lock::acquire).
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<Lease> {
        block_on(self.0.acquire()).map(Lease)
    }

    /// [`Lock::try_acquire`](crate::Lock::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        block_on(self.0.try_acquire(timeout)).map(|lease| lease.map(Lease))
    }

    /// [`Lock::locked`](crate::Lock::locked).
    ///
    /// # Errors
    /// As there.
    pub fn locked(&self) -> Result<bool> {
        block_on(self.0.locked())
    }
}

/// [`Semaphore`](crate::Semaphore) whose verbs block.
#[derive(Debug, Clone)]
pub struct Semaphore(crate::Semaphore);

impl Semaphore {
    /// [`Semaphore::new`](crate::Semaphore::new).
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(crate::Semaphore::new(&client.0, name))
    }

    /// [`Semaphore::max_leases`](crate::Semaphore::max_leases).
    #[must_use]
    pub fn max_leases(self, max_leases: u32) -> Self {
        Self(self.0.max_leases(max_leases))
    }

    /// [`Semaphore::acquire`](crate::Semaphore::acquire).
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<Lease> {
        block_on(self.0.acquire()).map(Lease)
    }

    /// [`Semaphore::try_acquire`](crate::Semaphore::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        block_on(self.0.try_acquire(timeout)).map(|lease| lease.map(Lease))
    }

    /// [`Semaphore::get_value`](crate::Semaphore::get_value).
    ///
    /// # Errors
    /// As there.
    pub fn get_value(&self) -> Result<u64> {
        block_on(self.0.get_value())
    }

    /// [`Semaphore::close`](crate::Semaphore::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close())
    }
}

/// [`MultiLock`](crate::MultiLock) whose verbs block.
#[derive(Debug, Clone)]
pub struct MultiLock(crate::MultiLock);

impl MultiLock {
    /// [`MultiLock::new`](crate::MultiLock::new).
    pub fn new<N: Into<String>>(client: &Client, names: impl IntoIterator<Item = N>) -> Self {
        Self(crate::MultiLock::new(&client.0, names))
    }

    /// [`MultiLock::num_locks`](crate::MultiLock::num_locks).
    #[must_use]
    pub fn num_locks(self, num_locks: u32) -> Self {
        Self(self.0.num_locks(num_locks))
    }

    /// [`MultiLock::acquire`](crate::MultiLock::acquire).
    ///
    /// # Errors
    /// As there.
    pub fn acquire(&self) -> Result<Lease> {
        block_on(self.0.acquire()).map(Lease)
    }

    /// [`MultiLock::try_acquire`](crate::MultiLock::try_acquire).
    ///
    /// # Errors
    /// As there.
    pub fn try_acquire(&self, timeout: Duration) -> Result<Option<Lease>> {
        block_on(self.0.try_acquire(timeout)).map(|lease| lease.map(Lease))
    }
}

/// [`Lease`](crate::Lease) that is released blocking; dropping it does not block.
#[derive(Debug)]
#[must_use = "what is held is released when this is dropped"]
pub struct Lease(crate::Lease);

impl Lease {
    /// [`Lease::release`](crate::Lease::release).
    ///
    /// # Errors
    /// As there.
    pub fn release(self) -> Result<()> {
        block_on(self.0.release())
    }
}

/// [`Queue`](crate::Queue) whose verbs block.
#[derive(Debug, Clone)]
pub struct Queue<T>(crate::Queue<T>);

impl<T: Value> Queue<T> {
    /// [`Queue::new`](crate::Queue::new).
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(crate::Queue::new(&client.0, name))
    }

    /// [`Queue::maxsize`](crate::Queue::maxsize).
    #[must_use]
    pub fn maxsize(self, maxsize: u32) -> Self {
        Self(self.0.maxsize(maxsize))
    }

    /// [`Queue::put`](crate::Queue::put).
    ///
    /// # Errors
    /// As there.
    pub fn put(&self, value: &T) -> Result<()> {
        block_on(self.0.put(value))
    }

    /// [`Queue::try_put`](crate::Queue::try_put).
    ///
    /// # Errors
    /// As there.
    pub fn try_put(&self, value: &T, timeout: Duration) -> Result<()> {
        block_on(self.0.try_put(value, timeout))
    }

    /// [`Queue::get`](crate::Queue::get).
    ///
    /// # Errors
    /// As there.
    pub fn get(&self) -> Result<T> {
        block_on(self.0.get())
    }

    /// [`Queue::try_get`](crate::Queue::try_get).
    ///
    /// # Errors
    /// As there.
    pub fn try_get(&self, timeout: Duration) -> Result<T> {
        block_on(self.0.try_get(timeout))
    }

    /// [`Queue::get_batch`](crate::Queue::get_batch).
    ///
    /// # Errors
    /// As there.
    pub fn get_batch(&self, count: u32) -> Result<Vec<T>> {
        block_on(self.0.get_batch(count))
    }

    /// [`Queue::drain`](crate::Queue::drain).
    ///
    /// # Errors
    /// As there.
    pub fn drain(&self) -> Result<Vec<T>> {
        block_on(self.0.drain())
    }

    /// [`Queue::qsize`](crate::Queue::qsize).
    ///
    /// # Errors
    /// As there.
    pub fn qsize(&self) -> Result<u64> {
        block_on(self.0.qsize())
    }

    /// [`Queue::close`](crate::Queue::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(&self) -> Result<()> {
        block_on(self.0.close())
    }
}

/// [`Variable`](crate::Variable) whose verbs block.
#[derive(Debug, Clone)]
pub struct Variable<T>(crate::Variable<T>);

impl<T: Value> Variable<T> {
    /// [`Variable::new`](crate::Variable::new).
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(crate::Variable::new(&client.0, name))
    }

    /// [`Variable::set`](crate::Variable::set).
    ///
    /// # Errors
    /// As there.
    pub fn set(&self, value: &T) -> Result<()> {
        block_on(self.0.set(value))
    }

    /// [`Variable::get`](crate::Variable::get).
    ///
    /// # Errors
    /// As there.
    pub fn get(&self) -> Result<T> {
        block_on(self.0.get())
    }

    /// [`Variable::try_get`](crate::Variable::try_get).
    ///
    /// # Errors
    /// As there.
    pub fn try_get(&self, timeout: Duration) -> Result<T> {
        block_on(self.0.try_get(timeout))
    }

    /// [`Variable::delete`](crate::Variable::delete).
    ///
    /// # Errors
    /// As there.
    pub fn delete(&self) -> Result<()> {
        block_on(self.0.delete())
    }
}
