//! The worker: runs tasks, holds their results and hands them to its peers.
//!
//! [`state::WorkerState`] decides everything: which task runs next, which results are fetched from
//! whom, what is kept. It has no clock, no sockets and no threads. [`Worker`] is the shell: it
//! talks to the scheduler and to peers, runs tasks on threads, and holds their results.
//!
//! Reading order: [`Config`], [`Worker`] and [`run_process`]; [`state`]; then the shell's `driver`,
//! `executor`, `serve` and `spill`.

pub mod state;

mod benchmark;
mod config;
mod driver;
mod encoder;
mod error;
mod executor;
mod locker;
mod log;
mod memory;
mod overflow;
#[cfg(target_os = "linux")]
mod own_stack;
mod plugins;
mod process;
mod question;
mod sample;
mod serve;
mod spill;
mod store;
mod worker;

pub use config::Config;
pub use error::Error;
pub use log::Log;
pub use process::run_process;
pub use worker::{Ended, Worker};
