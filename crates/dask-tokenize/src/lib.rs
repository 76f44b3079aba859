//! Deterministic names for values: canonical encoding, SHA-256, task keys.
//!
//! Every serializable value has a [`Token`]: the first 16 bytes of SHA-256 over a canonical
//! encoding of the value. The same value has the same token in every process and on every
//! machine, which is what makes a pure task's key (`inc-<32 hex digits>`) a name for its result.
//! It is Dask's `tokenize`, with a written-down encoding in place of Python's pickles.
//!
//! ```
//! use dask_tokenize::{Tokenizer, key_name, key_prefix};
//!
//! let mut call = Tokenizer::new();
//! call.function("my_program::inc", "fn(i64) -> i64");
//! call.value(&10_i64)?;
//! let key = key_name("inc", call.finish());
//! assert_eq!(key_prefix(&key), "inc");
//! # Ok::<(), dask_tokenize::TokenizeError>(())
//! ```
//!
//! # The encoding
//!
//! The hashed bytes are one version byte, `01`, and then the items in the order in which they were
//! fed: exactly one for [`tokenize`], and usually a function and its arguments for a call. An item
//! is a tag byte and what the table says follows it. Tags are hexadecimal. Numbers are
//! little-endian.
//!
//! - `name` and `text`: the length in bytes as a `u64`, then that many bytes of UTF-8.
//! - `item`: any value of this table, tag included, up to and including tag `63`.
//! - `end`: the byte `71` and the number of items, fields or entries before it, as a `u64`.
//!   A compound is counted at its end, so that a sequence of unknown length encodes the same
//!   as one that announced its length.
//! - `field`: the byte `70`, the field's `name`, then its `item`.
//!
//! | tag | value | what follows |
//! |---|---|---|
//! | `01` | unit | nothing |
//! | `02` | bool | one byte: 0 or 1 |
//! | `03` | char | the code point as a `u32` |
//! | `04` | string | `text` |
//! | `05` | bytes | the length as a `u64`, then the bytes |
//! | `10` `11` `12` `13` `14` | i8, i16, i32, i64, i128 | 1, 2, 4, 8, 16 bytes, two's complement |
//! | `18` `19` `1a` `1b` `1c` | u8, u16, u32, u64, u128 | 1, 2, 4, 8, 16 bytes |
//! | `20` | f32 | its IEEE 754 bits as a `u32`; -0.0 as 0.0; every NaN as `7fc00000` |
//! | `21` | f64 | its bits as a `u64`; -0.0 as 0.0; every NaN as `7ff8000000000000` |
//! | `30` | `None` | nothing |
//! | `31` | `Some` | `item` |
//! | `40` | sequence | each `item`, `end` |
//! | `41` | tuple or array | each `item`, `end` |
//! | `42` | map | each entry (key `item`, value `item`), sorted, `end` |
//! | `50` | unit struct | `name` |
//! | `51` | newtype struct | `name`, `item` |
//! | `52` | tuple struct | `name`, each `item`, `end` |
//! | `53` | struct | `name`, each `field` in the order of declaration, `end` |
//! | `60` | unit variant | `name` of the enum, `name` of the variant |
//! | `61` | newtype variant | both names, `item` |
//! | `62` | tuple variant | both names, each `item`, `end` |
//! | `63` | struct variant | both names, each `field`, `end` |
//! | `80` | function | `text` of its path, `text` of its signature |
//! | `81` | key of a future | `text` |
//! | `82` | list of arguments | the number of the arguments that follow, as a `u64` |
//! | `83` | token | its 16 bytes |
//! | `ff` | a value that failed to encode | nothing; no valid encoding contains it as a tag |
//!
//! The entries of a map are sorted as byte strings, each entry being its encoded key followed by
//! its encoded value. No encoded item is a prefix of another, so this is the order of the keys.
//! `usize` and `isize` are serialized by serde as `u64` and `i64`. The position of a variant in its
//! enum does not count. The serializer is not human readable, so types with a compact form
//! use that one.
//!
//! # What a token can and cannot see
//!
//! A token sees what serde is told. A type with `#[serde(transparent)]` has the token of what it
//! wraps, and a skipped field does not count. A `HashSet` reaches serde as a plain sequence in
//! random order, so that equal sets have different tokens: use a `BTreeSet`, or a `HashMap` to
//! `()`.

mod block;
mod encode;
mod error;
mod key;
mod map;
mod tag;
mod token;
mod tokenizer;

pub use encode::MAX_DEPTH;
pub use error::TokenizeError;
pub use key::{key_name, key_prefix, unique_key_name, write_key_name};
pub use token::{ParseTokenError, Token};
pub use tokenizer::{Tokenizer, tokenize};
