//! The thread that drives the connections, and runs a lone short task rather than wake another.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::run::Thread;
use super::seat::Seat;
use super::{Job, Queue, Shared};

/// The way to the thread that volunteers. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Volunteer {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    called: Mutex<Option<Call>>,
    wake: Notify,
}

/// A job for the volunteer. It is in the books as running.
pub(crate) struct Call {
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    job: Job,
}

impl Volunteer {
    /// Waits until there is a job for this thread. Cancel safe.
    pub(crate) async fn called(&self) -> Call {
        loop {
            let call = self.inner.called.lock().unwrap_or_else(PoisonError::into_inner).take();
            match call {
                Some(call) => return call,
                None => self.inner.wake.notified().await,
            }
        }
    }

    /// Runs a job on this thread.
    pub(crate) fn answer(&self, thread: &mut Option<Thread>, call: Call) {
        let Call { shared, seat, job } = call;
        let thread = thread.get_or_insert_with(|| {
            if let Some(reporter) = &shared.setup.overflow {
                reporter.watch_thread();
            }
            Thread::new(Arc::clone(&shared))
        });
        thread.seat = seat;
        let done = shared.run_and_report(thread, job);
        let mut queue = shared.queue();
        queue.lent = None;
        queue.leave(&done, &thread.seat);
        let is_work_left = !queue.jobs.is_empty();
        drop(queue);
        if is_work_left {
            shared.wake.notify_one();
        }
    }
}

impl Shared {
    /// Gives the job that waits to the volunteer, if it is alone and likely to be short.
    pub(super) fn call_volunteer(self: &Arc<Self>, queue: &mut Queue) -> bool {
        let Some(Volunteer { inner }) = &self.setup.volunteer else {
            return false;
        };
        let is_short = queue.jobs.len() == 1 && queue.quick.contains(&queue.jobs[0].function());
        if !is_short || queue.busy > 0 || queue.lent.is_some() {
            return false;
        }
        let seat = Arc::new(Seat::new(Arc::clone(self)));
        let Some(job) = queue.begin(&seat) else {
            return false;
        };
        queue.lent = Some(job.run());
        let call = Call { shared: Arc::clone(self), seat, job };
        *inner.called.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
        inner.wake.notify_one();
        true
    }
}
