//! Integration tests: behaviour over every transport.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

#[macro_use]
mod every_transport;

mod cancel;
mod child;
mod delayed;
mod failure;
mod faults;
mod gather;
mod hostile;
mod lifetime;
mod option;
mod process;
mod purity;
mod scatter;
mod session;
mod submit;
mod transport;
mod wait;
