//! The host agent (Dask's nanny): it offers the cores and the memory of a host, and knows no user
//! code.
//!
//! The scheduler tells it which programs to run ([`SchedulerToAgent`]). It fetches a program from
//! where it is told, keeps it in a [`Cache`] on disk, and starts its workers: processes of the
//! program in its worker role, each watched, started again when it dies, and killed when it takes
//! too much memory. Other agents fetch from here what is in the cache. Several programs can run at
//! the same time: each has as many workers and threads as the agent offers, and the system shares
//! the cores among those that have something to do.
//!
//! Reading order: [`Config`], [`Agent`] (the connection to the scheduler), `program` (what runs
//! here, and the life of one program), `slot` (the life of one worker), [`Cache`]; all of them
//! share `host`.
//!
//! [`SchedulerToAgent`]: dask_proto::message::SchedulerToAgent

mod agent;
mod cache;
mod config;
mod error;
mod fetch;
mod host;
mod memory;
mod ports;
mod program;
mod serve;
mod slot;

pub use dask_program::{Tokens, TokensError};

pub use agent::{Agent, Ended};
pub use cache::Cache;
pub use config::{Config, Lifetime, Nanny};
pub use error::{CacheError, Error};
