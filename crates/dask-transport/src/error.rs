use std::io;

use dask_proto::Address;
use dask_proto::wire::WireError;

/// A transport could not do what it was asked, or a link is dead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No transport has this scheme.
    #[error("no transport for {address}: this program has {}", known.join(", "))]
    UnknownScheme {
        /// The address.
        address: Address,
        /// The schemes that there are.
        known: Vec<String>,
    },
    /// The address is none of this transport's.
    #[error("{address} is no address for {expected}")]
    Address {
        /// The address.
        address: Address,
        /// What it should look like.
        expected: &'static str,
    },
    /// Nobody was reached at the address.
    #[error("could not connect to {address}")]
    Connect {
        /// The address.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The address cannot be listened at.
    #[error("could not listen at {address}")]
    Listen {
        /// The address.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The link broke.
    #[error("the link to {peer} broke")]
    Broken {
        /// The peer.
        peer: Address,
        /// What the system said.
        source: io::Error,
    },
    /// A batch breaks the rules of the link.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer is gone, or this direction was closed before.
    #[error("the link is closed")]
    Closed,
    /// Objects were to pass by reference to a peer that shares no memory.
    #[error("{objects} objects cannot leave the process by reference")]
    Objects {
        /// How many.
        objects: usize,
    },
    /// A transport of the user's own failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}
