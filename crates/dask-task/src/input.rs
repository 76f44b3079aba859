use std::ops::Deref;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use dask_proto::{Payload, ValueError};

use crate::bulk::{self, Lend};
use crate::call::{self, MalformedCall, Slot};
use crate::value::{self, Live, Value};

/// The arguments of one call, as a task function takes them.
#[derive(Debug)]
pub struct Inputs {
    arguments: Vec<Input>,
    decoded: Vec<(u32, Payload)>,
}

#[derive(Debug)]
pub(crate) enum Input {
    One(Payload, Option<u32>),
    List(Vec<Slot>),
}

/// An argument could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The body is no call.
    #[error(transparent)]
    Malformed(#[from] MalformedCall),
    /// The call has fewer arguments than the function has parameters.
    #[error("argument {index} is missing")]
    Missing {
        /// Which one, from 0.
        index: usize,
    },
    /// The argument is no value of the parameter's type.
    #[error("argument {index} does not fit")]
    Value {
        /// Which one, from 0.
        index: usize,
        /// Why not.
        source: ValueError,
    },
}

/// An argument that the function borrows: no copy is made of a value that the worker holds.
#[derive(Debug)]
pub struct Borrowed<T>(Arc<Live<T>>);

impl<T> Deref for Borrowed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

/// A list that the function borrows as a slice: not even decoded, where its bytes are its elements.
#[derive(Debug)]
pub struct Slice<T>(Elements<T>);

#[derive(Debug)]
enum Elements<T> {
    List(Borrowed<Vec<T>>),
    Lent(Arc<dyn Lend<T>>),
}

impl<T> Deref for Slice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Elements::List(list) => list,
            Elements::Lent(bytes) => bytes.elements(),
        }
    }
}

impl Inputs {
    /// The arguments in a task's body, with the results of its dependencies put in.
    ///
    /// # Errors
    /// When the body is no call or refers to a dependency that is not there.
    pub fn new(body: &Payload, results: &[Payload]) -> Result<Self, MalformedCall> {
        Ok(Self { arguments: call::inputs(body, results)?, decoded: Vec::new() })
    }

    /// The argument for a parameter `T`.
    ///
    /// # Errors
    /// When it is missing or no `T`.
    pub fn owned<T: Value>(&mut self, index: usize) -> Result<T, InputError> {
        match self.take(index)? {
            Input::One(payload, _) => value::take(payload),
            Input::List(slots) => joined(slots).and_then(|bytes| value::decode(&bytes)),
        }
        .map_err(|source| InputError::Value { index, source })
    }

    /// The argument for a parameter `&T`.
    ///
    /// # Errors
    /// When it is missing or no `T`.
    pub fn borrowed<T: Value>(&mut self, index: usize) -> Result<Borrowed<T>, InputError> {
        match self.take(index)? {
            Input::One(payload, dependency) => self.share(&payload, dependency),
            Input::List(slots) => joined(slots)
                .and_then(|bytes| value::decode(&bytes))
                .map(|value| Arc::new(Live(value))),
        }
        .map(Borrowed)
        .map_err(|source| InputError::Value { index, source })
    }

    /// The argument for a parameter `Vec<T>`.
    ///
    /// # Errors
    /// When it is missing or no list of `T`.
    pub fn owned_list<T: Value>(&mut self, index: usize) -> Result<Vec<T>, InputError> {
        match self.take(index)? {
            Input::One(payload, _) => value::take(payload),
            Input::List(slots) => elements(slots),
        }
        .map_err(|source| InputError::Value { index, source })
    }

    /// The argument for a parameter `&[T]`.
    ///
    /// # Errors
    /// When it is missing or no list of `T`.
    pub fn slice<T: Value>(&mut self, index: usize) -> Result<Slice<T>, InputError> {
        if let Some(Input::One(Payload::Split(split), _)) = self.arguments.get(index)
            && let Some(lent) = bulk::lend::<T>(split)
        {
            return Ok(Slice(Elements::Lent(lent)));
        }
        self.borrowed_list(index).map(|list| Slice(Elements::List(list)))
    }

    /// The argument for a parameter `&Vec<T>`.
    ///
    /// # Errors
    /// When it is missing or no list of `T`.
    pub fn borrowed_list<T: Value>(
        &mut self,
        index: usize,
    ) -> Result<Borrowed<Vec<T>>, InputError> {
        match self.take(index)? {
            Input::One(payload, dependency) => self.share(&payload, dependency),
            Input::List(slots) => elements(slots).map(|list| Arc::new(Live(list))),
        }
        .map(Borrowed)
        .map_err(|source| InputError::Value { index, source })
    }

    /// The dependencies that this call decoded, by position: the worker keeps the live values in
    /// place of their bytes, so that the next task does not decode them again.
    pub fn decoded(&mut self) -> Vec<(u32, Payload)> {
        std::mem::take(&mut self.decoded)
    }

    /// The arguments from this one on, as they are.
    pub(crate) fn payloads(&mut self, from: usize) -> Vec<Payload> {
        let rest = self.arguments.drain(from.min(self.arguments.len())..);
        let single = rest.filter_map(|input| match input {
            Input::One(payload, _) => Some(payload),
            Input::List(_) => None,
        });
        single.collect()
    }

    fn take(&mut self, index: usize) -> Result<Input, InputError> {
        let input = self.arguments.get_mut(index).ok_or(InputError::Missing { index })?;
        Ok(std::mem::replace(input, Input::List(Vec::new())))
    }

    /// The payload of an argument that is no list.
    pub(crate) fn one(&mut self, index: usize) -> Result<Payload, InputError> {
        match self.take(index)? {
            Input::One(payload, _) => Ok(payload),
            Input::List(_) => Err(InputError::Malformed(MalformedCall)),
        }
    }

    fn share<T: Value>(
        &mut self,
        payload: &Payload,
        dependency: Option<u32>,
    ) -> Result<Arc<Live<T>>, ValueError> {
        let shared = value::shared::<T>(payload)?;
        if let (true, Some(index)) = (payload.is_encoded(), dependency) {
            self.decoded.push((index, Payload::Object(shared.clone())));
        }
        Ok(shared)
    }
}

fn elements<T: Value>(slots: Vec<Slot>) -> Result<Vec<T>, ValueError> {
    slots.into_iter().map(|(payload, _)| value::take(payload)).collect()
}

/// The encoding of a list whose elements are these values, for parameters whose type is a list
/// without saying so, such as an alias or a set: a list is its length and then its elements.
fn joined(slots: Vec<Slot>) -> Result<BytesMut, ValueError> {
    let mut out = BytesMut::new();
    out.put_u64_le(slots.len() as u64);
    for (payload, _) in slots {
        out.put_slice(&payload.to_bytes()?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CallWriter, live};

    #[test]
    fn a_list_fits_any_collection() {
        let mut writer = CallWriter::live();
        writer.list(3);
        for i in [3_i64, 1, 2] {
            writer.value(i).expect("it encodes");
        }
        let body = writer.finish();
        let mut inputs = Inputs::new(&body, &[]).expect("well-formed");
        let set = inputs.owned::<BTreeSet<i64>>(0).expect("a set");
        assert_eq!(set, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn a_missing_argument_and_a_wrong_type_are_named() {
        let mut writer = CallWriter::live();
        writer.dependency(0);
        let body = writer.finish();
        let mut inputs = Inputs::new(&body, &[live(1_u8)]).expect("well-formed");
        assert_eq!(inputs.owned::<i64>(1), Err(InputError::Missing { index: 1 }));
        assert!(matches!(inputs.owned::<i64>(0), Err(InputError::Value { index: 0, .. })));
    }

    #[test]
    fn a_decoded_dependency_is_handed_back() {
        let mut writer = CallWriter::live();
        writer.dependency(0);
        let body = writer.finish();
        let bytes = Payload::Bytes(crate::encode(&5_i64).expect("it encodes"));
        let mut inputs = Inputs::new(&body, &[bytes]).expect("well-formed");
        assert_eq!(*inputs.borrowed::<i64>(0).expect("an i64"), 5);
        assert!(matches!(&inputs.decoded()[..], [(0, Payload::Object(_))]));
    }
}
