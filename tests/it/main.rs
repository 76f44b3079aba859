//! Integration tests: behaviour over every transport.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

mod transport;
