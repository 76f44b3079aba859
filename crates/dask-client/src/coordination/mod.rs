//! Locks, semaphores, events, queues and variables that live on the scheduler, for clients and
//! tasks alike.
//!
//! What somebody holds, or has taken and not received, belongs to the connection of a client. When
//! that ends, because the process was killed or the link broke, it goes back: nothing has to be
//! renewed, and nothing is lost.

pub(crate) mod event;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod multi_lock;
pub(crate) mod queue;
pub(crate) mod semaphore;
pub(crate) mod variable;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::Key;
use dask_proto::id::RequestId;
use dask_proto::message::{
    Answer, ClientToScheduler, Coordination, CoordinationAnswer, KeptValue, Patience, Request,
};
use dask_task::Value;

use crate::driver::Link;
use crate::error::Kind;
use crate::future::travel::unpack;
use crate::running::aside::patiently;
use crate::state::Event as Told;
use crate::{Client, Result};

/// A primitive, as a client knows it.
#[derive(Clone)]
pub(crate) struct Handle {
    link: Arc<Link>,
    name: Arc<str>,
}

impl Handle {
    pub(crate) fn new(client: &Client, name: impl AsRef<str>) -> Self {
        Self { link: client.link().clone(), name: name.as_ref().into() }
    }

    fn key(&self) -> Result<Key> {
        Ok(Key::new(&*self.name)?)
    }

    /// Asks, and waits for as long as it takes.
    pub(crate) async fn ask(&self, request: Coordination) -> Result<(RequestId, Answer)> {
        patiently(self.link.ask_by_id(Request::Coordinate(request), &[])).await
    }

    /// Asks, and waits no longer than this; `None` when the time is up.
    async fn ask_within(
        &self,
        timeout: Duration,
        request: impl FnOnce(Patience) -> Coordination,
    ) -> Result<Option<(RequestId, Answer)>> {
        if timeout.is_zero() {
            let (id, answer) = self.ask(request(Patience::Now)).await?;
            let is_not_now = answer == Answer::Coordination(CoordinationAnswer::NotNow);
            return Ok((!is_not_now).then_some((id, answer)));
        }
        let asking = self.ask(request(Patience::Forever));
        tokio::time::timeout(timeout, asking).await.ok().transpose()
    }

    async fn done(&self, request: Coordination) -> Result<()> {
        match self.ask(request).await? {
            (_, Answer::Done) => Ok(()),
            _ => Err(Kind::Answer.into()),
        }
    }

    async fn count(&self, request: Coordination) -> Result<u64> {
        match self.ask(request).await? {
            (_, Answer::Coordination(CoordinationAnswer::Count(count))) => Ok(count),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Takes the values of an answer, and tells the scheduler that they are here, or that they
    /// are not of this type: then they stay where they were.
    fn receive<T: Value>(&self, (id, answer): (RequestId, Answer)) -> Result<Vec<T>> {
        let Answer::Coordination(CoordinationAnswer::Values(values)) = answer else {
            return Err(Kind::Answer.into());
        };
        let unpack = |value: &KeptValue| unpack(&self.link, value);
        let values: Result<Vec<T>> = values.iter().map(unpack).collect();
        let told = match values {
            Ok(_) => ClientToScheduler::Accept { id },
            Err(_) => ClientToScheduler::Forget { id },
        };
        self.link.tell(Told::Told(told));
        values
    }

    pub(crate) fn receive_one<T: Value>(&self, answered: (RequestId, Answer)) -> Result<T> {
        self.receive(answered)?.pop().ok_or_else(|| Kind::Answer.into())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.link.address)
    }
}
