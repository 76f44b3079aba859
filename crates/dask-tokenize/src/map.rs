//! Maps: their entries are hashed in the order of their encoded keys, not as they come.

use serde::ser::{Serialize, SerializeMap};

use crate::block::Block;
use crate::encode::encode_at;
use crate::error::TokenizeError;

/// The entries of an open map, held back by the block until all are there.
pub(crate) struct Entries<'a> {
    block: &'a mut Block,
    depth: u32,
    starts: Vec<usize>,
    expects: Expects,
}

#[derive(PartialEq)]
enum Expects {
    Key,
    Value,
}

impl<'a> Entries<'a> {
    /// Opens a map whose keys and values are at `depth`.
    pub(crate) fn open(block: &'a mut Block, depth: u32) -> Self {
        block.open_map();
        Entries { block, depth, starts: Vec::new(), expects: Expects::Key }
    }

    fn step(&mut self, found: Expects) -> Result<(), TokenizeError> {
        if self.expects != found {
            return Err(TokenizeError::MapOutOfStep);
        }
        self.expects = match found {
            Expects::Key => Expects::Value,
            Expects::Value => Expects::Key,
        };
        Ok(())
    }
}

impl SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = TokenizeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), TokenizeError> {
        self.step(Expects::Key)?;
        self.starts.push(self.block.position());
        encode_at(key, self.block, self.depth)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), TokenizeError> {
        self.step(Expects::Value)?;
        encode_at(value, self.block, self.depth)
    }

    fn end(self) -> Result<(), TokenizeError> {
        if self.expects == Expects::Value {
            return Err(TokenizeError::MapOutOfStep);
        }
        self.block.close_map(&self.starts);
        self.block.end(self.starts.len() as u64);
        Ok(())
    }
}
