use std::collections::BTreeMap;
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dask_proto::codec::Carriage;
use dask_proto::wire::Limits;
use dask_proto::{Address, Frames};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::{Connection, FrameReceiver, FrameSender, Listener, Transport, TransportError};

/// Connections inside one process: `inproc://name`; listening at `inproc://0` picks a free name.
///
/// Batches pass by reference count, and live objects by reference. The names are the process's, as
/// ports are the machine's: every `Inproc` sees the same ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inproc;

/// Batches under way in one direction; a sender waits for a peer that is this far behind.
const BATCHES: usize = 64;

/// Connections that nobody has accepted yet.
const BACKLOG: usize = 128;

#[async_trait]
impl Transport for Inproc {
    fn scheme(&self) -> &str {
        "inproc"
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        let refused = || TransportError::Connect {
            address: address.clone(),
            source: io::ErrorKind::ConnectionRefused.into(),
        };
        let backlog = names().listening.get(address.rest()).cloned();
        let backlog = backlog.ok_or_else(refused)?;
        let (ours, theirs) = pair(address);
        backlog.send(theirs).await.map_err(|_| refused())?;
        Ok(ours)
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let (sender, backlog) = mpsc::channel(BACKLOG);
        let mut names = names();
        let address = match address.rest() {
            "0" => names.pick(),
            _ => address.clone(),
        };
        if names.listening.contains_key(address.rest()) {
            let source = io::ErrorKind::AddrInUse.into();
            return Err(TransportError::Listen { address, source });
        }
        names.listening.insert(address.rest().to_owned(), sender);
        Ok(Box::new(InprocListener { backlog, address }))
    }
}

struct InprocListener {
    backlog: Receiver<Connection>,
    address: Address,
}

#[async_trait]
impl Listener for InprocListener {
    fn address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Connection, TransportError> {
        self.backlog.recv().await.ok_or(TransportError::Closed)
    }
}

impl Drop for InprocListener {
    fn drop(&mut self) {
        names().listening.remove(self.address.rest());
    }
}

struct InprocSender {
    /// `None` once closed.
    batches: Option<Sender<Frames>>,
}

#[async_trait]
impl FrameSender for InprocSender {
    async fn send(&mut self, frames: Frames) -> Result<(), TransportError> {
        Limits::MESSAGES.check(&frames)?;
        let batches = self.batches.as_ref().ok_or(TransportError::Closed)?;
        let sent = batches.send(frames).await;
        sent.map_err(|_| TransportError::Closed)
    }

    async fn close(&mut self) -> Result<(), TransportError> {
        self.batches = None;
        Ok(())
    }
}

struct InprocReceiver {
    batches: Receiver<Frames>,
    limits: Limits,
}

#[async_trait]
impl FrameReceiver for InprocReceiver {
    async fn receive(&mut self) -> Result<Option<Frames>, TransportError> {
        let Some(frames) = self.batches.recv().await else {
            return Ok(None);
        };
        self.limits.check(&frames)?;
        Ok(Some(frames))
    }

    fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }
}

/// Both ends of a connection.
fn pair(address: &Address) -> (Connection, Connection) {
    let (to_listener, from_client) = mpsc::channel(BATCHES);
    let (to_client, from_listener) = mpsc::channel(BATCHES);
    (
        end(to_listener, from_listener, address.clone()),
        end(to_client, from_client, names().caller()),
    )
}

fn end(to: Sender<Frames>, from: Receiver<Frames>, peer: Address) -> Connection {
    let limits = Limits::HANDSHAKE;
    Connection {
        sender: Box::new(InprocSender { batches: Some(to) }),
        receiver: Box::new(InprocReceiver { batches: from, limits }),
        peer,
        carriage: Carriage::Objects,
    }
}

/// Who listens in this process. An address is text, so something must lead from it to the listener:
/// this is the one global in the crate.
#[derive(Default)]
struct Names {
    listening: BTreeMap<String, Sender<Connection>>,
    picked: u64,
    callers: u64,
}

impl Names {
    fn pick(&mut self) -> Address {
        loop {
            self.picked += 1;
            if !self.listening.contains_key(&self.picked.to_string()) {
                return named(&self.picked.to_string());
            }
        }
    }

    fn caller(&mut self) -> Address {
        self.callers += 1;
        named(&format!("caller-{}", self.callers))
    }
}

fn names() -> MutexGuard<'static, Names> {
    static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn named(name: &str) -> Address {
    let text = format!("inproc://{name}");
    text.parse().expect("a scheme and a short name")
}
