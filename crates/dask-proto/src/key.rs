use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_KEY_BYTES;

/// The name of a task and of its result, unique on the cluster.
///
/// An arbitrary string, as in Dask; the keys that a client makes are `"<function name>-<32 hex
/// digits>"`. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// A key is longer than [`MAX_KEY_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of {bytes} bytes is over the limit of {MAX_KEY_BYTES} bytes")]
pub struct KeyTooLong {
    /// The length of the rejected key in bytes.
    pub bytes: usize,
}

impl Key {
    /// The key with this name.
    ///
    /// # Errors
    /// When the name is longer than [`MAX_KEY_BYTES`].
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, KeyTooLong> {
        let name = name.into();
        if name.len() > MAX_KEY_BYTES {
            Err(KeyTooLong { bytes: name.len() })
        } else {
            Ok(Self(name))
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyTooLong;

    fn try_from(name: &str) -> Result<Self, KeyTooLong> {
        Self::new(name)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyTooLong;

    fn try_from(name: String) -> Result<Self, KeyTooLong> {
        Self::new(name)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a key of at most {MAX_KEY_BYTES} bytes")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
                Key::new(name).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_over_the_limit_is_refused() {
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        assert_eq!(Key::new(long), Err(KeyTooLong { bytes: MAX_KEY_BYTES + 1 }));
        assert!(Key::new("k".repeat(MAX_KEY_BYTES)).is_ok());
    }
}
