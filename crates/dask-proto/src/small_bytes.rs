use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Up to `N` bytes that lie in place, `N` below 256: a number, a word. To copy them costs less than
/// to count who refers to them.
#[derive(Clone, Copy)]
pub struct SmallBytes<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> SmallBytes<N> {
    /// These bytes, if they are few enough.
    #[must_use]
    #[inline]
    pub fn new(given: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..given.len())?.copy_from_slice(given);
        let length = u8::try_from(given.len()).ok()?;
        Some(Self { bytes, length })
    }
}

impl<const N: usize> Deref for SmallBytes<N> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl<const N: usize> PartialEq for SmallBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for SmallBytes<N> {}

impl<const N: usize> fmt::Debug for SmallBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.len())
    }
}

impl<const N: usize> Serialize for SmallBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for SmallBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const N: usize>;
        impl<const N: usize> serde::de::Visitor<'_> for Visitor<N> {
            type Value = SmallBytes<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {N} bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                SmallBytes::new(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_kept_as_it_is() {
        for length in [0, 1, 14] {
            let small = SmallBytes::<14>::new(&vec![7; length]).expect("it is short");
            assert_eq!(*small, vec![7; length]);
            let encoded = bincode::serialize(&small).expect("bytes can be written");
            assert_eq!(bincode::deserialize::<SmallBytes<14>>(&encoded).ok(), Some(small));
        }
    }

    #[test]
    fn what_is_long_is_refused() {
        assert_eq!(SmallBytes::<14>::new(&[7; 15]), None);
        let long = SmallBytes::<15>::new(&[7; 15]).expect("it is short");
        let encoded = bincode::serialize(&long).expect("bytes can be written");
        let error = bincode::deserialize::<SmallBytes<14>>(&encoded).expect_err("it is too long");
        assert!(error.to_string().contains("at most 14 bytes"), "{error}");
    }
}
