//! Everything that a transport of one's own needs.
//!
//! Implement [`Transport`], [`Listener`], [`FrameSender`] and [`FrameReceiver`], then hand the
//! transport to [`Client::builder`](crate::Client::builder) and to
//! [`LocalCluster::builder`](crate::LocalCluster::builder), or to the `Transports` of a scheduler
//! and a worker. The scheme of an address picks the transport.

pub use async_trait::async_trait;
pub use bytes::{Bytes, BytesMut};
pub use dask_proto::codec::Carriage;
pub use dask_proto::{Address, Frames};
pub use dask_transport::{
    Connection, FrameReceiver, FrameSender, Inproc, Listener, Tcp, Transport, TransportError,
    Transports,
};
