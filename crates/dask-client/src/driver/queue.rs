//! What the program did and the driver has not heard of yet, from any thread.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dask_proto::id::RequestId;
use dask_proto::message::{Answer, Request};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use crate::Result;
use crate::future::hold::Hold;
use crate::state::{Event, Unanswered};

/// What the program did and the driver has not heard of yet.
#[derive(Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    pub(super) filled: Notify,
}

#[derive(Default)]
struct Pending {
    commands: Vec<Command>,
    /// Set when the driver has ended: nobody will take another command.
    over: Option<Unanswered>,
}

pub(super) enum Command {
    Event(Event),
    /// Holds that the driver keeps track of, and the event that starts them.
    Register(Vec<Weak<Hold>>, Event),
    Ask(RequestId, Request, Reply, Vec<Weak<Hold>>),
    /// The last clone of the client and the last future are gone.
    Abandoned(Closing),
}

pub(super) type Reply = oneshot::Sender<Result<Answer, Unanswered>>;

impl Queue {
    pub(super) fn push(&self, command: Command) -> Result<(), Box<(Command, Unanswered)>> {
        let mut pending = self.lock();
        if let Some(why) = &pending.over {
            return Err(Box::new((command, why.clone())));
        }
        let was_empty = pending.commands.is_empty();
        pending.commands.push(command);
        drop(pending);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    pub(super) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// The last commands; from now on there are no others.
    pub(super) fn finish(&self, why: Unanswered) -> Vec<Command> {
        let mut pending = self.lock();
        pending.over = Some(why);
        std::mem::take(&mut pending.commands)
    }

    /// Whether the driver has ended.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clients that the program let go of and that have not sent everything yet.
static CLOSING: LazyLock<watch::Sender<usize>> = LazyLock::new(watch::Sender::default);

/// One of them.
pub(super) struct Closing;

impl Closing {
    pub(super) fn new() -> Self {
        CLOSING.send_modify(|closing| *closing += 1);
        Self
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        CLOSING.send_modify(|closing| *closing -= 1);
    }
}

/// Waits until the clients that the program let go of have sent what it told them, so that a
/// program may end behind a `fire_and_forget`; at most a second.
pub(crate) async fn flush() {
    let mut closing = CLOSING.subscribe();
    let flushed = closing.wait_for(|closing| *closing == 0);
    // A scheduler that does not read any more cannot keep the program.
    let _ = timeout(Duration::from_secs(1), flushed).await;
}
