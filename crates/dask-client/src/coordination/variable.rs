use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use dask_proto::message::{Coordination, Patience, VariableAction};
use dask_task::Value;

use super::Handle;
use crate::future::travel::pack;
use crate::{Client, Error, Result};

/// A variable on the scheduler, for a small value or a future: Dask's `Variable`. Handles of the
/// same name are the same variable. Futures in it keep their results on the cluster.
///
/// ```
/// # use dask_client::{Client, Result, Variable};
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let mode: Variable<String> = Variable::new(&client, "mode");
/// mode.set(&"on".into()).await?;
/// assert_eq!(mode.get().await?, "on");
/// # client.close().await
/// # }
/// ```
pub struct Variable<T> {
    handle: Handle,
    value: PhantomData<fn() -> T>,
}

impl<T: Value> Variable<T> {
    /// The variable of this name.
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self { handle: Handle::new(client, name), value: PhantomData }
    }

    /// Sets its value, in place of the one that it has.
    ///
    /// # Errors
    /// When the name is too long, the value cannot be serialized or is too large, a future in it is
    /// not on the cluster, or the scheduler is gone.
    pub async fn set(&self, value: &T) -> Result<()> {
        self.handle.done(self.request(VariableAction::Set(pack(value)?))?).await
    }

    /// Its value; waits until it has one.
    ///
    /// # Errors
    /// When the name is too long, the value is of another type, or the scheduler is gone.
    pub async fn get(&self) -> Result<T> {
        let request = self.request(VariableAction::Get(Patience::Forever))?;
        self.handle.receive_one(self.handle.ask(request).await?)
    }

    /// Its value; waits until it has one, but not longer than `timeout`.
    ///
    /// # Errors
    /// As [`Variable::get`], and when the time is up ([`Error::is_timeout`]).
    pub async fn try_get(&self, timeout: Duration) -> Result<T> {
        let name = self.handle.key()?;
        let request =
            |patience| Coordination::Variable { name, action: VariableAction::Get(patience) };
        let answer = self.handle.ask_within(timeout, request).await?;
        let answer = answer.ok_or_else(|| Error::timeout("waiting for a variable", timeout))?;
        self.handle.receive_one(answer)
    }

    /// Forgets its value.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn delete(&self) -> Result<()> {
        self.handle.done(self.request(VariableAction::Delete)?).await
    }

    fn request(&self, action: VariableAction) -> Result<Coordination> {
        Ok(Coordination::Variable { name: self.handle.key()?, action })
    }
}

impl<T> Clone for Variable<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), value: PhantomData }
    }
}

impl<T> fmt::Debug for Variable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Variable: {:?}>", self.handle)
    }
}
