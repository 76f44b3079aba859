use std::time::Duration;

use dask_proto::message::{Coordination, EventAction};

use super::Handle;
use crate::{Client, Result};

/// A flag on the scheduler that is set or not, and that can be waited for: Dask's `Event`. Handles
/// of the same name are the same event.
///
/// ```
/// # use dask_client::{Client, Event, Result};
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let event = Event::new(&client, "ready");
/// assert!(!event.is_set().await?);
/// event.set().await?;
/// event.wait().await?;
/// # client.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Event(Handle);

impl Event {
    /// The event of this name.
    pub fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self(Handle::new(client, name))
    }

    /// Sets it: all who wait go on.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn set(&self) -> Result<()> {
        self.0.done(self.request(EventAction::Set)?).await
    }

    /// Unsets it: all who wait from now on wait until it is set again.
    ///
    /// # Errors
    /// As [`Event::set`].
    pub async fn clear(&self) -> Result<()> {
        self.0.done(self.request(EventAction::Clear)?).await
    }

    /// Whether it is set.
    ///
    /// # Errors
    /// As [`Event::set`].
    pub async fn is_set(&self) -> Result<bool> {
        Ok(self.0.count(self.request(EventAction::IsSet)?).await? > 0)
    }

    /// Waits until it is set.
    ///
    /// # Errors
    /// As [`Event::set`].
    pub async fn wait(&self) -> Result<()> {
        self.0.done(self.request(EventAction::Wait)?).await
    }

    /// Waits until it is set, but not longer than `timeout`. Returns whether it is set.
    ///
    /// # Errors
    /// As [`Event::set`].
    pub async fn try_wait(&self, timeout: Duration) -> Result<bool> {
        if timeout.is_zero() {
            return self.is_set().await;
        }
        match tokio::time::timeout(timeout, self.wait()).await {
            Ok(waited) => waited.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    fn request(&self, action: EventAction) -> Result<Coordination> {
        Ok(Coordination::Event { name: self.0.key()?, action })
    }
}
