//! One connection: its handshake, and what it says as events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dask_proto::human::describe;
use dask_proto::id::{AgentId, ClientId, WorkerId};
use dask_proto::message::{
    AgentToScheduler, ClientToScheduler, Hello, Rejection, Role, SchedulerToAgent,
    SchedulerToClient, SchedulerToWorker, Welcome, WorkerToScheduler,
};
use dask_transport::{Connection, Inbox, Outbox, channel, receive_hello, send_welcome};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::relay::Relay;
use crate::state::{Event, Peer};

/// How long a peer that was told to close may take until its connection is dropped.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// What a session tells the loop.
pub(crate) enum Report {
    /// A peer said hello.
    Hello {
        /// The event of its joining.
        event: Event,
        /// What it is called, for people.
        name: String,
        /// The state's answer goes here.
        welcome: oneshot::Sender<Welcome>,
        /// Ends the session when it is dropped.
        stop: oneshot::Sender<()>,
    },
    /// The peer was welcomed: what is said to it goes here.
    Open(Peer, Link),
    /// What the peer said, or that it is gone.
    Event(Event),
}

/// Where messages to a peer go.
pub(crate) enum Link {
    Client(Outbox<SchedulerToClient>),
    Worker(Outbox<SchedulerToWorker>),
    Agent(Outbox<SchedulerToAgent>),
}

/// What all sessions share.
#[derive(Clone)]
pub(crate) struct Lobby {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) handshake_timeout: Duration,
    next_id: Arc<AtomicU32>,
    relay: Relay,
}

impl Lobby {
    pub(crate) fn new(reports: mpsc::Sender<Report>, handshake_timeout: Duration) -> Self {
        let next_id = Arc::new(AtomicU32::new(1));
        Self { reports, handshake_timeout, next_id, relay: Relay::default() }
    }

    /// An id for a client, a worker or an agent. They share one sequence, which ends after four
    /// thousand million connections.
    fn next_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// Serves a connection until it ends. The permit is one of those for strangers: it is given back
/// once the peer is known.
pub(crate) async fn serve(lobby: Lobby, mut connection: Connection, permit: OwnedSemaphorePermit) {
    let address = connection.peer.clone();
    let hello = match receive_hello(&mut connection, lobby.handshake_timeout).await {
        Ok(hello) => hello,
        Err(error) => {
            tracing::debug!(%address, %error, "a connection did not become a peer");
            return;
        }
    };
    if let Role::Program(link) = hello.role {
        if greet(&lobby, &mut connection, &Welcome::Peer).await {
            drop(permit);
            lobby.relay.serve(link, connection).await;
        }
        return;
    }
    let Some((peer, event, name)) = introduce(&lobby, hello) else {
        let rejection = Rejection::Role {
            is: "a scheduler".to_owned(),
            wanted: "a peer that exchanges values".to_owned(),
        };
        greet(&lobby, &mut connection, &Welcome::Rejected(rejection)).await;
        return;
    };
    let (welcome, answered) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let report = Report::Hello { event, name, welcome, stop };
    if lobby.reports.send(report).await.is_err() {
        return;
    }
    let Ok(welcome) = answered.await else { return };
    let is_greeted = greet(&lobby, &mut connection, &welcome).await;
    drop(permit);
    if matches!(welcome, Welcome::Rejected(_)) {
        return;
    }
    if is_greeted {
        converse(&lobby, connection, peer, stopped).await;
    } else {
        let reason = "the connection broke during the handshake".to_owned();
        lose(&lobby, peer, reason).await;
    }
}

/// The event of a peer's joining, with what it is called; `None` for one that a scheduler has no
/// use for.
fn introduce(lobby: &Lobby, hello: Hello) -> Option<(Peer, Event, String)> {
    Some(match hello.role {
        Role::Client { name } => {
            let client = ClientId(lobby.next_id());
            let code = hello.program.code;
            let event = Event::ClientJoined { client, name: name.clone(), code };
            (Peer::Client(client), event, name)
        }
        Role::Worker(join) => {
            let worker = WorkerId(lobby.next_id());
            let name = join.name.clone();
            (Peer::Worker(worker), Event::WorkerJoined { worker, join }, name)
        }
        Role::Agent(join) => {
            let agent = AgentId(lobby.next_id());
            let name = join.name.clone();
            (Peer::Agent(agent), Event::AgentJoined { agent, join }, name)
        }
        _ => return None,
    })
}

/// Sends the welcome; whether it could be sent in time.
async fn greet(lobby: &Lobby, connection: &mut Connection, welcome: &Welcome) -> bool {
    let address = connection.peer.clone();
    let sent = send_welcome(connection, welcome);
    match tokio::time::timeout(lobby.handshake_timeout, sent).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a welcome could not be sent");
            false
        }
        Err(_) => {
            tracing::debug!(%address, "a welcome was not received in time");
            false
        }
    }
}

/// Turns what a peer says into events until it closes, or some time after the loop dropped it.
async fn converse(
    lobby: &Lobby,
    connection: Connection,
    peer: Peer,
    stopped: oneshot::Receiver<()>,
) {
    let stop = async {
        // The sender is dropped, never used.
        let _ = stopped.await;
        tokio::time::sleep(CLOSING_TIME).await;
    };
    let reason = match peer {
        Peer::Client(client) => {
            let (outbox, inbox) = channel(connection);
            let link = Report::Open(peer, Link::Client(outbox));
            if lobby.reports.send(link).await.is_err() {
                return;
            }
            let event = |messages: Vec<ClientToScheduler>| Event::ClientSaid { client, messages };
            tokio::select! {
                reason = listen(lobby, inbox, event) => reason,
                () = stop => return,
            }
        }
        Peer::Worker(worker) => {
            let (outbox, inbox) = channel(connection);
            let link = Report::Open(peer, Link::Worker(outbox));
            if lobby.reports.send(link).await.is_err() {
                return;
            }
            let event = |messages: Vec<WorkerToScheduler>| Event::WorkerSaid { worker, messages };
            tokio::select! {
                reason = listen(lobby, inbox, event) => reason,
                () = stop => return,
            }
        }
        Peer::Agent(agent) => {
            let (outbox, inbox) = channel(connection);
            let link = Report::Open(peer, Link::Agent(outbox));
            if lobby.reports.send(link).await.is_err() {
                return;
            }
            let event = |messages: Vec<AgentToScheduler>| Event::AgentSaid { agent, messages };
            tokio::select! {
                reason = listen(lobby, inbox, event) => reason,
                () = stop => return,
            }
        }
    };
    lose(lobby, peer, reason).await;
}

/// Passes on what arrives; why it ended.
async fn listen<In: DeserializeOwned>(
    lobby: &Lobby,
    mut inbox: Inbox<In>,
    event: impl Fn(Vec<In>) -> Event,
) -> String {
    loop {
        match inbox.receive().await {
            Ok(Some(messages)) => {
                if lobby.reports.send(Report::Event(event(messages))).await.is_err() {
                    return "the scheduler has ended".to_owned();
                }
            }
            Ok(None) => return "it closed the connection".to_owned(),
            Err(error) => return format!("its connection failed: {}", describe(&error)),
        }
    }
}

async fn lose(lobby: &Lobby, peer: Peer, reason: String) {
    let event = lost(peer, reason);
    // Without a loop nobody is interested.
    let _ = lobby.reports.send(Report::Event(event)).await;
}

/// The event that a peer is gone.
pub(crate) fn lost(peer: Peer, reason: String) -> Event {
    match peer {
        Peer::Client(client) => Event::ClientLost { client },
        Peer::Worker(worker) => Event::WorkerLost { worker, reason },
        Peer::Agent(agent) => Event::AgentLost { agent, reason },
    }
}

impl Link {
    /// Says why the connection is closed, and closes it.
    pub(crate) fn say_goodbye(&self, reason: String) {
        // A link that is broken needs no goodbye.
        let _ = match self {
            Self::Client(outbox) => outbox.send([SchedulerToClient::Close { reason }]),
            Self::Worker(outbox) => outbox.send([SchedulerToWorker::Close { reason }]),
            Self::Agent(outbox) => outbox.send([SchedulerToAgent::Close { reason }]),
        };
        self.close();
    }

    /// Closes the connection once everything is sent.
    pub(crate) fn close(&self) {
        match self {
            Self::Client(outbox) => outbox.close(),
            Self::Worker(outbox) => outbox.close(),
            Self::Agent(outbox) => outbox.close(),
        }
    }

    /// Drops the connection with what is not sent.
    pub(crate) fn abort(&self) {
        match self {
            Self::Client(outbox) => outbox.abort(),
            Self::Worker(outbox) => outbox.abort(),
            Self::Agent(outbox) => outbox.abort(),
        }
    }

    /// Waits until everything is sent and the connection closed.
    pub(crate) async fn closed(&self) {
        match self {
            Self::Client(outbox) => outbox.closed().await,
            Self::Worker(outbox) => outbox.closed().await,
            Self::Agent(outbox) => outbox.closed().await,
        }
    }
}
