use std::path::PathBuf;

use dask_proto::Address;
use dask_transport::TransportError;

/// A scheduler cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody can listen there.
    #[error("the scheduler cannot listen at {address}")]
    Listen {
        /// The address that was asked for.
        address: Address,
        /// Why.
        source: TransportError,
    },
    /// The file for its recording cannot be written.
    #[error("the scheduler cannot record to {}", path.display())]
    Record {
        /// The file that was asked for.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no thread for its plugins.
    #[error("the scheduler cannot have a plugin")]
    Plugin(#[source] std::io::Error),
}
