//! What crosses a link: golden bytes, round trips, and bytes that nobody should send.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

mod allocation;
mod anything;
mod golden;
mod hostile;
mod round_trip;
mod sample;
