use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::future::Future;
use std::io::BufWriter;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dask_proto::id::{ClientId, RequestId};
use dask_proto::message::{
    LogLevel, Question, Rejection, Reply, SchedulerToAgent, SchedulerToClient, SchedulerToWorker,
    Welcome,
};
use dask_proto::{Address, Moment};
use dask_task::plugin::SchedulerPlugin;
use dask_transport::{BusyPoll, Listener, Transports, contact_address};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::plugins::Plugins;
use crate::record::{Detail, Header, Recorder};
use crate::serve::{self, Desk};
use crate::session::{self, Link, Lobby, Report};
use crate::state::{Event, Instruction, Instructions, Observe, Peer, SchedulerState};
use crate::{Config, Error};

/// Batches that wait for the loop. When they are more, sessions stop reading, and their peers feel
/// it: what is still in their buffers takes a fraction of the memory of decoded messages.
const INBOX: usize = 16;

/// Connections that may be in their handshake at a time; further ones wait to be accepted.
const STRANGERS: usize = 512;

/// How long peers may take to receive their last messages when the scheduler ends.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// How long to wait when nothing is to be done at a certain time.
const FAR: Duration = Duration::from_secs(86_400);

/// How long to wait before accepting again when that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The shell of the scheduler: it listens, and owns the state in one loop.
pub struct Scheduler {
    config: Config,
    listener: Box<dyn Listener>,
    address: Address,
    recorder: Option<Recorder>,
    plugins: Plugins,
    busy_poll: Duration,
}

impl Scheduler {
    /// Listens at an address. Nobody is served before [`run`](Self::run).
    ///
    /// # Errors
    /// When the address is taken, makes no sense, or no transport has its scheme.
    pub async fn bind(
        config: Config,
        address: &Address,
        transports: &Transports,
    ) -> Result<Self, Error> {
        let listener = transports.listen(address).await;
        let listener =
            listener.map_err(|source| Error::Listen { address: address.clone(), source })?;
        let address = match &config.contact_address {
            Some(address) => address.clone(),
            None => contact_address(listener.address(), None).await,
        };
        let plugins = Plugins::new(address.clone());
        let busy_poll = Duration::ZERO;
        Ok(Self { config, listener, address, recorder: None, plugins, busy_poll })
    }

    /// For how long it looks for the next message before it goes to sleep, where messages come in
    /// quick succession: for a scheduler that is alone on its thread. Never unless this is called.
    #[must_use]
    pub fn busy_poll(mut self, limit: Duration) -> Self {
        self.busy_poll = limit;
        self
    }

    /// Records everything that happens to a file, which is replaced if it is there, for
    /// [`Replay`](crate::record::Replay). It is up to date within a second, and complete once
    /// [`run`](Self::run) has ended.
    ///
    /// A recording that cannot be written on ends with a logged error, and the scheduler does not.
    /// So does one of a peer in this process that sends a live object: what is recorded are bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(mut self, path: &Path, detail: Detail) -> Result<Self, Error> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let address = self.address.clone();
        let header = Header { version, config: self.config.clone(), address };
        let recorder = File::create(path)
            .and_then(|file| Recorder::start(BufWriter::new(file), &header, detail));
        let recorder =
            recorder.map_err(|source| Error::Record { path: path.to_owned(), source })?;
        tracing::info!(path = %path.display(), "what happens is recorded");
        self.recorder = Some(recorder);
        Ok(self)
    }

    /// Adds a plugin under a name, in place of one that has it.
    ///
    /// # Errors
    /// When the thread of plugins cannot be started.
    pub fn plugin(
        mut self,
        name: impl Into<String>,
        plugin: Box<dyn SchedulerPlugin>,
    ) -> Result<Self, Error> {
        self.plugins.add(name.into(), plugin).map_err(Error::Plugin)?;
        Ok(self)
    }

    /// Where others reach it, with the real port.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves until `shutdown` resolves or a client asks to shut down. Then every worker and
    /// client is told to close, and what was said to them is flushed.
    ///
    /// # Errors
    /// None at present: what goes wrong with a connection ends that connection only.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tracing::info!(address = %self.address, id = %self.config.id, "the scheduler listens");
        let (reports, mut inbox) = mpsc::channel(INBOX);
        let lobby = Lobby::new(reports, self.config.handshake_timeout);
        // Dropped, and so ended, with this future.
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(self.listener, lobby));
        let mut core = Core::new(self.config, self.address, self.recorder);
        core.take_plugins(self.plugins);
        let mut shutdown = pin!(shutdown);
        let mut timer = pin!(tokio::time::sleep(FAR));
        let mut busy_poll = BusyPoll::new(self.busy_poll);
        while !core.is_over {
            timer.as_mut().reset(core.deadline().unwrap_or_else(|| Instant::now() + FAR));
            let turn = async {
                tokio::select! {
                    report = inbox.recv() => match report {
                        Some(report) => core.take_in(report),
                        None => Some(Event::Shutdown { reason: "the listener ended".to_owned() }),
                    },
                    () = &mut timer => Some(Event::Timeout),
                    () = &mut shutdown => {
                        Some(Event::Shutdown { reason: "the scheduler is closing".to_owned() })
                    }
                }
            };
            let event = busy_poll.wait(turn).await;
            core.handle(event);
        }
        core.flush().await;
        tracing::info!("the scheduler has ended");
        Ok(())
    }
}

/// Accepts connections, each served by a task of its own, so that none disturbs another.
async fn accept(mut listener: Box<dyn Listener>, lobby: Lobby) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let mut sessions = JoinSet::new();
    loop {
        let Ok(permit) = strangers.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(connection) => {
                sessions.spawn(session::serve(lobby.clone(), connection, permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
}

/// The state, and the links to the peers that it knows.
struct Core {
    state: SchedulerState,
    recorder: Option<Recorder>,
    desk: Desk,
    plugins: Plugins,
    out: Instructions,
    started: Instant,
    peers: BTreeMap<Peer, PeerEntry>,
    /// Peers that were told to close and are still being flushed.
    closing: JoinSet<()>,
    /// Links that broke while they were written to.
    broken: VecDeque<Peer>,
    is_over: bool,
}

struct PeerEntry {
    name: String,
    welcome: Option<oneshot::Sender<Welcome>>,
    link: PeerLink,
    /// Ends the session when it is dropped.
    _stop: oneshot::Sender<()>,
}

/// What is said to a peer before it has its welcome waits.
enum PeerLink {
    Greeting(Greeting),
    Open(Link),
}

#[derive(Default)]
struct Greeting {
    client: Vec<SchedulerToClient>,
    worker: Vec<SchedulerToWorker>,
    agent: Vec<SchedulerToAgent>,
    is_closed: bool,
}

impl Core {
    fn new(config: Config, address: Address, recorder: Option<Recorder>) -> Self {
        let desk = Desk::new(address.clone(), config.log_length);
        let plugins = Plugins::new(address.clone());
        Self {
            state: SchedulerState::new(config, address),
            desk,
            plugins,
            recorder,
            out: Instructions::new(),
            started: Instant::now(),
            peers: BTreeMap::new(),
            closing: JoinSet::new(),
            broken: VecDeque::new(),
            is_over: false,
        }
    }

    /// When the state wants to hear of time again.
    fn deadline(&self) -> Option<Instant> {
        let next = self.state.next_timeout()?;
        self.started.checked_add(Duration::from_nanos(next.as_nanos()))
    }

    fn now(&self) -> Moment {
        Moment::default() + self.started.elapsed()
    }

    /// Notes what a session reports; the event for the state, if it is one.
    fn take_in(&mut self, report: Report) -> Option<Event> {
        match report {
            Report::Event(event) => Some(event),
            Report::Hello { event, name, welcome, stop } => {
                let peer = match &event {
                    Event::ClientJoined { client, .. } => Peer::Client(*client),
                    Event::WorkerJoined { worker, .. } => Peer::Worker(*worker),
                    Event::AgentJoined { agent, .. } => Peer::Agent(*agent),
                    _ => return None,
                };
                let entry = PeerEntry {
                    name,
                    welcome: Some(welcome),
                    link: PeerLink::Greeting(Greeting::default()),
                    _stop: stop,
                };
                self.peers.insert(peer, entry);
                Some(event)
            }
            Report::Open(peer, link) => {
                self.open(peer, link);
                None
            }
        }
    }

    /// Handles an event, and whatever carrying out its instructions leads to.
    fn handle(&mut self, event: Option<Event>) {
        let mut next = event;
        loop {
            if let Some(event) = next {
                self.note(&event);
                let now = self.now();
                if let Some(recorder) = &mut self.recorder {
                    recorder.event(now, &event);
                }
                self.state.handle(now, event, &mut self.out);
                for instruction in self.out.drain() {
                    if let Some(recorder) = &mut self.recorder {
                        recorder.instruction(&instruction);
                    }
                    self.carry_out(instruction);
                }
                if let Some(recorder) = &mut self.recorder {
                    recorder.settled();
                }
                if !self.plugins.is_empty() {
                    self.plugins.tell(self.state.observations());
                }
            }
            let Some(peer) = self.broken.pop_front() else {
                return;
            };
            let reason = "its connection broke, or it did not read fast enough".to_owned();
            next = Some(session::lost(peer, reason));
        }
    }

    /// Logs who left, and lets go of the link.
    fn note(&mut self, event: &Event) {
        let (peer, reason) = match event {
            Event::ClientLost { client } => (Peer::Client(*client), "the connection ended"),
            Event::WorkerLost { worker, reason } => (Peer::Worker(*worker), reason.as_str()),
            Event::AgentLost { agent, reason } => (Peer::Agent(*agent), reason.as_str()),
            _ => return,
        };
        if let Some(entry) = self.peers.remove(&peer) {
            tracing::info!(%peer, name = entry.name, reason, "left");
            self.desk.note(LogLevel::Info, format!("{peer} ({}) left: {reason}", entry.name));
            if let PeerLink::Open(link) = entry.link {
                // A peer that does not read any more would keep its last messages for ever.
                link.abort();
            }
        }
    }

    fn take_plugins(&mut self, plugins: Plugins) {
        self.plugins = plugins;
        self.observe();
    }

    /// Has the state note what happens, if there is a plugin to hear of it.
    fn observe(&mut self) {
        let is_deaf = self.plugins.is_empty();
        self.state.observe(if is_deaf { Observe::Nothing } else { Observe::Everything });
    }

    /// Adds or removes a plugin; any other question is the desk's.
    fn serve(&mut self, client: ClientId, id: RequestId, question: Question) {
        let link = self.peers.get(&Peer::Client(client)).map(|entry| &entry.link);
        let Some(PeerLink::Open(Link::Client(outbox))) = link else {
            return;
        };
        let outbox = outbox.clone();
        let reply = match question {
            Question::Equip(equipment) => self.plugins.equip(equipment),
            Question::Unequip { name } if self.plugins.remove(&name) => Reply::Done,
            Question::Unequip { name } => {
                Reply::Refused(format!("no plugin {name} is registered there"))
            }
            question => return self.desk.serve(&outbox, id, question),
        };
        self.observe();
        serve::say(&outbox, id, reply);
    }

    fn carry_out(&mut self, instruction: Instruction) {
        match instruction {
            Instruction::Welcome { peer, welcome } => self.welcome(peer, welcome),
            Instruction::ToClient { client, messages } => {
                let peer = Peer::Client(client);
                match self.peers.get_mut(&peer).map(|entry| &mut entry.link) {
                    Some(PeerLink::Open(Link::Client(outbox))) => {
                        let sent = outbox.send(messages);
                        self.broken.extend(sent.is_err().then_some(peer));
                    }
                    Some(PeerLink::Greeting(greeting)) => greeting.client.extend(messages),
                    _ => {}
                }
            }
            Instruction::ToWorker { worker, messages } => {
                let peer = Peer::Worker(worker);
                match self.peers.get_mut(&peer).map(|entry| &mut entry.link) {
                    Some(PeerLink::Open(Link::Worker(outbox))) => {
                        let sent = outbox.send(messages);
                        self.broken.extend(sent.is_err().then_some(peer));
                    }
                    Some(PeerLink::Greeting(greeting)) => greeting.worker.extend(messages),
                    _ => {}
                }
            }
            Instruction::ToAgent { agent, messages } => {
                let peer = Peer::Agent(agent);
                match self.peers.get_mut(&peer).map(|entry| &mut entry.link) {
                    Some(PeerLink::Open(Link::Agent(outbox))) => {
                        let sent = outbox.send(messages);
                        self.broken.extend(sent.is_err().then_some(peer));
                    }
                    Some(PeerLink::Greeting(greeting)) => greeting.agent.extend(messages),
                    _ => {}
                }
            }
            Instruction::Disconnect { peer, reason } => self.disconnect(peer, reason),
            Instruction::Warn { key, lines } => {
                let why = lines.join("\n  ");
                tracing::warn!(%key, "a task makes no progress: {why}");
                self.desk.note(LogLevel::Warn, format!("task {key} makes no progress: {why}"));
            }
            Instruction::Serve { client, id, question } => self.serve(client, id, question),
            Instruction::Shutdown => self.is_over = true,
        }
    }

    fn welcome(&mut self, peer: Peer, welcome: Welcome) {
        let is_rejected = matches!(welcome, Welcome::Rejected(_));
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        match &welcome {
            // It comes again and says which program it is: nobody has to know.
            Welcome::Rejected(Rejection::Identify) => {
                tracing::debug!(%peer, name = entry.name, "asked for its program");
            }
            Welcome::Rejected(reason) => {
                tracing::info!(%peer, name = entry.name, %reason, "rejected");
                self.desk
                    .note(LogLevel::Warn, format!("{peer} ({}) rejected: {reason}", entry.name));
            }
            _ => {
                tracing::info!(%peer, name = entry.name, "joined");
                self.desk.note(LogLevel::Info, format!("{peer} ({}) joined", entry.name));
            }
        }
        if let Some(answer) = entry.welcome.take() {
            // A session that is gone reports the loss of its peer itself.
            let _ = answer.send(welcome);
        }
        if is_rejected {
            self.peers.remove(&peer);
        }
    }

    /// Connects a peer that has its welcome to what was said to it meanwhile.
    fn open(&mut self, peer: Peer, link: Link) {
        let Some(entry) = self.peers.get_mut(&peer) else {
            return;
        };
        let PeerLink::Greeting(greeting) = &mut entry.link else {
            return;
        };
        let greeting = std::mem::take(greeting);
        let sent = match &link {
            Link::Client(outbox) => outbox.send(greeting.client),
            Link::Worker(outbox) => outbox.send(greeting.worker),
            Link::Agent(outbox) => outbox.send(greeting.agent),
        };
        if sent.is_err() {
            self.broken.push_back(peer);
        }
        if greeting.is_closed {
            link.close();
            self.finish(link);
            self.peers.remove(&peer);
        } else {
            entry.link = PeerLink::Open(link);
        }
    }

    fn disconnect(&mut self, peer: Peer, reason: String) {
        let Some(entry) = self.peers.remove(&peer) else {
            return;
        };
        tracing::info!(%peer, name = entry.name, reason, "disconnected");
        self.desk.note(LogLevel::Info, format!("{peer} ({}) disconnected: {reason}", entry.name));
        match entry.link {
            PeerLink::Open(link) => {
                link.say_goodbye(reason);
                self.finish(link);
            }
            PeerLink::Greeting(mut greeting) => {
                // It is told once it has its welcome.
                greeting.client.push(SchedulerToClient::Close { reason: reason.clone() });
                greeting.worker.push(SchedulerToWorker::Close { reason: reason.clone() });
                greeting.agent.push(SchedulerToAgent::Close { reason });
                greeting.is_closed = true;
                let link = PeerLink::Greeting(greeting);
                self.peers.insert(peer, PeerEntry { link, ..entry });
            }
        }
    }

    /// Lets a link that is closing send what it has, but not for ever.
    fn finish(&mut self, link: Link) {
        while self.closing.try_join_next().is_some() {}
        self.closing.spawn(async move {
            if tokio::time::timeout(FLUSH_TIME, link.closed()).await.is_err() {
                tracing::warn!("a peer did not read its last messages");
                link.abort();
            }
        });
    }

    /// Waits until every peer has its last messages, or had the time to read them.
    async fn flush(mut self) {
        while self.closing.join_next().await.is_some() {}
    }
}
