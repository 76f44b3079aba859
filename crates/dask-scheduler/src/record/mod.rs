//! What happened to a scheduler, in a file, and the same again from it.
//!
//! The state is deterministic, so its events are all that a defect needs to be seen again, on
//! another machine and under a debugger. A recording has every event with its moment, and of every
//! instruction at least a digest, so that a replay knows whether it is one.
//!
//! Reading order: [`Recording`] (what a file has), [`Replay`], then `recorder`, which writes files
//! while a scheduler runs, and `file`, the format.
//!
//! A recording holds what clients and workers sent, arguments and small results among it: it is as
//! confidential as they are.

mod difference;
mod digest;
mod ending;
mod file;
mod recorder;
mod recording;
mod replay;
#[cfg(test)]
mod tests;

pub use difference::Difference;
pub use digest::Digest;
pub use ending::{Ending, Stop};
pub use file::{Header, ReadError};
pub use recorder::Detail;
pub(crate) use recorder::Recorder;
pub use recording::{Outcome, Recorded, Recording};
pub use replay::Replay;
