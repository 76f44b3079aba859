//! The bodies of the fuzz targets: those that dask-proto's own tests run on random input.

use dask_proto::message::{AgentToScheduler, ClientToScheduler, PeerRequest, WorkerToScheduler};

#[path = "../../crates/dask-proto/tests/it/anything.rs"]
mod anything;

/// A client's messages, as the scheduler decodes them.
pub fn client_to_scheduler(data: &[u8]) {
    anything::messages::<ClientToScheduler>(data);
}

/// A worker's messages, as the scheduler decodes them.
pub fn worker_to_scheduler(data: &[u8]) {
    anything::messages::<WorkerToScheduler>(data);
}

/// An agent's messages, as the scheduler decodes them.
pub fn agent_to_scheduler(data: &[u8]) {
    anything::messages::<AgentToScheduler>(data);
}

/// A peer's requests, as a worker decodes them.
pub fn peer_request(data: &[u8]) {
    anything::messages::<PeerRequest>(data);
}

/// A stranger's stream.
pub fn wire(data: &[u8]) {
    anything::stream(data);
}

/// A stranger's hello or welcome.
pub fn handshake(data: &[u8]) {
    anything::handshake(data);
}
