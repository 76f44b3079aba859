use std::io;
use std::path::PathBuf;
use std::time::Duration;

use dask_program::ReceiveError;
use dask_proto::Address;
use dask_proto::program::ProgramId;
use dask_transport::{ConnectError, TransportError};

/// Why an agent could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not know which interface to listen on.
    #[error("there is no way to the scheduler {scheduler}: check the address and the network")]
    NoRoute {
        /// The scheduler.
        scheduler: Address,
        /// Why.
        source: io::Error,
    },
    /// It cannot listen for other agents.
    #[error("cannot listen at {address}: is it an address of this host?")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: TransportError,
    },
    /// The host makes no address.
    #[error("{host:?} makes no address")]
    Host {
        /// The host.
        host: String,
        /// Why.
        source: dask_proto::ParseAddressError,
    },
    /// The scheduler did not want it.
    #[error("cannot join the scheduler")]
    Join(#[source] ConnectError),
    /// Something answers that is no scheduler.
    #[error("{0} answers, and is no scheduler")]
    NoScheduler(Address),
    /// No scheduler was there for too long.
    #[error("the scheduler {scheduler} was not there for {timeout:?} (--death-timeout)")]
    DeathTimeout {
        /// The scheduler.
        scheduler: Address,
        /// For how long it was waited for.
        timeout: Duration,
        /// Why the last attempt failed.
        source: ConnectError,
    },
}

/// A program could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory cannot be used.
    #[error("cannot use the directory {}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program that is to be there from the beginning cannot be read.
    #[error("cannot read the program {}", path.display())]
    Installed {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not in the cache, and nobody was said to have it.
    #[error("it is not in the cache {}", directory.display())]
    Missing {
        /// The cache.
        directory: PathBuf,
    },
    /// What is in the cache under its name is something else.
    #[error("what is in the cache as {wanted} has changed since it was put there; it was removed")]
    Damaged {
        /// What it was.
        wanted: ProgramId,
    },
    /// A program that was installed is another now.
    #[error(
        "{} is not {wanted} any more, which it was when the agent started (--program): start the \
         agent anew",
        path.display()
    )]
    Replaced {
        /// Its file.
        path: PathBuf,
        /// What it was.
        wanted: ProgramId,
    },
    /// It is larger than the cache.
    #[error("its {bytes} bytes are more than the cache may hold, {limit} (--program-cache-size)")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// That of the cache.
        limit: u64,
    },
    /// It is not allowed.
    #[error("none of the tokens that this host allows vouches for it (--allow-token-file)")]
    Token,
    /// Whoever has it was not reached.
    #[error("whoever has it was not reached")]
    Connect(#[from] ConnectError),
    /// It did not arrive as it should.
    #[error("it did not arrive")]
    Receive(#[from] ReceiveError),
}
