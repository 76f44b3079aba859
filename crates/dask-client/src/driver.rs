//! The shell of the client: one task owns the state and the connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use dask_proto::Address;
use dask_proto::codec::Carriage;
use dask_proto::id::{FunctionId, FutureId, RequestId};
use dask_proto::message::{Answer, ClientToScheduler, Request, SchedulerToClient, Submit};
use dask_task::TaskDef;
use dask_transport::{Connection, Inbox, Outbox, Peers};
use tokio::runtime::Handle;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::Kind;
use crate::future::Status;
use crate::future::hold::{Hold, Outcome};
use crate::state::{ClientState, Event, Instruction, Instructions, Unanswered};
use crate::{Error, Result};

/// What all clones of a client and all its futures share: the way to the driver.
pub(crate) struct Link {
    /// The scheduler.
    pub(crate) address: Address,
    /// The client's name, for people.
    pub(crate) name: String,
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
    /// Where callbacks run.
    runtime: Handle,
    /// A cluster that lives as long as this client.
    #[cfg(feature = "local")]
    cluster: Mutex<Option<crate::LocalCluster>>,
}

/// What the program did and the driver has not heard of yet.
#[derive(Default)]
struct Queue {
    pending: Mutex<Pending>,
    filled: Notify,
}

#[derive(Default)]
struct Pending {
    commands: Vec<Command>,
    /// Set when the driver has ended: nobody will take another command.
    over: Option<Unanswered>,
}

enum Command {
    Event(Event),
    /// Holds that the driver keeps track of, and the event that starts them.
    Register(Vec<Weak<Hold>>, Event),
    Ask(RequestId, Request, Reply, Vec<Weak<Hold>>),
    /// The last clone of the client and the last future are gone.
    Abandoned(Closing),
}

type Reply = oneshot::Sender<Result<Answer, Unanswered>>;

impl Link {
    /// Starts the driver of a connection whose handshake is over, on the current runtime.
    pub(crate) fn start(
        address: Address,
        connection: Connection,
        name: String,
        peers: Peers,
    ) -> Arc<Self> {
        let queue = Arc::new(Queue::default());
        let (outbox, inbox) = dask_transport::channel(connection);
        let (ended, closed) = watch::channel(false);
        let carriage = Outbox::carriage(&outbox);
        let trouble = Arc::new(Notify::new());
        let driver = Driver {
            queue: queue.clone(),
            state: ClientState::default(),
            holds: HashMap::new(),
            replies: HashMap::new(),
            outbox,
            out: Instructions::new(),
            trouble: trouble.clone(),
            ended,
            closing: None,
        };
        tokio::spawn(driver.run(inbox));
        Arc::new(Self {
            address,
            name,
            carriage,
            peers,
            queue,
            next_future: AtomicU64::new(1),
            next_request: AtomicU64::new(1),
            functions: Mutex::default(),
            closed,
            trouble,
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
            Ok(Ok(answer)) => Ok(answer),
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
        self.queue.lock().over.is_some()
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

impl Queue {
    fn push(&self, command: Command) -> Result<(), Box<(Command, Unanswered)>> {
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

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// The last commands; from now on there are no others.
    fn finish(&self, why: Unanswered) -> Vec<Command> {
        let mut pending = self.lock();
        pending.over = Some(why);
        std::mem::take(&mut pending.commands)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Driver {
    queue: Arc<Queue>,
    state: ClientState,
    holds: HashMap<FutureId, Weak<Hold>>,
    replies: HashMap<RequestId, Reply>,
    outbox: Outbox<ClientToScheduler>,
    out: Instructions,
    trouble: Arc<Notify>,
    ended: watch::Sender<bool>,
    closing: Option<Closing>,
}

/// Batches from the scheduler that wait for the driver; more stay with the transport.
const INBOX_BATCHES: usize = 16;

/// How long the last messages to the scheduler may take.
const FLUSH: Duration = Duration::from_secs(5);

type Batch = Result<Vec<SchedulerToClient>, Arc<str>>;

impl Driver {
    async fn run(mut self, inbox: Inbox<SchedulerToClient>) {
        let (sender, mut batches) = mpsc::channel(INBOX_BATCHES);
        let mut reader = JoinSet::new();
        reader.spawn(read(inbox, sender));
        let queue = self.queue.clone();
        while self.state.over().is_none() {
            tokio::select! {
                () = queue.filled.notified() => self.commands(queue.take()),
                batch = batches.recv() => {
                    self.heard(batch.unwrap_or_else(|| Err("the connection ended".into())));
                }
            }
            self.perform();
        }
        self.finish();
        self.outbox.close();
        if timeout(FLUSH, self.outbox.closed()).await.is_err() {
            // A scheduler that does not read any more cannot keep the client.
            self.outbox.abort();
        }
    }

    /// From now on nobody is told anything: whoever waits hears why, now and later.
    fn finish(&mut self) {
        let reason = || Unanswered::Disconnected("the runtime that drove it has ended".into());
        let why = self.state.over().unwrap_or_else(reason);
        if let Unanswered::Disconnected(reason) = &why {
            let reason = reason.clone();
            self.state.handle(Event::SchedulerLost { reason }, &mut self.out);
        }
        let commands = self.queue.finish(why);
        self.commands(commands);
        self.perform();
    }

    fn heard(&mut self, batch: Batch) {
        match batch {
            Ok(messages) => {
                for message in messages {
                    self.state.handle(Event::Said(message), &mut self.out);
                }
            }
            Err(reason) => self.state.handle(Event::SchedulerLost { reason }, &mut self.out),
        }
    }

    fn commands(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Register(holds, event) => {
                    self.track(holds);
                    self.state.handle(event, &mut self.out);
                }
                Command::Event(event) => {
                    match &event {
                        Event::Released(future) => drop(self.holds.remove(future)),
                        Event::Forgot(id) => drop(self.replies.remove(id)),
                        _ => {}
                    }
                    self.state.handle(event, &mut self.out);
                }
                Command::Ask(id, request, reply, holds) => {
                    self.track(holds);
                    self.replies.insert(id, reply);
                    self.state.handle(Event::Asked { id, request }, &mut self.out);
                }
                Command::Abandoned(closing) => {
                    self.closing = Some(closing);
                    self.state.handle(Event::Closed, &mut self.out);
                }
            }
        }
    }

    /// A hold that is already dropped is released by an event still to come.
    fn track(&mut self, holds: Vec<Weak<Hold>>) {
        let live = holds.into_iter().filter_map(|hold| Some((hold.upgrade()?.id, hold)));
        self.holds.extend(live);
    }

    fn perform(&mut self) {
        let mut messages = Vec::new();
        let mut trouble = false;
        for instruction in std::mem::take(&mut self.out) {
            match instruction {
                Instruction::Send(message) => messages.push(message),
                Instruction::Finish { future, value } => {
                    self.settle(future, Outcome::Finished(value));
                }
                Instruction::Fail { future, error } => {
                    trouble = true;
                    self.settle(future, Outcome::Failed(error));
                }
                Instruction::Abandon { future, why } => {
                    trouble = true;
                    self.settle(future, Outcome::Cancelled(why));
                }
                Instruction::Reopen { future, lost } => {
                    trouble = true;
                    if let Some(hold) = self.holds.get(&future).and_then(Weak::upgrade) {
                        hold.reopen(if lost { Status::Lost } else { Status::Pending });
                    }
                }
                Instruction::Answer { id, answer } => self.reply(id, Ok(answer)),
                Instruction::Unanswered { id, why } => self.reply(id, Err(why)),
            }
        }
        if trouble {
            self.trouble.notify_waiters();
        }
        // A dead link is heard of by the reader, and in the same words for everybody.
        let _ = self.outbox.send(messages);
    }

    fn settle(&self, future: FutureId, outcome: Outcome) {
        if let Some(hold) = self.holds.get(&future).and_then(Weak::upgrade) {
            hold.settle(outcome);
        }
    }

    fn reply(&mut self, id: RequestId, answer: Result<Answer, Unanswered>) {
        if let Some(reply) = self.replies.remove(&id) {
            // The program may have stopped waiting.
            let _ = reply.send(answer);
        }
    }
}

/// The runtime may end before the connection does.
impl Drop for Driver {
    fn drop(&mut self) {
        self.finish();
        self.ended.send_replace(true);
    }
}

/// Clients that the program let go of and that have not sent everything yet.
static CLOSING: LazyLock<watch::Sender<usize>> = LazyLock::new(watch::Sender::default);

/// One of them.
struct Closing;

impl Closing {
    fn new() -> Self {
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

/// Receiving is not to be interrupted, so it has a task of its own.
async fn read(mut inbox: Inbox<SchedulerToClient>, sender: mpsc::Sender<Batch>) {
    loop {
        let batch = match inbox.receive().await {
            Ok(Some(messages)) => Ok(messages),
            Ok(None) => Err("the scheduler closed it".into()),
            Err(error) => Err(describe(&error).into()),
        };
        let last = batch.is_err();
        if sender.send(batch).await.is_err() || last {
            return;
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += ": ";
        text += &cause.to_string();
        source = cause.source();
    }
    text
}
