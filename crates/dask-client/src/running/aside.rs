//! Tasks that wait make room for others.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use dask_task::context::{Context, Host};

/// While a wait of a task has it stand aside, the other waits of that task; `None` once it is back.
#[derive(Debug)]
struct Others(Mutex<Option<Vec<Waker>>>);

impl Others {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Waker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// Those of this thread's task, if it stands aside.
    static OTHERS: RefCell<Weak<Others>> = const { RefCell::new(Weak::new()) };
}

/// A task that stands aside: outside of its worker's pool of threads until this is dropped.
#[derive(Debug)]
pub(crate) struct Aside {
    host: Arc<dyn Host>,
    others: Arc<Others>,
}

impl Aside {
    /// Lets the task on this thread leave the pool. `None` outside of tasks, for one that has left
    /// already, and for one that cannot: it waits in the pool then.
    pub(crate) fn begin() -> Option<Self> {
        let host = Context::current()?.host;
        let is_aside = !host.is_outside() && host.secede().is_ok();
        is_aside.then(|| {
            let others = Arc::new(Others(Mutex::new(Some(Vec::new()))));
            OTHERS.set(Arc::downgrade(&others));
            Self { host, others }
        })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // A task that ends by a panic, or is cancelled, need not come back.
        if !std::thread::panicking() {
            let _ = self.host.rejoin();
        }
        let others = self.others.lock().take();
        // What still waits is to make room again, also if it is polled only once it is woken.
        others.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A wait of a task that stands aside for another wait: among which others, and where.
#[derive(Default)]
struct Beside(Option<(Weak<Others>, usize)>);

impl Beside {
    /// Has it woken when the task comes back, by the latest waker: a wait may move to another task
    /// of an executor.
    fn note(&mut self, waker: &Waker) {
        let aside = OTHERS.with_borrow(Weak::clone);
        let Some(others) = aside.upgrade() else { return };
        let mut waker = waker.clone();
        let mut others = others.lock();
        let Some(wakers) = others.as_mut() else {
            drop(others);
            // It is back, which another thread saw to.
            return waker.wake();
        };
        let known = self.0.as_ref().filter(|(noted, _)| noted.ptr_eq(&aside));
        match known.and_then(|(_, place)| wakers.get_mut(*place)) {
            // The one before is dropped when nothing is locked: a wait may go with it.
            Some(known) => std::mem::swap(known, &mut waker),
            None => {
                self.0 = Some((aside, wakers.len()));
                wakers.push(waker);
                return;
            }
        }
        drop(others);
        drop(waker);
    }
}

/// Waits, and lets the task on this thread stand aside for as long as that takes.
pub(crate) async fn aside<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (mut aside, mut beside) = (None, Beside::default());
    std::future::poll_fn(move |context| {
        let poll = future.as_mut().poll(context);
        if poll.is_ready() || aside.is_some() {
            return poll;
        }
        aside = Aside::begin();
        if aside.is_none() {
            beside.note(context.waker());
        }
        poll
    })
    .await
}

/// How long a task may wait for something that is mostly there at once, before it makes room.
const GRACE: Duration = Duration::from_millis(20);

/// Waits, and lets the task on this thread stand aside if that takes longer than a moment.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    if Context::current().is_none() {
        return future.await;
    }
    let mut future = pin!(future);
    match tokio::time::timeout(GRACE, future.as_mut()).await {
        Ok(output) => output,
        Err(_) => aside(future).await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context as Poller, Wake};

    use dask_proto::Key;
    use dask_proto::message::LogLevel;
    use dask_task::context::{Companion, CurrentWorker, Entered, PoolError};
    use tokio::sync::oneshot;

    use super::*;

    /// A pool that always has room.
    #[derive(Debug, Default)]
    struct Pool(AtomicBool);

    impl Host for Pool {
        fn is_outside(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }

        fn secede(&self) -> Result<(), PoolError> {
            self.0.store(true, Ordering::Relaxed);
            Ok(())
        }

        fn rejoin(&self) -> Result<(), PoolError> {
            self.0.store(false, Ordering::Relaxed);
            Ok(())
        }

        fn local_directory(&self) -> std::io::Result<PathBuf> {
            Err(std::io::Error::other("there is none"))
        }

        fn say(&self, _: Key, _: LogLevel, _: String) {}
    }

    /// A task that runs on this thread from now on.
    fn task() -> (Arc<Pool>, Entered) {
        let address: dask_proto::Address = "tcp://127.0.0.1:1".parse().unwrap();
        let worker = CurrentWorker {
            address: address.clone(),
            name: "alice".to_owned(),
            nthreads: 1,
            memory_limit: None,
            resources: std::collections::BTreeMap::new(),
            scheduler: address,
            companion: Companion::default(),
        };
        let pool = Arc::new(Pool::default());
        let context = Context {
            key: "waits-1".try_into().unwrap(),
            worker: Arc::new(worker),
            cancelled: Arc::default(),
            host: pool.clone(),
        };
        (pool, context.enter())
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn polls<F: Future>(self: &Arc<Self>, wait: &mut Pin<Box<F>>) -> bool {
            let waker = self.clone().into();
            wait.as_mut().poll(&mut Poller::from_waker(&waker)).is_ready()
        }

        fn is_woken(&self) -> bool {
            self.0.swap(false, Ordering::Relaxed)
        }
    }

    #[test]
    fn a_wait_that_moved_is_woken_where_it_is_and_makes_room_again() {
        let (pool, _entered) = task();
        let (give, first) = oneshot::channel::<()>();
        let (_open, second) = oneshot::channel::<()>();
        let (mut first, mut second) = (Box::pin(aside(first)), Box::pin(aside(second)));
        let [one, two, three] = [(); 3].map(|()| Arc::<Woken>::default());
        assert!(!one.polls(&mut first) && pool.is_outside());
        assert!(!two.polls(&mut second) && !three.polls(&mut second));
        give.send(()).unwrap();
        assert!(one.polls(&mut first) && !pool.is_outside());
        assert!(three.is_woken() && !two.is_woken());
        assert!(!three.polls(&mut second) && pool.is_outside());
    }

    #[test]
    fn a_task_that_another_thread_brings_back_has_its_waits_woken() {
        let (pool, _entered) = task();
        let aside_for_a_block = Aside::begin().unwrap();
        let (_open, wait) = oneshot::channel::<()>();
        let (mut wait, woken) = (Box::pin(aside(wait)), Arc::<Woken>::default());
        assert!(!woken.polls(&mut wait));
        std::thread::spawn(move || drop(aside_for_a_block)).join().unwrap();
        assert!(woken.is_woken() && !pool.is_outside());
        assert!(!woken.polls(&mut wait) && pool.is_outside());
    }
}
