//! Lists of numbers without a visit to each: the same bytes as the general format writes, at the
//! speed of memory. Arrays of numbers are most of what moves on a cluster.

use std::any::Any;
use std::io::{self, Write};

use bytes::{BufMut, BytesMut};

/// Appends the bytes of a list of numbers; `false` when the value is something else.
pub(crate) fn encode_into(out: &mut BytesMut, value: &dyn Any) -> bool {
    KINDS.iter().any(|kind| (kind.encode)(out, value))
}

/// Writes the bytes of a list of numbers; `None` when the value is something else.
pub(crate) fn encode_to(out: &mut dyn Write, value: &dyn Any) -> Option<io::Result<()>> {
    KINDS.iter().find_map(|kind| (kind.write)(out, value))
}

/// The encoded size in bytes; `None` when the value is no list of numbers.
pub(crate) fn nbytes(value: &dyn Any) -> Option<u64> {
    KINDS.iter().find_map(|kind| (kind.nbytes)(value))
}

/// Reads a list of numbers into `slot`, an empty `Option<T>`. It stays empty when `T` is something
/// else, or the bytes are not as many as they say, which the general format then reports.
pub(crate) fn decode_into(bytes: &[u8], slot: &mut dyn Any) {
    KINDS.iter().any(|kind| (kind.decode)(bytes, slot));
}

/// Numbers that are written at once.
const PIECE: usize = 8192;

struct Kind {
    encode: fn(&mut BytesMut, &dyn Any) -> bool,
    write: fn(&mut dyn Write, &dyn Any) -> Option<io::Result<()>>,
    nbytes: fn(&dyn Any) -> Option<u64>,
    decode: fn(&[u8], &mut dyn Any) -> bool,
}

macro_rules! kinds {
    ($($number:ty)*) => {
        const KINDS: &[Kind] = &[$(Kind {
            encode: |out, value| {
                let Some(list) = value.downcast_ref::<Vec<$number>>() else { return false };
                const SIZE: usize = size_of::<$number>();
                out.reserve(8 + SIZE * list.len());
                out.put_u64_le(list.len() as u64);
                let start = out.len();
                out.resize(start + SIZE * list.len(), 0);
                let places = out[start..].as_chunks_mut::<SIZE>().0;
                for (place, number) in places.iter_mut().zip(list) {
                    *place = number.to_le_bytes();
                }
                true
            },
            write: |out, value| {
                let list = value.downcast_ref::<Vec<$number>>()?;
                const SIZE: usize = size_of::<$number>();
                let mut piece = vec![0; SIZE * PIECE.min(list.len())];
                let mut written = out.write_all(&(list.len() as u64).to_le_bytes());
                for numbers in list.chunks(PIECE) {
                    let places = piece.as_chunks_mut::<SIZE>().0;
                    for (place, number) in places.iter_mut().zip(numbers) {
                        *place = number.to_le_bytes();
                    }
                    written = written.and_then(|()| out.write_all(&piece[..SIZE * numbers.len()]));
                    if written.is_err() {
                        break;
                    }
                }
                Some(written)
            },
            nbytes: |value| {
                let list = value.downcast_ref::<Vec<$number>>()?;
                Some(8 + size_of_val(list.as_slice()) as u64)
            },
            decode: |bytes, slot| {
                let Some(slot) = slot.downcast_mut::<Option<Vec<$number>>>() else { return false };
                const SIZE: usize = size_of::<$number>();
                let Some((length, numbers)) = bytes.split_first_chunk::<8>() else { return false };
                let (numbers, rest) = numbers.as_chunks::<SIZE>();
                if !rest.is_empty() || u64::from_le_bytes(*length) != numbers.len() as u64 {
                    return false;
                }
                *slot = Some(numbers.iter().map(|n| <$number>::from_le_bytes(*n)).collect());
                true
            },
        }),*];
    };
}

kinds! { u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 }

#[cfg(test)]
mod tests {
    use bincode::Options;

    use super::*;
    use crate::{Value, decode, encode};

    fn same<T: Value + PartialEq + std::fmt::Debug>(value: Vec<T>) {
        let general = bincode::DefaultOptions::new().with_fixint_encoding();
        let bytes = encode(&value).expect("it encodes");
        assert_eq!(general.serialize(&value).expect("it encodes"), bytes);
        assert_eq!(crate::nbytes(&value), bytes.len() as u64);
        assert_eq!(decode::<Vec<T>>(&bytes), Ok(value));
        assert!(decode::<Vec<T>>(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode::<Vec<T>>(&[bytes.as_ref(), &[0]].concat()).is_err());
    }

    #[test]
    fn numbers_in_bulk_are_the_bytes_of_the_general_format() {
        same(vec![0_u8, 1, 255]);
        same(vec![-1_i16, 2]);
        same(vec![1.5_f32, f32::MAX, -0.0]);
        same(vec![1.5_f64, f64::INFINITY]);
        same(vec![i64::MIN, 7]);
        same(Vec::<u32>::new());
    }

    #[test]
    fn other_lists_are_left_to_the_general_format() {
        let mut out = BytesMut::new();
        assert!(!encode_into(&mut out, &vec!["text".to_owned()]));
        assert!(out.is_empty() && nbytes(&5_u8).is_none());
        same(vec![Some(1_u8), None]);
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_allocates_nothing() {
        let lie = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<f64>>(&lie).is_err());
    }
}
