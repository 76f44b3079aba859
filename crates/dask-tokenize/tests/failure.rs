//! Values that cannot be tokenized give an error, and never a wrong token or an overflow.

use std::collections::BTreeMap;

use dask_tokenize::{MAX_DEPTH, TokenizeError, Tokenizer, tokenize};
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

struct Refusing;

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("the file is gone"))
    }
}

/// Nested as deeply as it says, in one way of nesting after the other.
struct Nested(u32);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = Nested(self.0.saturating_sub(1));
        match self.0 {
            0 => serializer.serialize_unit(),
            n if n % 5 == 0 => serializer.serialize_some(&inner),
            n if n % 5 == 1 => serializer.serialize_newtype_struct("Nested", &inner),
            n if n % 5 == 2 => serializer.serialize_newtype_variant("Nested", 0, "In", &inner),
            n if n % 5 == 3 => serializer.collect_seq([inner]),
            _ => serializer.collect_map([((), inner)]),
        }
    }
}

/// A sequence that hides the errors of its items.
struct Hiding<T>(T);

impl<T: Serialize> Serialize for Hiding<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(None)?;
        let _hidden = items.serialize_element(&self.0);
        items.end()
    }
}

/// A map that calls for its keys (`true`) and values (`false`) in this order.
struct Steps(&'static [bool]);

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for step in self.0 {
            match step {
                true => map.serialize_key("key")?,
                false => map.serialize_value("value")?,
            }
        }
        map.end()
    }
}

const TOO_DEEP: TokenizeError = TokenizeError::TooDeep { limit: MAX_DEPTH };

#[test]
fn a_value_that_refuses_gives_its_own_message() {
    let expected = TokenizeError::Custom { message: "the file is gone".to_owned() };
    assert_eq!(tokenize(&Refusing), Err(expected.clone()));
    assert_eq!(tokenize(&vec![Some(Refusing)]), Err(expected.clone()));
    assert_eq!(tokenize(&BTreeMap::from([(1, Refusing)])), Err(expected.clone()));
    assert_eq!(expected.to_string(), "cannot tokenize the value: the file is gone");
}

#[test]
fn nesting_is_allowed_up_to_the_limit() {
    assert!(tokenize(&Nested(MAX_DEPTH)).is_ok());
    assert_eq!(tokenize(&Nested(MAX_DEPTH + 1)), Err(TOO_DEEP));
    assert_ne!(tokenize(&Nested(MAX_DEPTH)), tokenize(&Nested(MAX_DEPTH - 1)));
}

#[test]
fn bottomless_nesting_does_not_overflow_the_stack() {
    let small_stack = std::thread::Builder::new().stack_size(512 * 1024);
    let outcome = small_stack.spawn(|| tokenize(&Nested(u32::MAX))).unwrap().join();
    assert_eq!(outcome.unwrap(), Err(TOO_DEEP));
    let message = TOO_DEEP.to_string();
    assert_eq!(message, "cannot tokenize the value: it is nested more than 128 levels deep");
}

#[test]
fn long_flat_values_are_not_deep() {
    assert!(tokenize(&vec![Some([1_u8]); 10_000]).is_ok());
}

#[test]
fn a_map_out_of_step_is_refused() {
    assert!(tokenize(&Steps(&[true, false, true, false])).is_ok());
    for steps in [&[true, true][..], &[false], &[true], &[true, false, false]] {
        assert_eq!(tokenize(&Steps(steps)), Err(TokenizeError::MapOutOfStep), "{steps:?}");
    }
}

#[test]
fn a_hidden_error_within_a_map_is_found() {
    let hiding = Hiding(BTreeMap::from([(1, Refusing)]));
    assert_eq!(tokenize(&hiding), Err(TokenizeError::UnfinishedMap));
    let within = BTreeMap::from([(1, Hiding(Steps(&[true])))]);
    assert_eq!(tokenize(&within), Err(TokenizeError::UnfinishedMap));
}

#[test]
fn a_failed_value_leaves_its_mark_and_a_usable_tokenizer() {
    let mut failed = Tokenizer::new();
    assert!(failed.value(&BTreeMap::from([(1, Refusing)])).is_err());
    failed.value(&1_i64).unwrap();
    let mut other = Tokenizer::new();
    assert!(other.value(&Refusing).is_err());
    let mut fine = Tokenizer::new();
    fine.value(&1_i64).unwrap();
    let fine = fine.finish();
    let (failed, other) = (failed.finish(), other.finish());
    assert_ne!(failed, fine);
    assert_ne!(failed, other);
    assert_ne!(other, Tokenizer::new().finish());
}
