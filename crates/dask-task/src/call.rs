use std::any::Any;
use std::io::Write;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use dask_proto::{Object, Payload, ValueError};

use crate::input::Input;
use crate::value::{Value, encode_into, live};

/// Arguments of one call, lists counted by their elements: 16 million.
pub const MAX_ARGUMENTS: usize = 1 << 24;

/// Writes the arguments of one call, in the order of the parameters.
///
/// In one process the values stay live; towards another they are encoded as they are added, on
/// the thread of the caller.
#[derive(Debug)]
pub struct CallWriter {
    arguments: Arguments,
}

#[derive(Debug)]
enum Arguments {
    Encoded(BytesMut),
    Live(Vec<Argument>),
}

/// One element of a call: lists announce how many of the elements behind them they consist of.
#[derive(Debug, Clone)]
enum Argument {
    Value(Payload),
    Dependency(u32),
    List(u32),
}

const VALUE: u8 = 0;
const DEPENDENCY: u8 = 1;
const LIST: u8 = 2;
/// A value of less than 256 bytes.
const SHORT: u8 = 3;

/// Bytes of a value's length.
const LENGTH: usize = size_of::<u64>();

/// The bytes are not the arguments of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the arguments of the task are malformed")]
pub struct MalformedCall;

impl CallWriter {
    /// A writer that keeps the values live.
    #[must_use]
    pub fn live() -> Self {
        Self { arguments: Arguments::Live(Vec::new()) }
    }

    /// A writer that encodes. Many calls written one after the other share its memory.
    #[must_use]
    pub fn encoded() -> Self {
        Self { arguments: Arguments::Encoded(BytesMut::new()) }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// When it has to be encoded and its `Serialize` fails; nothing is added then.
    pub fn value<T: Value>(&mut self, value: T) -> Result<(), ValueError> {
        match &mut self.arguments {
            Arguments::Live(arguments) => arguments.push(Argument::Value(live(value))),
            Arguments::Encoded(buffer) => {
                let start = buffer.len();
                let written = put_value(buffer, &value);
                if written.is_err() {
                    buffer.truncate(start);
                }
                return written;
            }
        }
        Ok(())
    }

    /// Adds the result of the task's `index`th dependency.
    pub fn dependency(&mut self, index: u32) {
        self.add(Argument::Dependency(index));
    }

    /// Makes the next `length` additions the elements of one list.
    pub fn list(&mut self, length: u32) {
        self.add(Argument::List(length));
    }

    fn add(&mut self, argument: Argument) {
        match &mut self.arguments {
            Arguments::Live(arguments) => arguments.push(argument),
            Arguments::Encoded(buffer) => match argument {
                Argument::Dependency(number) => put_number(buffer, DEPENDENCY, number),
                Argument::List(number) => put_number(buffer, LIST, number),
                Argument::Value(_) => {}
            },
        }
    }

    /// The body of the task. The next call can be written then.
    #[must_use]
    pub fn finish(&mut self) -> Payload {
        match &mut self.arguments {
            Arguments::Live(arguments) => {
                Payload::Object(Arc::new(Call(std::mem::take(arguments))))
            }
            Arguments::Encoded(buffer) => Payload::taken_from(buffer),
        }
    }
}

/// A value behind its length, in one byte if it is likely to be short: should it not be, it moves.
fn put_value<T: Value>(buffer: &mut BytesMut, value: &T) -> Result<(), ValueError> {
    let is_short = size_of::<T>() <= 2 * LENGTH;
    buffer.put_u8(if is_short { SHORT } else { VALUE });
    let place = buffer.len();
    buffer.put_bytes(0, if is_short { 1 } else { LENGTH });
    let start = buffer.len();
    encode_into(buffer, value)?;
    let length = buffer.len() - start;
    match u8::try_from(length) {
        Ok(length) if is_short => buffer[place] = length,
        Err(_) if is_short => {
            buffer.put_bytes(0, LENGTH - 1);
            buffer.copy_within(start..start + length, place + LENGTH);
            buffer[place - 1] = VALUE;
            buffer[place..place + LENGTH].copy_from_slice(&(length as u64).to_le_bytes());
        }
        _ => buffer[place..start].copy_from_slice(&(length as u64).to_le_bytes()),
    }
    Ok(())
}

fn put_number(buffer: &mut BytesMut, tag: u8, number: u32) {
    buffer.put_u8(tag);
    buffer.put_u32_le(number);
}

/// Live arguments.
#[derive(Debug)]
struct Call(Vec<Argument>);

impl Object for Call {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        self.bytes().map(Payload::Bytes)
    }

    fn encode_to(&self, out: &mut dyn Write) -> Result<(), ValueError> {
        out.write_all(&self.bytes()?).map_err(|error| ValueError::Encode {
            type_name: self.type_name().to_owned(),
            reason: error.to_string(),
        })
    }

    fn nbytes(&self) -> u64 {
        self.0.iter().map(|a| if let Argument::Value(v) = a { v.nbytes() + 9 } else { 5 }).sum()
    }

    fn type_name(&self) -> &'static str {
        "the arguments of a task"
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Call {
    fn bytes(&self) -> Result<Bytes, ValueError> {
        let mut out = BytesMut::new();
        for argument in &self.0 {
            match argument {
                Argument::Dependency(number) => put_number(&mut out, DEPENDENCY, *number),
                Argument::List(number) => put_number(&mut out, LIST, *number),
                Argument::Value(value) => {
                    let bytes = value.to_bytes()?;
                    out.put_u8(VALUE);
                    out.put_u64_le(bytes.len() as u64);
                    out.put_slice(&bytes);
                }
            }
        }
        Ok(out.freeze())
    }
}

/// The arguments of a call, with the dependencies put in.
pub(crate) fn inputs(body: &Payload, results: &[Payload]) -> Result<Vec<Input>, MalformedCall> {
    match body {
        Payload::Small(bytes) => put_in(Body::new(bytes, None), results),
        Payload::Bytes(bytes) => put_in(Body::new(bytes, Some(bytes)), results),
        Payload::Split(split) => {
            let bytes = split.joined();
            put_in(Body::new(&bytes, Some(&bytes)), results)
        }
        Payload::Object(object) => {
            let call: Arc<Call> =
                object.clone().into_any().downcast().map_err(|_| MalformedCall)?;
            put_in(call.0.iter().cloned().map(Ok), results)
        }
    }
}

fn put_in(
    mut flat: impl Iterator<Item = Result<Argument, MalformedCall>>,
    results: &[Payload],
) -> Result<Vec<Input>, MalformedCall> {
    let mut inputs = Vec::new();
    while let Some(argument) = flat.next() {
        inputs.push(match argument? {
            Argument::List(length) => {
                let elements = flat.by_ref().take(length as usize);
                let slots = elements.map(|element| slot(element?, results));
                let slots: Vec<_> = slots.collect::<Result<_, _>>()?;
                if slots.len() != length as usize {
                    return Err(MalformedCall);
                }
                Input::List(slots)
            }
            single => {
                let (payload, dependency) = slot(single, results)?;
                Input::One(payload, dependency)
            }
        });
    }
    Ok(inputs)
}

/// A value, and which dependency it is if it is one.
pub(crate) type Slot = (Payload, Option<u32>);

fn slot(argument: Argument, results: &[Payload]) -> Result<Slot, MalformedCall> {
    match argument {
        Argument::Value(value) => Ok((value, None)),
        Argument::Dependency(index) => {
            let result = results.get(index as usize).ok_or(MalformedCall)?;
            Ok((result.clone(), Some(index)))
        }
        Argument::List(_) => Err(MalformedCall),
    }
}

/// The arguments that are encoded in a body, one after the other.
struct Body<'a> {
    rest: &'a [u8],
    /// What owns those bytes, if it can be shared.
    owner: Option<&'a Bytes>,
    /// How many were read.
    read: usize,
}

impl Iterator for Body<'_> {
    type Item = Result<Argument, MalformedCall>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.read += 1;
        Some(if self.read > MAX_ARGUMENTS { Err(MalformedCall) } else { self.argument() })
    }
}

impl<'a> Body<'a> {
    fn new(rest: &'a [u8], owner: Option<&'a Bytes>) -> Self {
        Self { rest, owner, read: 0 }
    }

    fn argument(&mut self) -> Result<Argument, MalformedCall> {
        let bytes = &mut self.rest;
        Ok(match bytes.get_u8() {
            VALUE => {
                let length = bytes.try_get_u64_le().map_err(|_| MalformedCall)?;
                self.value(usize::try_from(length).map_err(|_| MalformedCall)?)?
            }
            SHORT => {
                let length = bytes.try_get_u8().map_err(|_| MalformedCall)?;
                self.value(usize::from(length))?
            }
            tag @ (DEPENDENCY | LIST) => {
                let number = bytes.try_get_u32_le().map_err(|_| MalformedCall)?;
                if tag == LIST { Argument::List(number) } else { Argument::Dependency(number) }
            }
            _ => return Err(MalformedCall),
        })
    }

    fn value(&mut self, length: usize) -> Result<Argument, MalformedCall> {
        let (value, rest) = self.rest.split_at_checked(length).ok_or(MalformedCall)?;
        self.rest = rest;
        let own =
            || self.owner.map_or_else(|| Bytes::copy_from_slice(value), |o| o.slice_ref(value));
        Ok(Argument::Value(Payload::copied_if_small(value, own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Inputs;

    fn call(mut writer: CallWriter) -> Payload {
        writer.value(7_i64).expect("it encodes");
        writer.list(2);
        writer.dependency(0);
        writer.value(2.5_f64).expect("it encodes");
        writer.dependency(1);
        writer.finish()
    }

    #[test]
    fn arguments_arrive_in_order_live_and_encoded() {
        let results = [live(1.5_f64), live("text".to_owned())];
        for body in [call(CallWriter::live()), call(CallWriter::encoded())] {
            let mut inputs = Inputs::new(&body, &results).expect("well-formed");
            assert_eq!(inputs.owned::<i64>(0).expect("an i64"), 7);
            assert_eq!(inputs.owned_list::<f64>(1).expect("a list"), [1.5, 2.5]);
            assert_eq!(*inputs.borrowed::<String>(2).expect("a string"), "text");
        }
    }

    #[test]
    fn values_of_all_lengths_arrive_and_the_buffer_serves_call_after_call() {
        let mut writer = CallWriter::encoded();
        for length in [0, 1, 8, 200, 239, 240, 247, 248, 1000, 100_000] {
            // Boxed, a list is taken for something short.
            let (boxed, plain) = (Box::new(vec![1_u8; length]), vec![2_u8; length]);
            writer.value(boxed.clone()).expect("it encodes");
            writer.value(plain.clone()).expect("it encodes");
            writer.value(length as u64).expect("it encodes");
            let mut inputs = Inputs::new(&writer.finish(), &[]).expect("well-formed");
            assert_eq!(inputs.owned::<Box<Vec<u8>>>(0).expect("a box"), boxed);
            assert_eq!(inputs.owned::<Vec<u8>>(1).expect("a list"), plain);
            assert_eq!(inputs.owned::<u64>(2).expect("a number"), length as u64);
        }
    }

    #[test]
    fn truncated_and_foreign_bytes_are_malformed() {
        let Ok(bytes) = call(CallWriter::encoded()).to_bytes() else {
            unreachable!("encoded already")
        };
        for end in 1..bytes.len() {
            // A cut between two arguments is a shorter call; any other is an error.
            if let Ok(inputs) = inputs(&Payload::Bytes(bytes.slice(..end)), &[]) {
                assert!(inputs.len() < 3);
            }
        }
        assert!(inputs(&Payload::Bytes(Bytes::from_static(b"\x09")), &[]).is_err());
        assert!(inputs(&live(5_i64), &[]).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_encoded_leaves_the_call_as_it_was() {
        #[derive(Clone, serde::Deserialize)]
        struct Stubborn;
        impl serde::Serialize for Stubborn {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let mut writer = CallWriter::encoded();
        assert!(matches!(writer.value(Stubborn), Err(ValueError::Encode { .. })));
        writer.value(1_i64).expect("it encodes");
        let mut inputs = Inputs::new(&writer.finish(), &[]).expect("well-formed");
        assert_eq!(inputs.owned::<i64>(0).expect("an i64"), 1);
    }
}
