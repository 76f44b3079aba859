use std::fmt;
use std::sync::Arc;

use dask_proto::id::RequestId;
use dask_proto::message::{Answer, ClientToScheduler, Coordination, Request};

use super::Handle;
use crate::Result;
use crate::driver::Link;
use crate::error::Kind;
use crate::state::Event;

/// What holds a [`Lock`](crate::Lock), several of a [`MultiLock`](crate::MultiLock), or a place in
/// a [`Semaphore`](crate::Semaphore), until it is released or dropped.
///
/// It ends with its client too: when the process is killed, the next who waits has it at once.
#[must_use = "what is held is released when this is dropped"]
pub struct Lease {
    link: Arc<Link>,
    /// The request by which the scheduler knows it; none once it is released.
    id: Option<RequestId>,
}

impl Lease {
    pub(super) fn new(handle: &Handle, (id, answer): (RequestId, Answer)) -> Result<Self> {
        match answer {
            Answer::Done => Ok(Self { link: handle.link.clone(), id: Some(id) }),
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Releases what is held, and returns when the scheduler knows. Dropping it does the same, and
    /// does not wait.
    ///
    /// # Errors
    /// When the scheduler is gone, and the lease with it.
    pub async fn release(mut self) -> Result<()> {
        let Some(lease) = self.id else { return Ok(()) };
        self.link.ask(Request::Coordinate(Coordination::Release { lease })).await?;
        self.id = None;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.link.tell(Event::Told(ClientToScheduler::Forget { id }));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Lease on {}>", self.link.address)
    }
}
