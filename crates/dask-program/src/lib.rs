//! Executables that travel: which one it is, how it gets from one host to another, and how it runs
//! there as a worker.
//!
//! A program is known by the SHA-256 of its file ([`identify`]). It moves over a connection of its
//! own ([`send`], [`receive`]), in pieces that are compressed each by itself where that makes them
//! shorter, and by code that is not optimized only while it waits for the network: reading,
//! compressing and hashing happen on a thread beside the runtime, and no more than a few pieces are
//! in memory. What arrives counts only once it has the hash that was asked for.
//!
//! Where agents ask for a [`Token`], a client shows that it knows one by a hash of its program with
//! that key.
//!
//! With the feature `process`, a [`WorkerProcess`] is a program in its worker role, for whoever
//! starts workers: an agent, or a local cluster.
//!
//! Debug sections travel too: without them the backtraces of tasks would have no lines.

#[cfg(feature = "process")]
pub mod back_off;

mod identify;
#[cfg(feature = "process")]
mod process;
mod receive;
mod send;
mod token;

pub use identify::{identify, this_program};
#[cfg(feature = "process")]
pub use process::{Death, End, Prints, WorkerProcess, WorkerSetup};
pub use receive::{ReceiveError, receive};
pub use send::{SendError, send};
pub use token::{Token, Tokens, TokensError};

/// Pieces that wait between the connection and the thread that reads or writes the file.
const PIECES_AHEAD: usize = 2;

/// Bytes before a piece: its length once it is decompressed.
const LENGTH_BYTES: usize = 4;
