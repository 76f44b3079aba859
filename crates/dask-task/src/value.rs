use std::any::{Any, type_name};
use std::io::Write;
use std::sync::Arc;

use bincode::Options;
use bytes::{BufMut, Bytes, BytesMut};
use dask_proto::{Object, Payload, Split, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bulk::{self, Elements};

/// What can be an argument or a result: anything that serde can write and read back.
///
/// Implemented for every type that qualifies. Types borrow nothing, since a value outlives the
/// call that made it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument or a result of a task",
    label = "a value of tasks is `Serialize + DeserializeOwned + Clone + Send + Sync + 'static`",
    note = "for a type of your own: `#[derive(Clone, serde::Serialize, serde::Deserialize)]`"
)]
pub trait Value: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Value for T {}

/// A live value with what it takes to encode it.
#[derive(Debug, Clone)]
pub struct Live<T>(pub T);

impl<T: Value> Object for Live<T> {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        match elements(&self.0) {
            Some(Elements { length, bytes }) if bytes.len() >= SPLIT_BYTES => {
                let head = Bytes::copy_from_slice(&length.to_le_bytes());
                Ok(Split { head, tail: Bytes::from_owner(Lent(self)) }.into())
            }
            _ => encode(&self.0).map(Payload::from),
        }
    }

    fn encode_to(&self, out: &mut dyn Write) -> Result<(), ValueError> {
        encode_to(out, &self.0)
    }

    fn nbytes(&self) -> u64 {
        nbytes(&self.0)
    }

    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A list of numbers, or text, that is lent to a connection, or to whoever else wants its bytes.
struct Lent<T>(Arc<Live<T>>);

impl<T: Value> AsRef<[u8]> for Lent<T> {
    fn as_ref(&self) -> &[u8] {
        elements(&self.0.0).map(|elements| elements.bytes).unwrap_or_default()
    }
}

/// A list of numbers, or text, of at least this many bytes is not copied to be encoded.
const SPLIT_BYTES: usize = 16 << 10;

/// The value as a payload, not encoded.
pub fn live<T: Value>(value: T) -> Payload {
    Payload::Object(Arc::new(Live(value)))
}

/// The value as bytes.
///
/// # Errors
/// When its `Serialize` fails.
pub fn encode<T: Value>(value: &T) -> Result<Bytes, ValueError> {
    let mut out = BytesMut::new();
    encode_into(&mut out, value)?;
    Ok(out.freeze())
}

/// The bytes of what need not be a [`Value`] itself, such as a `str` or a slice. They are those of
/// the value that owns it.
///
/// # Errors
/// When its `Serialize` fails.
pub fn encode_borrowed<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, ValueError> {
    let mut out = BytesMut::new();
    let written = format().serialize_into((&mut out).writer(), value);
    written.map_err(|error| unencodable::<T>(&error))?;
    Ok(out.freeze())
}

/// Appends the value's bytes.
pub(crate) fn encode_into<T: Value>(out: &mut BytesMut, value: &T) -> Result<(), ValueError> {
    if let Some(Elements { length, bytes }) = elements(value) {
        out.reserve(8 + bytes.len());
        out.put_u64_le(length);
        out.put_slice(bytes);
        return Ok(());
    }
    let start = out.len();
    let writer = (&mut *out).writer();
    format().serialize_into(writer, value).map_err(|error| {
        out.truncate(start);
        unencodable::<T>(&error)
    })
}

/// Writes the value's bytes piece by piece.
fn encode_to<T: Value>(out: &mut dyn Write, value: &T) -> Result<(), ValueError> {
    if let Some(Elements { length, bytes }) = elements(value) {
        let written = out.write_all(&length.to_le_bytes()).and_then(|()| out.write_all(bytes));
        return written.map_err(|error| unencodable::<T>(&error));
    }
    format().serialize_into(out, value).map_err(|error| unencodable::<T>(&error))
}

/// The value in these bytes.
///
/// # Errors
/// When the bytes are no value of this type.
pub fn decode<T: DeserializeOwned + 'static>(bytes: &[u8]) -> Result<T, ValueError> {
    if may_be_bulk::<T>() {
        let mut slot: Option<T> = None;
        bulk::decode_into(bytes, &mut slot);
        if let Some(value) = slot {
            return Ok(value);
        }
    }
    format().deserialize(bytes).map_err(|error| ValueError::Decode {
        type_name: type_name::<T>().to_owned(),
        bytes: bytes.len(),
        reason: error.to_string(),
    })
}

/// The value in bytes in two pieces. Elements that nobody else holds become the value in place.
fn decode_split<T: DeserializeOwned + 'static>(mut split: Split) -> Result<T, ValueError> {
    if may_be_bulk::<T>() {
        let mut slot: Option<T> = None;
        split.tail = bulk::decode_split_into(&split.head, split.tail, &mut slot);
        if let Some(value) = slot {
            return Ok(value);
        }
    }
    decode(&split.joined())
}

/// The size of the value in bytes: its encoded size, which is close to its size in memory because
/// numbers are encoded at full width. Zero for a value that cannot be encoded.
pub fn nbytes<T: Value>(value: &T) -> u64 {
    match elements(value) {
        Some(elements) => 8 + elements.bytes.len() as u64,
        None => format().serialized_size(value).unwrap_or(0),
    }
}

fn elements<T: Value>(value: &T) -> Option<Elements<'_>> {
    if may_be_bulk::<T>() { bulk::elements(value) } else { None }
}

/// Decided by the compiler: small values take no detour.
const fn may_be_bulk<T>() -> bool {
    size_of::<T>() == size_of::<Vec<u8>>()
}

/// The value behind a payload, shared where it is live and decoded where it is not.
///
/// # Errors
/// When the payload is no value of this type.
pub fn shared<T: Value>(payload: &Payload) -> Result<Arc<Live<T>>, ValueError> {
    match payload {
        Payload::Bytes(bytes) => Ok(Arc::new(Live(decode(bytes)?))),
        Payload::Small(bytes) => Ok(Arc::new(Live(decode(bytes)?))),
        Payload::Split(split) => Ok(Arc::new(Live(decode_split(Split::clone(split))?))),
        Payload::Object(object) => {
            let found = object.type_name();
            object.clone().into_any().downcast().map_err(|_| ValueError::Type {
                expected: type_name::<T>().to_owned(),
                found: found.to_owned(),
            })
        }
    }
}

/// The value behind a payload, cloned only if somebody else holds it.
///
/// # Errors
/// When the payload is no value of this type.
pub fn take<T: Value>(payload: Payload) -> Result<T, ValueError> {
    match payload {
        Payload::Split(split) => return decode_split(*split),
        Payload::Bytes(bytes) => return decode(&bytes),
        Payload::Small(bytes) => return decode(&bytes),
        Payload::Object(_) => {}
    }
    let shared = shared::<T>(&payload)?;
    drop(payload);
    Ok(Arc::try_unwrap(shared).map_or_else(|shared| shared.0.clone(), |live| live.0))
}

/// Fixed-width numbers: fast, close to the size in memory, and a list is its length followed by
/// its elements, which [`Inputs`](crate::Inputs) relies on.
fn format() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_no_limit()
}

fn unencodable<T: ?Sized>(error: &dyn std::error::Error) -> ValueError {
    ValueError::Encode { type_name: type_name::<T>().to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borrowed_has_the_bytes_of_its_owner() {
        let (text, list) = ("text".to_owned(), vec![1.5_f64, 2.5]);
        let expected = (encode(&text).expect("it encodes"), encode(&list).expect("it encodes"));
        assert_eq!(encode_borrowed("text").expect("it encodes"), expected.0);
        assert_eq!(encode_borrowed(&list[..]).expect("it encodes"), expected.1);
    }

    #[test]
    fn a_value_survives_the_wire() {
        let value = vec![("a".to_owned(), Some(1.5_f64)), ("b".to_owned(), None)];
        let bytes = encode(&value).expect("it encodes");
        assert_eq!(decode::<Vec<(String, Option<f64>)>>(&bytes), Ok(value.clone()));
        assert_eq!(nbytes(&value), bytes.len() as u64);
    }

    #[test]
    fn a_value_written_piece_by_piece_has_the_same_bytes() {
        fn same<T: Value>(value: T) {
            let object: Arc<dyn Object> = Arc::new(Live(value));
            let mut written = Vec::new();
            object.encode_to(&mut written).expect("memory takes it");
            assert!(object.encode_to(&mut [0_u8; 7].as_mut_slice()).is_err());
            assert_eq!(Payload::Object(object).to_bytes().expect("it encodes"), written);
        }
        same((0..100_000_u64).collect::<Vec<_>>());
        same(vec![("a".to_owned(), Some(1.5_f64)), ("b".to_owned(), None)]);
        same("text".to_owned());
    }

    #[test]
    fn a_live_value_of_another_type_is_refused_by_name() {
        let error = take::<String>(live(1_i64)).expect_err("an i64 is no String");
        assert_eq!(error.to_string(), "the value has type i64, not alloc::string::String");
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let bytes = encode(&(1_u64, 2_u64)).expect("it encodes");
        assert!(matches!(decode::<u64>(&bytes), Err(ValueError::Decode { bytes: 16, .. })));
    }
}
