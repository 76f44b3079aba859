//! [`Frames`] ⇄ a byte stream, for transports whose link is one.
//!
//! Each batch has a prefix: four bytes that name the protocol, the number of frames as a `u32` and
//! the length of each frame as a `u64`, little-endian. The frames follow without gaps.
//!
//! Nothing here reads or writes. [`encode`] makes chunks to be written, without a copy of large
//! frames, and a [`Decoder`] is fed with whatever was read.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Frames;
use crate::limits::{MAX_FRAME_BYTES, MAX_FRAMES, MAX_HANDSHAKE_BYTES, PROGRAM_PIECE_BYTES};

/// What every batch starts with: recognises a peer that speaks something else, and a stream that
/// lost its place.
const MAGIC: [u8; 4] = *b"dask";

/// Bytes of the prefix before the lengths.
const START_BYTES: usize = MAGIC.len() + 4;

/// Frames up to this length are copied behind the prefix: cheaper than a slice of their own in a
/// vectored write.
const COPY_BYTES: usize = 4 << 10;

/// A frame's memory is reserved in steps of this size, doubling. The pages of a step are committed
/// by the bytes that arrive, so an announcement alone costs address space only, and little of it.
const RESERVE_BYTES: usize = 64 << 20;

/// What is missing of a frame must be this much for it to be worth a read of its own.
const DIRECT_BYTES: usize = 64 << 10;

/// How much of a foreign peer's greeting an error quotes.
const QUOTED_BYTES: usize = 64;

/// What a peer may send in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many frames.
    pub frames: usize,
    /// The length of one frame in bytes.
    pub frame_bytes: u64,
    /// The sum of the frames' lengths in bytes.
    pub batch_bytes: u64,
}

/// Frames or bytes break the rules of the link. It is of no use after that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The peer is something else, such as an HTTP or SSH server.
    #[error("the peer does not speak this protocol: it sent {start:?}")]
    Foreign {
        /// The first of its bytes, as text.
        start: String,
    },
    /// A batch has too many frames.
    #[error("a batch of {frames} frames is over the limit of {limit} frames")]
    Frames {
        /// How many frames the batch has.
        frames: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A frame is too long.
    #[error("a frame of {bytes} bytes is over the limit of {limit} bytes")]
    Frame {
        /// The frame's length in bytes.
        bytes: u64,
        /// How long it may be, in bytes.
        limit: u64,
    },
    /// A batch is too long.
    #[error("a batch of {bytes} bytes is over the limit of {limit} bytes")]
    Batch {
        /// The sum of the lengths of its frames in bytes.
        bytes: u64,
        /// How large it may be, in bytes.
        limit: u64,
    },
    /// The stream ended inside a batch.
    #[error("the link ended in the middle of a batch")]
    Truncated,
}

impl Limits {
    /// For a stranger, who has yet to say hello.
    pub const HANDSHAKE: Self = Self {
        frames: 16,
        frame_bytes: MAX_HANDSHAKE_BYTES as u64,
        batch_bytes: MAX_HANDSHAKE_BYTES as u64,
    };

    /// For a peer that was welcomed.
    pub const MESSAGES: Self =
        Self { frames: MAX_FRAMES, frame_bytes: MAX_FRAME_BYTES, batch_bytes: u64::MAX };

    /// For a program on its way: one piece, which can grow a little where it does not compress.
    pub const PROGRAM: Self = {
        let bytes = (PROGRAM_PIECE_BYTES + PROGRAM_PIECE_BYTES / 8) as u64;
        Self { frames: 1, frame_bytes: bytes, batch_bytes: bytes }
    };

    /// Whether a batch keeps to the limits.
    ///
    /// # Errors
    /// When it does not: the first limit that it exceeds.
    pub fn check(&self, frames: &Frames) -> Result<(), WireError> {
        self.check_count(frames.bytes.len())?;
        self.check_lengths(frames.bytes.iter().map(|frame| frame.len() as u64))
    }

    fn check_count(&self, frames: usize) -> Result<(), WireError> {
        if frames > self.frames {
            let limit = self.frames;
            return Err(WireError::Frames { frames, limit });
        }
        Ok(())
    }

    fn check_lengths(&self, lengths: impl Iterator<Item = u64>) -> Result<(), WireError> {
        let mut sum = 0_u64;
        for bytes in lengths {
            if bytes > self.frame_bytes || usize::try_from(bytes).is_err() {
                let limit = self.frame_bytes;
                return Err(WireError::Frame { bytes, limit });
            }
            sum = sum.saturating_add(bytes);
        }
        if sum > self.batch_bytes {
            return Err(WireError::Batch { bytes: sum, limit: self.batch_bytes });
        }
        Ok(())
    }
}

/// The bytes of one batch, to be written in vectored writes.
///
/// # Errors
/// When the batch exceeds [`Limits::MESSAGES`], which no peer accepts.
pub fn encode(frames: &Frames) -> Result<Chunks, WireError> {
    Limits::MESSAGES.check(frames)?;
    let small = |frame: &Bytes| frame.len() <= COPY_BYTES;
    let copied: usize = frames.bytes.iter().filter(|f| small(f)).map(Bytes::len).sum();
    let mut text = BytesMut::with_capacity(START_BYTES + 8 * frames.bytes.len() + copied);
    text.put_slice(&MAGIC);
    text.put_u32_le(u32::try_from(frames.bytes.len()).unwrap_or(u32::MAX));
    for frame in &frames.bytes {
        text.put_u64_le(frame.len() as u64);
    }
    let mut chunks = VecDeque::new();
    for frame in &frames.bytes {
        if small(frame) {
            text.put_slice(frame);
        } else {
            if !text.is_empty() {
                chunks.push_back(text.split().freeze());
            }
            chunks.push_back(frame.clone());
        }
    }
    if !text.is_empty() {
        chunks.push_back(text.freeze());
    }
    let remaining = chunks.iter().map(Bytes::len).sum();
    Ok(Chunks { chunks, remaining })
}

/// What is still to be written of a batch.
#[derive(Debug)]
pub struct Chunks {
    /// None is empty.
    chunks: VecDeque<Bytes>,
    remaining: usize,
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map(Bytes::as_ref).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.chunks);
        pairs.map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end of a batch");
        self.remaining -= count;
        while let Some(front) = self.chunks.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.chunks.pop_front();
        }
    }
}

/// Puts batches together from the bytes of a stream, however they are cut.
///
/// ```
/// use dask_proto::{Frames, wire};
/// use bytes::{Buf, Bytes};
///
/// let sent = Frames::new(vec![Bytes::from_static(b"one"), Bytes::new()]);
/// let mut chunks = wire::encode(&sent)?;
/// let mut decoder = wire::Decoder::new(wire::Limits::HANDSHAKE);
/// let mut received = None;
/// while received.is_none() {
///     let mut byte: &[u8] = &[chunks.get_u8()];
///     received = decoder.decode(&mut byte)?;
/// }
/// assert_eq!(received.map(|frames| frames.bytes), Some(sent.bytes));
/// # Ok::<(), wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    prefix: Vec<u8>,
    batch: Option<Batch>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, prefix: Vec::new(), batch: None }
    }

    /// Sets the limits for batches whose prefix is not yet read.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes bytes from the front of `input`, up to the end of a batch, and returns that batch. All
    /// of the input is taken when it returns `None`.
    ///
    /// # Errors
    /// When the stream is no sequence of batches within the limits; it cannot be decoded further.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frames>, WireError> {
        if self.batch.is_none() {
            self.batch = self.read_prefix(input)?;
        }
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        if !batch.fill(input) {
            return Ok(None);
        }
        Ok(self.batch.take().map(|batch| Frames::new(batch.frames)))
    }

    /// Where to put what is read next, when a large frame is under way: nothing else belongs to it,
    /// so it can be read in place. [`decode`](Self::decode) then continues without further input.
    pub fn space(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        self.batch.as_mut().and_then(Batch::space)
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// [`WireError::Truncated`] inside a batch.
    pub fn finish(&self) -> Result<(), WireError> {
        if self.prefix.is_empty() && self.batch.is_none() {
            Ok(())
        } else {
            Err(WireError::Truncated)
        }
    }

    fn read_prefix(&mut self, input: &mut &[u8]) -> Result<Option<Batch>, WireError> {
        self.take_prefix(input, START_BYTES);
        let known = self.prefix.len().min(MAGIC.len());
        if self.prefix[..known] != MAGIC[..known] {
            return Err(self.foreign(input));
        }
        let Some(count) = self.prefix.get(MAGIC.len()..START_BYTES) else {
            return Ok(None);
        };
        let count = count.try_into().map_or(u32::MAX, u32::from_le_bytes);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.limits.check_count(count)?;
        self.take_prefix(input, START_BYTES + 8 * count);
        if self.prefix.len() < START_BYTES + 8 * count {
            return Ok(None);
        }
        let (lengths, _) = self.prefix[START_BYTES..].as_chunks::<8>();
        let lengths: Vec<u64> = lengths.iter().copied().map(u64::from_le_bytes).collect();
        self.limits.check_lengths(lengths.iter().copied())?;
        self.prefix.clear();
        Ok(Some(Batch::new(&lengths)))
    }

    /// Makes the prefix `length` bytes long, as far as there is input.
    fn take_prefix(&mut self, input: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.prefix.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.prefix.extend_from_slice(taken);
        *input = rest;
    }

    fn foreign(&self, rest: &[u8]) -> WireError {
        let quoted = QUOTED_BYTES.saturating_sub(self.prefix.len());
        let bytes = [&self.prefix, &rest[..rest.len().min(quoted)]].concat();
        WireError::Foreign { start: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

/// A batch whose prefix is read.
#[derive(Debug)]
struct Batch {
    /// What is still to come, the current frame's whole length first. Checked to fit `usize`.
    lengths: VecDeque<usize>,
    current: Vec<u8>,
    frames: Vec<Bytes>,
}

impl Batch {
    fn new(lengths: &[u64]) -> Self {
        let in_memory = |&length| usize::try_from(length).unwrap_or(usize::MAX);
        Self {
            lengths: lengths.iter().map(in_memory).collect(),
            current: Vec::new(),
            frames: Vec::with_capacity(lengths.len()),
        }
    }

    /// Takes input; whether the batch is complete.
    fn fill(&mut self, input: &mut &[u8]) -> bool {
        while let Some(&length) = self.lengths.front() {
            while self.current.len() < length && !input.is_empty() {
                let room = self.reserve(length);
                let (taken, rest) = input.split_at(room.min(input.len()));
                self.current.extend_from_slice(taken);
                *input = rest;
            }
            if self.current.len() < length {
                return false;
            }
            self.lengths.pop_front();
            self.frames.push(std::mem::take(&mut self.current).into());
        }
        true
    }

    fn space(&mut self) -> Option<Limit<&mut Vec<u8>>> {
        let length = *self.lengths.front()?;
        if length - self.current.len() < DIRECT_BYTES {
            return None;
        }
        let room = self.reserve(length);
        Some((&mut self.current).limit(room))
    }

    /// Reserves memory for the current frame, and returns how much of what it misses has a place.
    fn reserve(&mut self, length: usize) -> usize {
        let missing = length - self.current.len();
        if self.current.len() == self.current.capacity() {
            let step = self.current.len().max(RESERVE_BYTES);
            self.current.reserve_exact(missing.min(step));
        }
        missing.min(self.current.capacity() - self.current.len())
    }
}

#[cfg(test)]
mod tests;
