use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use dask_proto::id::FutureId;
use dask_proto::{Key, Payload, TaskError};

use crate::driver::Link;
use crate::error::Kind;
use crate::future::Status;
use crate::running::aside::aside;
use crate::state::{Event, Unanswered};
use crate::{Error, Result};

/// What all clones of a future share: the hold on the key, and what has become of it. Dropping it
/// releases the key.
pub(crate) struct Hold {
    pub(crate) client: Arc<Link>,
    pub(crate) id: FutureId,
    pub(crate) key: Key,
    /// Whether the scheduler has heard, or will hear, of it.
    submitted: AtomicBool,
    progress: Mutex<Progress>,
}

/// What becomes of a future.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Its result is in memory on the cluster, and here if it is small.
    Finished(Option<Payload>),
    /// Its task failed.
    Failed(Arc<TaskError>),
    /// It will never be done.
    Cancelled(Unanswered),
}

#[derive(Default)]
struct Progress {
    outcome: Option<Outcome>,
    lost: bool,
    /// Boxed, for most futures are done before anybody asks for them.
    waiting: Option<Box<Waiting>>,
}

/// Who is told when the future is done.
#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    callbacks: Vec<Callback>,
}

pub(crate) type Callback = Box<dyn FnOnce() + Send>;

impl Hold {
    /// A hold that is about to be submitted.
    pub(crate) fn new(client: &Arc<Link>, key: Key) -> Arc<Self> {
        let (client, id) = (client.clone(), client.next_future());
        Arc::new(Self { client, id, key, submitted: false.into(), progress: Mutex::default() })
    }

    /// A hold on a key that somebody else submitted.
    pub(crate) fn subscribe(client: &Arc<Link>, key: Key) -> Arc<Self> {
        let hold = Self::new(client, key.clone());
        client.register([&hold], Event::Subscribed { future: hold.id, key });
        hold
    }

    /// A hold that failed before it reached the cluster.
    pub(crate) fn failed(client: &Arc<Link>, error: TaskError) -> Arc<Self> {
        let hold = Self::new(client, error.key.clone());
        hold.settle(Outcome::Failed(Arc::new(error)));
        hold
    }

    /// From now on the scheduler knows of it.
    pub(crate) fn submitted(&self) {
        self.submitted.store(true, Ordering::Relaxed);
    }

    /// The state of the future in Dask's words.
    pub(crate) fn status(&self) -> Status {
        let progress = self.lock();
        match &progress.outcome {
            Some(Outcome::Finished(_)) => Status::Finished,
            Some(Outcome::Failed(_)) => Status::Error,
            Some(Outcome::Cancelled(_)) => Status::Cancelled,
            None if progress.lost => Status::Lost,
            None => Status::Pending,
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.lock().outcome.clone()
    }

    /// Waits until the future is done. A task that waits makes room for others.
    pub(crate) async fn done(&self) -> Outcome {
        aside(std::future::poll_fn(|context| {
            let mut progress = self.lock();
            if let Some(outcome) = &progress.outcome {
                return Poll::Ready(outcome.clone());
            }
            let wakers = &mut progress.waiting.get_or_insert_default().wakers;
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        }))
        .await
    }

    /// Calls back when the future is done, at once if it is.
    pub(crate) fn when_done(&self, callback: Callback) {
        let mut progress = self.lock();
        if progress.outcome.is_none() {
            return progress.waiting.get_or_insert_default().callbacks.push(callback);
        }
        drop(progress);
        callback();
    }

    /// The future is done. What it was before is replaced: a lost result may fail on its second
    /// computation, and a failed one may succeed.
    pub(crate) fn settle(&self, outcome: Outcome) {
        let mut progress = self.lock();
        progress.outcome = Some(outcome);
        let waiting = progress.waiting.take();
        drop(progress);
        let Some(waiting) = waiting else { return };
        let Waiting { wakers, callbacks } = *waiting;
        wakers.into_iter().for_each(Waker::wake);
        for callback in callbacks {
            callback();
        }
    }

    /// The future is pending again.
    pub(crate) fn reopen(&self, status: Status) {
        let mut progress = self.lock();
        progress.outcome = None;
        progress.lost = status == Status::Lost;
    }

    /// Why there will be no value, if that is so already. Values are not touched, so that many
    /// futures can be looked at.
    pub(crate) fn failure(&self) -> Option<Error> {
        let outcome = match &self.lock().outcome {
            None | Some(Outcome::Finished(_)) => return None,
            Some(outcome) => outcome.clone(),
        };
        self.error(&outcome)
    }

    /// The result of an outcome that is not a value.
    pub(crate) fn error(&self, outcome: &Outcome) -> Option<Error> {
        match outcome {
            Outcome::Finished(_) => None,
            Outcome::Failed(error) => Some(Kind::Task(error.clone()).into()),
            Outcome::Cancelled(why) => Some(self.cancelled_error(why)),
        }
    }

    pub(crate) fn cancelled_error(&self, why: &Unanswered) -> Error {
        match why {
            Unanswered::Cancelled(reason) => {
                Kind::Cancelled { key: self.key.clone(), reason: reason.clone() }.into()
            }
            other => self.client.unanswered_error(other),
        }
    }

    /// A hold that tasks of `client` can depend on: this one, or for a future of another client a
    /// new one on the same key. What never reached the scheduler, or is gone from it, gives what
    /// became of it: a task that depends on it shares its fate.
    pub(crate) fn on(self: &Arc<Self>, client: &Arc<Link>) -> Result<Arc<Self>, Outcome> {
        let unknown = match self.outcome() {
            Some(outcome @ Outcome::Cancelled(_)) => Some(outcome),
            Some(outcome @ Outcome::Failed(_)) if !self.submitted.load(Ordering::Relaxed) => {
                Some(outcome)
            }
            _ => None,
        };
        match unknown {
            Some(outcome) => Err(outcome),
            None if Arc::ptr_eq(&self.client, client) => Ok(self.clone()),
            None => Ok(Self::subscribe(client, self.key.clone())),
        }
    }

    /// [`Hold::on`], with a hold that shares the fate of one that cannot be used.
    pub(crate) fn shared_with(self: Arc<Self>, client: &Arc<Link>) -> Arc<Self> {
        self.on(client).unwrap_or_else(|outcome| {
            let hold = Self::new(client, self.key.clone());
            hold.settle(outcome);
            hold
        })
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Nothing panics while it holds the lock, and the state would be whole if it did.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if *self.submitted.get_mut() {
            self.client.tell(Event::Released(self.id));
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}: {}>", self.key, self.status())
    }
}
