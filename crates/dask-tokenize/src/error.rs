//! Why a value has no token.

use std::fmt::Display;

use serde::ser;

/// A value could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizeError {
    /// The value's own `Serialize` implementation refused, for this reason.
    #[error("cannot tokenize the value: {message}")]
    Custom {
        /// What the implementation said.
        message: String,
    },
    /// Values are nested in one another more deeply than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("cannot tokenize the value: it is nested more than {limit} levels deep")]
    TooDeep {
        /// The number of levels that are allowed.
        limit: u32,
    },
    /// A `Serialize` implementation did not give the keys and values of a map in turns.
    #[error("cannot tokenize the value: a map's keys and values do not alternate")]
    MapOutOfStep,
    /// A `Serialize` implementation hid the error of a map that it could not finish.
    #[error("cannot tokenize the value: a map was left unfinished")]
    UnfinishedMap,
}

impl ser::Error for TokenizeError {
    fn custom<T: Display>(message: T) -> Self {
        TokenizeError::Custom { message: message.to_string() }
    }
}
