//! Building a token piece by piece.

use std::fmt;

use serde::ser::Serialize;

use crate::block::Block;
use crate::encode::Encoder;
use crate::error::TokenizeError;
use crate::tag;
use crate::token::Token;

/// The token of one value, as Dask's `tokenize` gives it.
///
/// # Errors
///
/// When the value's `Serialize` implementation fails, or when the value is nested more deeply than
/// [`MAX_DEPTH`](crate::MAX_DEPTH).
pub fn tokenize<T: Serialize + ?Sized>(value: &T) -> Result<Token, TokenizeError> {
    let mut tokenizer = Tokenizer::new();
    tokenizer.value(value)?;
    Ok(tokenizer.finish())
}

/// Combines a function and its arguments, or any other pieces, into one [`Token`].
///
/// The kinds of pieces never mix: the key of a future differs from a string of the same text, and
/// two strings differ from one that joins them. To name many calls of one function, feed the
/// function once and clone for each call: what was fed is not hashed again.
pub struct Tokenizer {
    block: Block,
}

impl Clone for Tokenizer {
    fn clone(&self) -> Self {
        Self { block: self.block.clone() }
    }

    fn clone_from(&mut self, other: &Self) {
        self.block.clone_from(&other.block);
    }
}

impl Tokenizer {
    /// A tokenizer that has been fed nothing.
    pub fn new() -> Self {
        let mut block = Block::new();
        block.write(&[tag::ENCODING_VERSION]);
        Tokenizer { block }
    }

    /// Feeds the function that is called: its path, and the signature that it has there.
    pub fn function(&mut self, path: &str, signature: &str) {
        self.block.tag(tag::FUNCTION);
        self.block.sized(path.as_bytes());
        self.block.sized(signature.as_bytes());
        self.block.flush();
    }

    /// Feeds an argument that is given by its value.
    ///
    /// # Errors
    ///
    /// When the value's `Serialize` implementation fails, or when the value is nested more deeply
    /// than [`MAX_DEPTH`](crate::MAX_DEPTH). The tokenizer stays usable, but its token then says
    /// that a value failed, and equals that of no tokenizer whose values all succeeded.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TokenizeError> {
        let encoded = value.serialize(Encoder::new(&mut self.block));
        let unfinished = self.block.abandon_maps();
        let outcome = match encoded {
            Ok(()) if unfinished => Err(TokenizeError::UnfinishedMap),
            other => other,
        };
        if outcome.is_err() {
            self.block.tag(tag::FAILED);
        }
        outcome
    }

    /// Feeds a string: the same as [`value`](Self::value) of it, without an error to handle.
    pub fn str(&mut self, text: &str) {
        self.block.tag(tag::STR);
        self.block.sized(text.as_bytes());
    }

    /// Feeds an argument that is a future, which counts as its key.
    pub fn key(&mut self, key: &str) {
        self.block.tag(tag::KEY);
        self.block.sized(key.as_bytes());
    }

    /// Feeds the token of something else, in place of the thing itself.
    pub fn token(&mut self, token: Token) {
        self.block.tagged(tag::TOKEN, *token.as_bytes());
    }

    /// Begins a list: the next `len` pieces are its items, where a list within it counts as one.
    pub fn begin_list(&mut self, len: usize) {
        self.block.tagged(tag::LIST, (len as u64).to_le_bytes());
    }

    /// The token of everything that was fed.
    pub fn finish(mut self) -> Token {
        self.block.finish()
    }

    /// The token of everything that was fed; from here on it has been fed what `start` has.
    pub fn restart(&mut self, start: &Self) -> Token {
        let token = self.block.finish();
        self.clone_from(start);
        token
    }
}

impl Default for Tokenizer {
    fn default() -> Self {
        Tokenizer::new()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").finish_non_exhaustive()
    }
}
