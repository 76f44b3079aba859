//! What the tests of every crate share.

pub mod fault_tasks;
pub mod gate;
mod transport;

pub use transport::transport_contract;
