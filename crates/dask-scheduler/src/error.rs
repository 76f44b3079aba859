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
}
