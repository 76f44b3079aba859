//! Programs on their way from a client to an agent: two connections that say the same ticket are
//! joined, and what comes from one is passed on to the other, a piece at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dask_proto::message::ProgramLink;
use dask_proto::wire::Limits;
use dask_transport::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Connections that wait for their other half; further ones are dropped. The state has one upload
/// at a time for each program.
const MOST_WAITING: usize = 256;

/// How long one side may be waited for, and how long it may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where connections meet.
#[derive(Clone, Default)]
pub(crate) struct Relay {
    waiting: Arc<Mutex<BTreeMap<u64, oneshot::Sender<Half>>>>,
}

enum Half {
    Upload(Connection),
    Download(Connection),
}

impl Relay {
    /// Serves a connection that was welcomed, until the program is through. The half that comes
    /// second hands itself over to the first.
    pub(crate) async fn serve(&self, link: ProgramLink, connection: Connection) {
        let (ticket, half) = match link {
            ProgramLink::Upload { ticket } => (ticket, Half::Upload(connection)),
            ProgramLink::Download { ticket, .. } => (ticket, Half::Download(connection)),
        };
        let Some((half, other)) = self.meet(ticket, half) else {
            return;
        };
        let other = timeout(PATIENCE, other).await;
        self.lock().remove(&ticket);
        match (half, other) {
            (Half::Upload(from), Ok(Ok(Half::Download(to))))
            | (Half::Download(to), Ok(Ok(Half::Upload(from)))) => pass_on(from, to).await,
            _ => tracing::debug!(ticket, "only one side came to move a program"),
        }
    }

    /// Gives this half to the other one, if that waits; otherwise waits for it.
    fn meet(&self, ticket: u64, half: Half) -> Option<(Half, oneshot::Receiver<Half>)> {
        let mut waiting = self.lock();
        if let Some(first) = waiting.remove(&ticket) {
            // The first may have given up, and then this one is dropped.
            let _ = first.send(half);
            return None;
        }
        if waiting.len() >= MOST_WAITING {
            return None;
        }
        let (sender, other) = oneshot::channel();
        waiting.insert(ticket, sender);
        Some((half, other))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Half>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Neither side can make the other wait for ever, nor make the scheduler hold more than a piece.
async fn pass_on(mut from: Connection, mut to: Connection) {
    from.receiver.set_limits(Limits::PROGRAM);
    loop {
        match timeout(PATIENCE, from.receiver.receive()).await {
            Ok(Ok(Some(piece))) => match timeout(PATIENCE, to.sender.send(piece)).await {
                Ok(Ok(())) => {}
                _ => return tracing::debug!(peer = %to.peer, "an agent stopped fetching a program"),
            },
            Ok(Ok(None)) => break,
            _ => return tracing::debug!(peer = %from.peer, "a client stopped sending a program"),
        }
    }
    // The agent counts what it got.
    let _ = timeout(PATIENCE, to.sender.close()).await;
}
