//! Whole clusters in one thread: the real states of clients, scheduler and workers, with network,
//! threads and time that are simulated. One seed draws everything, so a seed that fails fails
//! again: `cargo xtask sim --seed S --seeds 1 --verbose` shows all that happened.
//!
//! While it is wild, things go wrong, and after every event the invariants of the states and those
//! of the cluster hold. Then the faults stop: every key that is wanted comes to the value that a
//! sequential evaluation of the graph gives, or to an error that a fault explains; and when nobody
//! wants anything any more, nothing is left.

mod book;
mod call;
mod check;
mod client;
mod desk;
mod dice;
mod invariant;
mod leaving;
mod ledger;
mod link;
mod load;
mod lock;
mod memo;
mod memory;
mod process;
mod sim;
mod thread;
mod trace;
mod user;
mod watch;
mod weather;

mod run;
