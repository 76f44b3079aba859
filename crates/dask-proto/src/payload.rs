use std::any::Any;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{SmallBytes, codec};

/// A value, or the arguments of a task: opaque to the scheduler and to every state.
///
/// Encoded when it has crossed a process, a live object while it has not.
#[derive(Clone)]
pub enum Payload {
    /// The encoded value.
    Bytes(Bytes),
    /// The encoded value, when it is short: it has no memory of its own.
    Small(SmallBytes<{ Payload::SMALL_BYTES }>),
    /// The encoded value in two pieces. Boxed: only large values are.
    Split(Box<Split>),
    /// The value itself, by reference.
    Object(Arc<dyn Object>),
}

/// An encoded value in two pieces, one behind the other: a short head, and elements that lie in
/// memory as they are encoded. Neither end of a link copies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// At most [`MAX_HEAD_BYTES`](Self::MAX_HEAD_BYTES).
    pub head: Bytes,
    /// The rest.
    pub tail: Bytes,
}

impl Split {
    /// The longest head, in bytes.
    pub const MAX_HEAD_BYTES: usize = 64;

    /// Both pieces in one.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        [&self.head[..], &self.tail[..]].concat().into()
    }
}

/// A live value that can be encoded when it must leave the process.
pub trait Object: Any + Send + Sync {
    /// The value as [`Payload::Bytes`] or [`Payload::Split`].
    ///
    /// # Errors
    /// When the value's own `Serialize` fails.
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError>;

    /// Writes the same bytes piece by piece: a value that is moved to disk for want of memory
    /// should not take twice its size while that lasts.
    ///
    /// # Errors
    /// When the value's own `Serialize` fails, or `out` does, which then knows why.
    fn encode_to(&self, out: &mut dyn Write) -> Result<(), ValueError>;

    /// The size of the value in bytes, as the scheduler accounts for it.
    fn nbytes(&self) -> u64;

    /// The Rust name of the value's type.
    fn type_name(&self) -> &'static str;

    /// Whether the value stays in its process whatever happens: an actor. It cannot be encoded.
    fn is_bound(&self) -> bool {
        false
    }

    /// The value for a downcast to its type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A value could not be encoded, decoded, or was of another type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The value's `Serialize` failed.
    #[error("a value of type {type_name} could not be serialized: {reason}")]
    Encode {
        /// The type that was asked for.
        type_name: String,
        /// What `Serialize` said.
        reason: String,
    },
    /// The bytes are no value of this type.
    #[error("{bytes} bytes could not be deserialized as {type_name}: {reason}")]
    Decode {
        /// The type that was asked for.
        type_name: String,
        /// How many bytes there were.
        bytes: usize,
        /// What `Deserialize` said.
        reason: String,
    },
    /// The value in this process has another type than the one asked for.
    #[error("the value has type {found}, not {expected}")]
    Type {
        /// The type that was asked for.
        expected: String,
        /// The type that is there.
        found: String,
    },
}

impl Payload {
    /// The longest value that has no memory of its own, in bytes: payloads are no larger for it.
    pub const SMALL_BYTES: usize = 31;

    /// An encoded value, copied if it is short.
    #[must_use]
    #[inline]
    pub fn copied_if_small(bytes: &[u8], own: impl FnOnce() -> Bytes) -> Self {
        SmallBytes::new(bytes).map_or_else(|| Self::Bytes(own()), Self::Small)
    }

    /// An encoded value, out of a buffer that is empty then. Long ones share its memory.
    #[must_use]
    pub fn taken_from(buffer: &mut BytesMut) -> Self {
        let small = SmallBytes::new(buffer);
        if small.is_some() {
            buffer.clear();
        }
        small.map_or_else(|| Self::Bytes(buffer.split().freeze()), Self::Small)
    }

    /// The encoded value, if it is in one piece.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Small(bytes) => Some(bytes),
            Self::Split(_) | Self::Object(_) => None,
        }
    }

    /// The payload in a form that can leave the process: no object.
    ///
    /// # Errors
    /// When an object cannot be encoded.
    pub fn encoded(&self) -> Result<Self, ValueError> {
        match self {
            Self::Object(object) => object.clone().encode(),
            encoded => Ok(encoded.clone()),
        }
    }

    /// The payload as bytes in one piece, encoding it if it is an object.
    ///
    /// # Errors
    /// When the object cannot be encoded.
    pub fn to_bytes(&self) -> Result<Bytes, ValueError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Small(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            Self::Split(split) => Ok(split.joined()),
            Self::Object(object) => object.clone().encode()?.to_bytes(),
        }
    }

    /// Whether it is an encoded value, and no object.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        !matches!(self, Self::Object(_))
    }

    /// Whether it is a value that [stays](Object::is_bound) in its process.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        matches!(self, Self::Object(object) if object.is_bound())
    }

    /// The size of the value in bytes.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Small(bytes) => bytes.len() as u64,
            Self::Split(split) => (split.head.len() + split.tail.len()) as u64,
            Self::Object(object) => object.nbytes(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        SmallBytes::new(&bytes).map_or(Self::Bytes(bytes), Self::Small)
    }
}

/// A copy.
impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::copied_if_small(bytes, || Bytes::copy_from_slice(bytes))
    }
}

impl From<Split> for Payload {
    fn from(split: Split) -> Self {
        Self::Split(Box::new(split))
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

/// Equal bytes, or the same object: what is needed to compare messages.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b),
            (Self::Split(a), Self::Split(b)) => a == b,
            (a, b) => a.as_bytes().is_some() && a.as_bytes() == b.as_bytes(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(_) | Self::Small(_) | Self::Split(_) => {
                write!(f, "<{} bytes>", self.nbytes())
            }
            Self::Object(object) => write!(f, "<object: {}>", object.type_name()),
        }
    }
}

/// Inside a [batch](codec::encode) a payload is only a reference to one of the batch's frames;
/// anywhere else it is a byte string.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match codec::attach(self) {
            Some(Ok(reference)) => serializer.serialize_u64(reference),
            Some(Err(error)) => Err(serde::ser::Error::custom(error)),
            None => {
                let bytes = self.to_bytes().map_err(serde::ser::Error::custom)?;
                serializer.serialize_bytes(&bytes)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if codec::is_decoding() {
            let reference = u64::deserialize(deserializer)?;
            return codec::detach(reference).map_err(serde::de::Error::custom);
        }
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(bytes.into())
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Payload, E> {
                Ok(Bytes::from(bytes).into())
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_own_no_memory_and_make_payloads_no_larger() {
        let mut buffer = BytesMut::new();
        for length in [0, 1, Payload::SMALL_BYTES, Payload::SMALL_BYTES + 1] {
            buffer.extend_from_slice(&vec![7; length]);
            let payload = Payload::taken_from(&mut buffer);
            assert!(buffer.is_empty());
            assert_eq!(payload.as_bytes(), Some(&vec![7; length][..]));
            assert_eq!(matches!(payload, Payload::Small(_)), length <= Payload::SMALL_BYTES);
        }
        assert!(size_of::<Payload>() <= size_of::<Bytes>() + size_of::<usize>());
    }
}
