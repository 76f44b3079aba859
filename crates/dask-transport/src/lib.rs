//! Moves frames between peers: the transport traits, TCP and in-process.
//!
//! A [`Transport`] makes [`Connection`]s, which move [`Frames`](dask_proto::Frames): whole batches,
//! in order, or an error. The address's scheme chooses the transport from a [`Transports`] set that
//! is handed in. Above that, [`connect`], [`receive_hello`] and [`send_welcome`] exchange the first
//! two batches, and [`channel`] turns a connection into typed messages.
//!
//! A transport of one's own is three small traits. The contract that they must keep is written at
//! each method, and the workspace's `support` crate has a test that holds a transport to it.
//!
//! ```
//! use async_trait::async_trait;
//! use dask_proto::Address;
//! use dask_transport::{Connection, Inproc, Listener, Transport, TransportError, Transports};
//!
//! /// Counts nothing yet, but sees every connection.
//! struct Watched(Inproc);
//!
//! #[async_trait]
//! impl Transport for Watched {
//!     fn scheme(&self) -> &str {
//!         "inproc"
//!     }
//!     async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
//!         println!("connecting to {address}");
//!         self.0.connect(address).await
//!     }
//!     async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
//!         self.0.listen(address).await
//!     }
//! }
//!
//! let transports = Transports::default().with(Watched(Inproc));
//! assert!(transports.get("inproc").is_some() && transports.get("tcp").is_some());
//! ```

mod busy_poll;
mod channel;
mod contract;
mod error;
mod freed_memory;
mod handshake;
mod huge_pages;
mod inproc;
mod local_address;
mod peer;
mod reactor;
mod tcp;
mod transports;

pub use busy_poll::BusyPoll;
pub use channel::{ChannelError, Inbox, Outbox, OutboxClosed, channel};
pub use contract::{Connection, FrameReceiver, FrameSender, Listener, Transport};
pub use error::TransportError;
pub use freed_memory::keep_freed_memory;
pub use handshake::{ConnectError, connect, connect_once, receive_hello, send_welcome};
pub use inproc::Inproc;
pub use local_address::{contact_address, local_address};
pub use peer::{PeerError, Peers};
pub use reactor::Reactor;
pub use tcp::Tcp;
pub use transports::Transports;
