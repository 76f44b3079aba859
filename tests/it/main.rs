//! Integration tests: behaviour over every transport.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

#[macro_use]
mod every_transport;

mod actor;
#[cfg(target_os = "linux")]
mod agent;
mod blocking;
#[cfg(target_os = "linux")]
mod busy_poll;
mod cancel;
mod carried;
mod child;
mod contract;
mod coordination;
mod copies;
mod delayed;
mod dump;
mod executor;
mod failure;
mod faults;
mod flights;
mod gather;
mod hostile;
mod info;
mod inspect;
mod lifetime;
mod memory;
mod mock;
mod optimize;
mod option;
mod own_transport;
mod plugin;
mod profile;
mod purity;
mod recording;
mod restart;
mod run;
mod running;
mod scale;
mod scatter;
mod session;
mod shared;
mod stealing;
mod stream;
mod submit;
mod transport;
mod upload;
mod wait;
