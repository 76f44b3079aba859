//! The scheduler: a pure state and the shell that connects it to the network.
//!
//! [`state::SchedulerState`] decides everything: which task runs where, what is kept, what is
//! computed again. It takes events and appends instructions; it has no clock, no sockets and no
//! threads, so the same events always give the same instructions. [`Scheduler`] is the shell: it
//! listens, turns connections into events, and carries the instructions out.
//!
//! Reading order: [`Config`], then [`state`] (its events, its instructions, the table of
//! transitions), then [`Scheduler`]; [`record`] is for those who hunt a defect.

pub mod record;
pub mod state;

mod config;
mod error;
mod plugins;
mod relay;
mod scheduler;
mod serve;
mod session;

pub use config::{Config, WorkStealing};
pub use error::Error;
pub use scheduler::Scheduler;
