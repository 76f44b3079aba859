//! Lists of numbers, and text, without a visit to each element: the same bytes as the general
//! format writes, at the speed of memory, and without a copy where they lie in memory as they are
//! written. Arrays of numbers are most of what moves on a cluster.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use dask_proto::Split;

/// A list of numbers, or text, as it is encoded: behind its length.
pub(crate) struct Elements<'a> {
    pub(crate) length: u64,
    pub(crate) bytes: &'a [u8],
}

/// The elements of a list of numbers, or the bytes of text; `None` when the value is something
/// else, or this machine writes numbers in another order than the format.
pub(crate) fn elements(value: &dyn Any) -> Option<Elements<'_>> {
    if cfg!(target_endian = "big") {
        return None;
    }
    KINDS.iter().find_map(|kind| (kind.elements)(value))
}

/// Reads a list of numbers, or text, into `slot`, an empty `Option<T>`. It stays empty when `T` is
/// something else, or the bytes are not as many as they say or no text, which the general format
/// then reports.
pub(crate) fn decode_into(bytes: &[u8], slot: &mut dyn Any) {
    if let Some((length, elements)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length);
        KINDS.iter().any(|kind| (kind.decode)(length, elements, slot));
    }
}

/// The same for elements that are apart from their length. Bytes that nobody else holds become the
/// list of bytes, or the text, as they are; all others are given back.
pub(crate) fn decode_split_into(head: &[u8], tail: Bytes, slot: &mut dyn Any) -> Bytes {
    let Ok(length) = head.try_into().map(u64::from_le_bytes) else { return tail };
    if length == tail.len() as u64 {
        if let Some(slot) = slot.downcast_mut::<Option<Vec<u8>>>() {
            *slot = Some(Vec::from(tail));
            return Bytes::new();
        }
        if let Some(slot) = slot.downcast_mut::<Option<String>>() {
            let text = String::from_utf8(Vec::from(tail));
            return text.map_or_else(
                |error| Bytes::from(error.into_bytes()),
                |text| {
                    *slot = Some(text);
                    Bytes::new()
                },
            );
        }
    }
    KINDS.iter().any(|kind| (kind.decode)(length, &tail, slot));
    tail
}

/// Bytes that are the elements of a list.
pub(crate) trait Lend<T>: std::fmt::Debug + Send + Sync {
    /// The elements.
    fn elements(&self) -> &[T];
}

/// Bytes that were checked to be numbers of this type, in the order and at a place for them.
#[derive(Debug)]
struct Numbers<N>(Bytes, PhantomData<N>);

impl<N: bytemuck::Pod + std::fmt::Debug + Send + Sync> Lend<N> for Numbers<N> {
    fn elements(&self) -> &[N] {
        bytemuck::cast_slice(&self.0)
    }
}

/// The elements of an encoded list of numbers, where they lie; `None` when they would have to be
/// decoded.
pub(crate) fn lend<T: 'static>(split: &Split) -> Option<Arc<dyn Lend<T>>> {
    let length = split.head[..].try_into().ok().map(u64::from_le_bytes)?;
    let mut slot: Option<Arc<dyn Lend<T>>> = None;
    if cfg!(target_endian = "little") {
        KINDS.iter().any(|kind| (kind.lend)(length, &split.tail, &mut slot));
    }
    slot
}

struct Kind {
    lend: fn(u64, &Bytes, &mut dyn Any) -> bool,
    elements: fn(&dyn Any) -> Option<Elements<'_>>,
    decode: fn(u64, &[u8], &mut dyn Any) -> bool,
}

macro_rules! kinds {
    ($($number:ty)*) => {
        const KINDS: &[Kind] = &[$(Kind {
            lend: |length, bytes, slot| {
                let slot = slot.downcast_mut::<Option<Arc<dyn Lend<$number>>>>();
                let numbers = bytemuck::try_cast_slice::<u8, $number>(bytes);
                match (slot, numbers) {
                    (Some(slot), Ok(numbers)) if numbers.len() as u64 == length => {
                        *slot = Some(Arc::new(Numbers(bytes.clone(), PhantomData)));
                        true
                    }
                    _ => false,
                }
            },
            elements: |value| {
                let list = value.downcast_ref::<Vec<$number>>()?;
                let bytes = bytemuck::cast_slice(list);
                Some(Elements { length: list.len() as u64, bytes })
            },
            decode: |length, bytes, slot| {
                let Some(slot) = slot.downcast_mut::<Option<Vec<$number>>>() else { return false };
                let (numbers, rest) = bytes.as_chunks::<{ size_of::<$number>() }>();
                if !rest.is_empty() || length != numbers.len() as u64 {
                    return false;
                }
                *slot = Some(numbers.iter().map(|n| <$number>::from_le_bytes(*n)).collect());
                true
            },
        },)* TEXT];
    };
}

/// Encoded like the list of its bytes.
const TEXT: Kind = Kind {
    lend: |_, _, _| false,
    elements: |value| {
        let bytes = value.downcast_ref::<String>()?.as_bytes();
        Some(Elements { length: bytes.len() as u64, bytes })
    },
    decode: |length, bytes, slot| {
        let Some(slot) = slot.downcast_mut::<Option<String>>() else { return false };
        if length == bytes.len() as u64 {
            *slot = std::str::from_utf8(bytes).ok().map(str::to_owned);
        }
        slot.is_some()
    },
};

kinds! { u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 }

#[cfg(test)]
mod tests {
    use bincode::Options;
    use dask_proto::Payload;

    use super::*;
    use crate::value::take;
    use crate::{Value, decode, encode, live};

    fn same<T: Value + PartialEq + std::fmt::Debug>(value: T) {
        let general = bincode::DefaultOptions::new().with_fixint_encoding();
        let bytes = encode(&value).expect("it encodes");
        assert_eq!(general.serialize(&value).expect("it encodes"), bytes);
        assert_eq!(crate::nbytes(&value), bytes.len() as u64);
        assert_eq!(decode::<T>(&bytes), Ok(value));
        assert!(decode::<T>(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode::<T>(&[bytes.as_ref(), &[0]].concat()).is_err());
        let (head, tail) = (bytes.slice(..8), bytes.slice(8..));
        let split = |head: &Bytes, tail: &Bytes| {
            take::<T>(Split { head: head.clone(), tail: tail.clone() }.into())
        };
        assert_eq!(split(&head, &tail), decode::<T>(&bytes));
        assert!(split(&head.slice(1..), &tail).is_err());
        assert!(split(&head, &[tail.as_ref(), &[0]].concat().into()).is_err());
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
    fn text_is_the_bytes_of_the_general_format_and_only_text() {
        same("grüße".to_owned());
        same(String::new());
        let no_text = Split { head: vec![1, 0, 0, 0, 0, 0, 0, 0].into(), tail: vec![0xff].into() };
        assert!(decode::<String>(&no_text.joined()).is_err());
        assert!(take::<String>(no_text.into()).is_err());
    }

    #[test]
    fn other_lists_are_left_to_the_general_format() {
        assert!(elements(&vec!["text".to_owned()]).is_none() && elements(&5_u8).is_none());
        same(vec![Some(1_u8), None]);
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_allocates_nothing() {
        let lie = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<f64>>(&lie).is_err());
    }

    #[test]
    fn a_long_list_leaves_and_arrives_without_a_copy() {
        let list: Vec<u8> = (0..100_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let place = list.as_ptr();
        let encoded = live(list.clone()).encoded().expect("it encodes");
        assert_eq!(take::<Vec<u8>>(encoded), Ok(list.clone()));
        let Ok(Payload::Split(split)) = live(list).encoded() else {
            panic!("a long list is lent, not copied")
        };
        assert_eq!(split.tail.as_ptr(), place);
        let arrived = Bytes::from(split.tail.to_vec());
        let place = arrived.as_ptr();
        let taken =
            take::<Vec<u8>>(Split { head: split.head, tail: arrived }.into()).expect("a list");
        assert_eq!(taken.as_ptr(), place);
    }

    #[test]
    fn a_long_text_leaves_and_arrives_without_a_copy() {
        let text = "0123456789".repeat(10_000);
        let place = text.as_ptr();
        let Ok(Payload::Split(split)) = live(text).encoded() else {
            panic!("a long text is lent, not copied")
        };
        assert_eq!(split.tail.as_ptr(), place);
        let arrived = Bytes::from(split.tail.to_vec());
        let place = arrived.as_ptr();
        let taken = take::<String>(Split { head: split.head, tail: arrived }.into());
        let taken = taken.expect("a text");
        assert_eq!(taken.as_ptr(), place);
    }

    #[test]
    fn a_list_is_lent_where_it_lies_and_only_as_what_it_is() {
        let list: Vec<f64> = (0..10_000).map(f64::from).collect();
        let Ok(Payload::Split(split)) = live(list.clone()).encoded() else {
            panic!("a long list is lent, not copied")
        };
        let lent = lend::<f64>(&split).expect("its bytes are its elements");
        assert_eq!(lent.elements(), list);
        assert_eq!(lent.elements().as_ptr().cast(), split.tail.as_ptr());
        assert!(lend::<u8>(&split).is_none() && lend::<String>(&split).is_none());
        let crooked = Bytes::from([&[0][..], &split.tail].concat()).slice(1..);
        let crooked = Split { head: split.head.clone(), tail: crooked };
        if crooked.tail.as_ptr().align_offset(align_of::<f64>()) != 0 {
            assert!(lend::<f64>(&crooked).is_none());
        }
        assert_eq!(take::<Vec<f64>>(crooked.into()), Ok(list));
    }
}
