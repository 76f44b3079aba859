//! What the tests of every crate share.

pub mod actor_tasks;
pub mod cluster;
pub mod coordination_tasks;
#[path = "../../crates/dask-client/examples/transport/counting.rs"]
pub mod counting;
pub mod fault_tasks;
pub mod flights;
pub mod gate;
pub mod memory_tasks;
pub mod network;
pub mod plugins;
pub mod run_tasks;
pub mod running_tasks;
pub mod stage;
pub mod tally;
pub mod tasks;
mod transport;
pub mod travel_tasks;

pub use transport::transport_contract;
