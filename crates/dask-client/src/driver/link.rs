//! The way to the driver, for clients and futures on any thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dask_proto::Address;
use dask_proto::codec::Carriage;
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{Answer, Request, Submit};
use dask_proto::program::ProgramId;
use dask_task::TaskDef;
use dask_transport::{Connection, Outbox, Peers};
use tokio::runtime::Handle;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot, watch};

use super::queue::{Closing, Command, Queue};
use super::topic::Topics;
use super::{Courier, Driver};
use crate::error::Kind;
use crate::future::hold::{Hold, Outcome};
use crate::state::{Event, Unanswered};
use crate::{Error, Result};

/// What all clones of a client and all its futures share: the way to the driver.
pub(crate) struct Link {
    /// The scheduler.
    pub(crate) address: Address,
    /// Who the client is.
    pub(crate) identity: Identity,
    /// Whether values travel live between this client and its scheduler.
    pub(crate) carriage: Carriage,
    /// Connections to workers.
    pub(crate) peers: Peers,
    queue: Arc<Queue>,
    next_future: AtomicU64,
    next_request: AtomicU64,
    functions: Mutex<HashMap<(&'static str, &'static str), FunctionId>>,
    closed: watch::Receiver<bool>,
    /// Rings when futures failed, were cancelled or are pending again.
    trouble: Arc<Notify>,
    /// Who wants to hear what the scheduler says without being asked.
    pub(crate) topics: Arc<Topics>,
    /// Where callbacks run.
    pub(crate) runtime: Handle,
    /// A cluster that lives as long as this client.
    #[cfg(feature = "local")]
    cluster: Mutex<Option<crate::LocalCluster>>,
}

/// Who a client is, and what it heard when it connected.
pub(crate) struct Identity {
    /// Its name, for people.
    pub(crate) name: String,
    /// What makes keys of this build different from those of others, if they are to be.
    pub(crate) salt: Option<ProgramId>,
    /// What else the scheduler's process serves, with its ports.
    pub(crate) services: BTreeMap<String, u16>,
}

impl Link {
    /// Starts the driver of a connection whose handshake is over, on the current runtime.
    pub(crate) fn start(
        address: Address,
        connection: Connection,
        identity: Identity,
        (peers, courier): (Peers, Courier),
    ) -> Arc<Self> {
        let queue = Arc::new(Queue::default());
        let (outbox, inbox) = dask_transport::channel(connection);
        let (ended, closed) = watch::channel(false);
        let carriage = Outbox::carriage(&outbox);
        let trouble = Arc::new(Notify::new());
        let topics = Arc::new(Topics::default());
        let told = (trouble.clone(), topics.clone());
        let driver = Driver::new(queue.clone(), outbox, told, (ended, courier));
        tokio::spawn(driver.run(inbox));
        Arc::new(Self {
            address,
            identity,
            carriage,
            peers,
            queue,
            next_future: AtomicU64::new(1),
            next_request: AtomicU64::new(1),
            functions: Mutex::default(),
            closed,
            trouble,
            topics,
            runtime: Handle::current(),
            #[cfg(feature = "local")]
            cluster: Mutex::default(),
        })
    }

    /// Makes the cluster end with this client.
    #[cfg(feature = "local")]
    pub(crate) fn own(&self, cluster: crate::LocalCluster) {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = Some(cluster);
    }

    /// Rings from now on when futures of this client failed, were cancelled or are pending again.
    pub(crate) fn trouble(&self) -> Notified<'_> {
        self.trouble.notified()
    }

    /// Runs code of the user away from the driver, which must neither block nor panic.
    pub(crate) fn run_callback(&self, callback: impl FnOnce() + Send + 'static) {
        self.runtime.spawn_blocking(callback);
    }

    pub(crate) fn next_future(&self) -> FutureId {
        FutureId(self.next_future.fetch_add(1, Ordering::Relaxed))
    }

    /// The id of a function on this link, defining it on its first use.
    pub(crate) fn function(&self, def: &'static TaskDef) -> FunctionId {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let next = FunctionId(u32::try_from(functions.len()).unwrap_or(u32::MAX));
        *functions.entry((def.path, def.signature)).or_insert_with(|| {
            // Under the lock, so that nobody uses the id before it is defined.
            self.tell(Event::Defined { id: next, function: def.function() });
            next
        })
    }

    /// Submits tasks for these holds.
    pub(crate) fn submit<'a>(
        &self,
        holds: impl IntoIterator<Item = &'a Arc<Hold>>,
        submit: Submit,
    ) {
        self.register(holds, Event::Submitted(submit));
    }

    /// Tells the driver of an event that starts these holds.
    pub(crate) fn register<'a>(
        &self,
        holds: impl IntoIterator<Item = &'a Arc<Hold>>,
        event: Event,
    ) {
        let holds = track(holds);
        let Err(refused) = self.queue.push(Command::Register(holds, event)) else {
            return;
        };
        if let (Command::Register(holds, _), why) = *refused {
            for hold in holds.iter().filter_map(Weak::upgrade) {
                hold.settle(Outcome::Cancelled(why.clone()));
            }
        }
    }

    /// Tells the driver of something that nobody waits for; without a driver it does not matter.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.queue.push(Command::Event(event));
    }

    /// Asks the scheduler and waits for its answer. Dropped before that, it forgets the question.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer> {
        self.ask_holding(request, &[]).await
    }

    /// [`Link::ask`], with a question that starts these holds.
    pub(crate) async fn ask_holding(
        &self,
        request: Request,
        holds: &[Arc<Hold>],
    ) -> Result<Answer> {
        let (_, answer) = self.ask_by_id(request, holds).await?;
        Ok(answer)
    }

    /// [`Link::ask`], for a question by whose id the scheduler knows what it granted.
    pub(crate) async fn ask_by_id(
        &self,
        request: Request,
        holds: &[Arc<Hold>],
    ) -> Result<(RequestId, Answer)> {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let holds = track(holds);
        if let Err(refused) = self.queue.push(Command::Ask(id, request, reply, holds)) {
            return Err(self.unanswered_error(&refused.1));
        }
        let mut forget = Forget { link: self, id, armed: true };
        let answer = answer.await;
        forget.armed = false;
        match answer {
            Ok(Ok(Answer::Refused(refusal))) => Err(Kind::Refused(refusal).into()),
            Ok(Ok(answer)) => Ok((id, answer)),
            Ok(Err(why)) => Err(self.unanswered_error(&why)),
            Err(_) => Err(Kind::Closed.into()),
        }
    }

    /// Closes the connection and waits until everything is sent.
    pub(crate) async fn close(&self) {
        self.tell(Event::Closed);
        self.ended().await;
        #[cfg(feature = "local")]
        {
            let cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(cluster) = cluster {
                cluster.close().await;
            }
        }
    }

    /// Whether the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_over()
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        // An error means that the driver is gone, which is what we wait for.
        let _ = self.closed.clone().wait_for(|ended| *ended).await;
    }

    pub(crate) fn unanswered_error(&self, why: &Unanswered) -> Error {
        match why {
            Unanswered::Closed => Kind::Closed.into(),
            Unanswered::Disconnected(reason) | Unanswered::Cancelled(reason) => {
                let (address, reason) = (self.address.clone(), reason.clone());
                Kind::Disconnected { address, reason }.into()
            }
        }
    }
}

/// What the driver keeps of holds that the scheduler is about to hear of.
fn track<'a>(holds: impl IntoIterator<Item = &'a Arc<Hold>>) -> Vec<Weak<Hold>> {
    holds.into_iter().inspect(|hold| hold.submitted()).map(Arc::downgrade).collect()
}

impl Drop for Link {
    fn drop(&mut self) {
        // Without a driver there is nothing left to send.
        let _ = self.queue.push(Command::Abandoned(Closing::new()));
    }
}

struct Forget<'a> {
    link: &'a Link,
    id: RequestId,
    armed: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.link.tell(Event::Forgot(self.id));
        }
    }
}
