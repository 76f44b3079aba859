//! The bytes on their way into the hash.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::tag;
use crate::token::Token;

/// Enough that a call of the hasher is rare beside the elements of a sequence, and little enough
/// that cloning a tokenizer for every item of a `map` stays cheap.
const BLOCK: usize = 512;

/// Collects small writes into a block and feeds the hasher whole blocks.
///
/// While a map is open the blocks go to `held` and not to the hasher, because the entries must be
/// sorted before they can be hashed. Maps inside maps share it: each owns the end of `held`
/// from the place where it was opened.
pub(crate) struct Block {
    hasher: Sha256,
    bytes: [u8; BLOCK],
    filled: usize,
    held: Vec<u8>,
    open_maps: usize,
}

/// Only the bytes that were written count: a clone for every item of a `map` copies no others.
impl Clone for Block {
    fn clone(&self) -> Self {
        let mut block = Block::new();
        block.clone_from(self);
        block
    }

    fn clone_from(&mut self, other: &Self) {
        self.hasher.clone_from(&other.hasher);
        self.bytes[..other.filled].copy_from_slice(&other.bytes[..other.filled]);
        self.filled = other.filled;
        self.held.clone_from(&other.held);
        self.open_maps = other.open_maps;
    }
}

impl Block {
    pub(crate) fn new() -> Self {
        let (bytes, held) = ([0; BLOCK], Vec::new());
        Block { hasher: Sha256::new(), bytes, filled: 0, held, open_maps: 0 }
    }

    pub(crate) fn tag(&mut self, tag: u8) {
        self.tagged(tag, []);
    }

    /// A tag and a number's bytes, with one look at the space left.
    #[inline]
    pub(crate) fn tagged<const N: usize>(&mut self, tag: u8, bytes: [u8; N]) {
        if let Some(space) = self.bytes.get_mut(self.filled..self.filled + 1 + N) {
            space[0] = tag;
            space[1..].copy_from_slice(&bytes);
            self.filled += 1 + N;
        } else {
            self.write(&[tag]);
            self.write(&bytes);
        }
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.write(&(length as u64).to_le_bytes());
    }

    /// Bytes after their length.
    pub(crate) fn sized(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.write(bytes);
    }

    pub(crate) fn end(&mut self, count: u64) {
        self.tagged(tag::END, count.to_le_bytes());
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(space) = self.bytes.get_mut(self.filled..self.filled + bytes.len()) {
            space.copy_from_slice(bytes);
            self.filled += bytes.len();
        } else {
            self.overflow(bytes);
        }
    }

    /// Hands on what the block holds, so that clones made from here on need not hash it again.
    pub(crate) fn flush(&mut self) {
        let full = &self.bytes[..self.filled];
        if self.open_maps == 0 {
            self.hasher.update(full);
        } else {
            self.held.extend_from_slice(full);
        }
        self.filled = 0;
    }

    /// The token of all that was written; what comes now is of the next.
    pub(crate) fn finish(&mut self) -> Token {
        self.flush();
        let digest = self.hasher.finalize_reset();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Token::from_bytes(bytes)
    }

    #[cold]
    fn overflow(&mut self, bytes: &[u8]) {
        let (head, tail) = bytes.split_at(BLOCK - self.filled);
        self.bytes[self.filled..].copy_from_slice(head);
        self.filled = BLOCK;
        self.flush();
        if tail.len() < BLOCK {
            self.bytes[..tail.len()].copy_from_slice(tail);
            self.filled = tail.len();
        } else if self.open_maps == 0 {
            self.hasher.update(tail);
        } else {
            self.held.extend_from_slice(tail);
        }
    }
}

/// Maps.
impl Block {
    /// From here on bytes are held back.
    pub(crate) fn open_map(&mut self) {
        self.flush();
        self.open_maps += 1;
    }

    /// The place where the next entry of the open map begins.
    pub(crate) fn position(&self) -> usize {
        self.held.len() + self.filled
    }

    /// Lets the entries go in the order of their bytes. They lie one after the other; the last
    /// one ends where the bytes end.
    pub(crate) fn close_map(&mut self, starts: &[usize]) {
        self.flush();
        self.open_maps -= 1;
        let first = starts.first().copied().unwrap_or(self.held.len());
        let ends = starts.iter().skip(1).copied().chain([self.held.len()]);
        let mut entries: Vec<Range<usize>> =
            starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
        let held = std::mem::take(&mut self.held);
        entries.sort_unstable_by(|a, b| held[a.clone()].cmp(&held[b.clone()]));
        if self.open_maps == 0 {
            entries.into_iter().for_each(|entry| self.write(&held[entry]));
        } else {
            self.held = Vec::with_capacity(held.len());
            self.held.extend_from_slice(&held[..first]);
            entries.into_iter().for_each(|entry| self.held.extend_from_slice(&held[entry]));
        }
    }

    /// Drops the entries of maps that were never closed. Tells whether there were any.
    pub(crate) fn abandon_maps(&mut self) -> bool {
        let unfinished = self.open_maps > 0;
        if unfinished {
            self.open_maps = 0;
            self.filled = 0;
            self.held.clear();
        }
        unfinished
    }
}
