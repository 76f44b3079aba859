use async_trait::async_trait;
use dask_proto::codec::Carriage;
use dask_proto::wire::Limits;
use dask_proto::{Address, Frames};

use crate::TransportError;

/// A way to reach peers: what an address's scheme stands for.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The scheme of its addresses, such as `tcp`.
    fn scheme(&self) -> &str;

    /// Connects to the peer that listens at an address, once: the caller retries and sets the time
    /// limit. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// When nobody listens there; the error names the address.
    async fn connect(&self, address: &Address) -> Result<Connection, TransportError>;

    /// Starts to listen at an address. Port 0, or what stands for it, picks a free one.
    ///
    /// # Errors
    /// When the address is taken or no address of this machine; the error names it.
    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError>;
}

/// A place that peers connect to. Dropping it ends the listening.
#[async_trait]
pub trait Listener: Send {
    /// Where it listens, with the real port: what peers connect to.
    fn address(&self) -> &Address;

    /// The next connection. Cancel safe: dropping the future loses none. A peer that vanished while
    /// it connected is not reported here.
    ///
    /// # Errors
    /// When no connection can come any more.
    async fn accept(&mut self) -> Result<Connection, TransportError>;
}

/// A link to a peer. Its two directions are independent.
pub struct Connection {
    /// The way to the peer.
    pub sender: Box<dyn FrameSender>,
    /// The way back.
    pub receiver: Box<dyn FrameReceiver>,
    /// Who is there, for people: where this side connected to, or where the peer came from.
    pub peer: Address,
    /// Whether both ends share memory.
    pub carriage: Carriage,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .field("carriage", &self.carriage)
            .finish_non_exhaustive()
    }
}

/// The way to a peer. Dropping it tells the peer no later than when the receiver is dropped too.
#[async_trait]
pub trait FrameSender: Send {
    /// Sends one batch, which arrives as it is: neither merged with another nor split. It is on its
    /// way when this returns. Waits while the peer takes nothing. After an error, or when the
    /// future was dropped, the connection is of no further use.
    ///
    /// # Errors
    /// When the link is dead, when the batch exceeds the limits for messages, or when it has
    /// objects and this transport shares no memory.
    async fn send(&mut self, frames: Frames) -> Result<(), TransportError>;

    /// Ends this direction: the peer receives everything that was sent, and then `None`.
    ///
    /// # Errors
    /// When the link is dead.
    async fn close(&mut self) -> Result<(), TransportError>;
}

/// The way back from a peer.
#[async_trait]
pub trait FrameReceiver: Send {
    /// The next batch, or `None` once the peer closed its direction between two batches. A peer
    /// whose process ended can look the same. Not cancel safe: when the future was dropped, the
    /// connection is of no further use.
    ///
    /// # Errors
    /// When the link is dead, or the peer broke a limit; the connection is of no further use.
    async fn receive(&mut self) -> Result<Option<Frames>, TransportError>;

    /// Sets what the peer may send from now on. A new connection starts with
    /// [`Limits::HANDSHAKE`]; a peer that was welcomed gets [`Limits::MESSAGES`]. Provided for
    /// doubles in tests: a transport that strangers can reach must hold them to these.
    fn set_limits(&mut self, limits: Limits) {
        let _ = limits;
    }
}
