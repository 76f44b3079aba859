//! How recordings end, which is their last entry.

use serde::{Deserialize, Serialize};

/// How a recording ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ending {
    /// With its scheduler.
    Finished,
    /// Before its scheduler, which goes on.
    Stopped(Stop),
    /// In the middle: its scheduler was killed, the disk was full, or the file was cut.
    Missing,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Finished => f.write_str("it is complete"),
            Self::Stopped(stop) => write!(f, "it was stopped early: {stop}"),
            Self::Missing => f.write_str(
                "its end is missing: the scheduler was killed, the disk was full, or the file was \
                 cut",
            ),
        }
    }
}

/// Why a recording ends before its scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// A peer in the same process sent a value by reference.
    #[error(
        "a peer in the scheduler's own process sent a live object, which has no bytes to record"
    )]
    LiveObject,
    /// Something could not be encoded.
    #[error("an event or an instruction could not be encoded")]
    Encoding,
    /// The file could not take what happened as fast as it happened.
    #[error("the disk was too slow to keep up")]
    TooSlow,
    /// The scheduler panicked: the last event may be why.
    #[error("the scheduler panicked")]
    Panic,
}
