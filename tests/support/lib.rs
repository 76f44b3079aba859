//! What the tests of every crate share.

mod transport;

pub use transport::transport_contract;
