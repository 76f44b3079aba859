//! Integration tests: behaviour over every transport.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

#[macro_use]
mod every_transport;

mod cancel;
mod child;
mod failure;
mod faults;
mod hostile;
mod process;
mod lifetime;
mod option;
mod purity;
mod session;
mod submit;
mod transport;
