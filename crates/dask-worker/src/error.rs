use std::io;

use dask_proto::{Address, ParseAddressError};
use dask_task::registry::RegistryError;
use dask_transport::{ConnectError, TransportError};

/// A worker could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scheduler could not be reached, or does not want the worker.
    #[error("the worker could not join its scheduler")]
    Join(#[source] ConnectError),
    /// The scheduler answered with a welcome for something else than a worker.
    #[error("{scheduler} did not welcome the worker as one: it is no scheduler")]
    NoScheduler {
        /// What was taken for the scheduler.
        scheduler: Address,
    },
    /// There is no local address from which the scheduler is reached.
    #[error("no local address reaches the scheduler at {scheduler}: set one to listen at")]
    NoRoute {
        /// The scheduler.
        scheduler: Address,
        /// Why not.
        source: io::Error,
    },
    /// The address to listen at is none.
    #[error("the worker has no address to listen at")]
    Address(#[from] ParseAddressError),
    /// The host at which others are to reach it makes no address.
    #[error("the contact host makes no address")]
    ContactHost(#[source] ParseAddressError),
    /// The worker cannot listen.
    #[error("the worker cannot listen at {address}")]
    Listen {
        /// Where.
        address: Address,
        /// Why not.
        source: TransportError,
    },
    /// The threads for tasks could not be started.
    #[error("the threads for tasks could not be started")]
    Threads(#[source] io::Error),
    /// There is no place for results that do not fit in memory.
    #[error("the directory for results that do not fit in memory could not be made")]
    LocalDirectory(#[source] io::Error),
    /// Stack overflows cannot be reported as the configuration asks.
    #[error("the handler for stack overflows could not be installed")]
    Handler(#[source] io::Error),
    /// The program's task functions are not there.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The connection to the scheduler ended without a farewell.
    #[error("the worker lost its scheduler at {scheduler}: the connection ended")]
    SchedulerLost {
        /// The scheduler.
        scheduler: Address,
    },
}
