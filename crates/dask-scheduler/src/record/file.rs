//! The format of a recording.
//!
//! It starts with 16 bytes that no other file starts with, and the version of this format. Then
//! come entries, the [`Header`] first. An entry is a tag, the number of its frames, the length of
//! what follows, a checksum of these; then the lengths of its frames, the frames, and a checksum of
//! all that. Numbers are little-endian.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use dask_proto::codec::{self, Carriage, DecodeError};
use dask_proto::message::PROTOCOL_VERSION;
use dask_proto::{Address, Frames};
use serde::{Deserialize, Serialize};

use super::digest::checksum;
use crate::Config;

const MAGIC: [u8; 16] = *b"dask-recording\r\n";

/// The version of this format. Whoever changes it, or what events and instructions consist of
/// without a new protocol version, counts it up.
const FORMAT_VERSION: u16 = 1;

const HEAD_BYTES: usize = 17;
const CHECKSUM_BYTES: usize = 8;

/// What a recording starts with: all that a state is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of this package that wrote it, for people.
    pub version: String,
    /// The scheduler's configuration.
    pub config: Config,
    /// Where it listened.
    pub address: Address,
}

/// A recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its bytes cannot be had.
    #[error("cannot read on after {at} bytes")]
    Read {
        /// How many bytes were read before.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("this is no recording of a scheduler")]
    Foreign,
    /// Other programs wrote it.
    #[error(
        "the recording has format {format} and protocol {protocol}, and this program reads format \
         {FORMAT_VERSION} and protocol {PROTOCOL_VERSION}: replay it with the program that wrote it"
    )]
    Version {
        /// The version of its format.
        format: u16,
        /// The version of its messages.
        protocol: u16,
    },
    /// Bytes are not what was written.
    #[error("the recording is damaged: the entry at byte {at} is not what was written")]
    Damaged {
        /// Where the entry starts.
        at: u64,
    },
    /// An entry is whole, and yet means nothing.
    #[error(
        "the entry at byte {at} cannot be decoded: another version of the program wrote it, or \
         its start is missing"
    )]
    Entry {
        /// Where the entry starts.
        at: u64,
        /// Why.
        source: DecodeError,
    },
    /// An entry is whole, and does not belong where it is.
    #[error("the entry at byte {at} does not belong there")]
    Order {
        /// Where the entry starts.
        at: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// The header.
    Header = 1,
    /// A moment and an event.
    Event = 2,
    /// One instruction that followed, where they are recorded whole.
    Instruction = 3,
    /// The digests of all that followed from the last event.
    Outcome = 4,
    /// Why nothing follows.
    End = 5,
}

/// Writes the start of a file.
pub(super) fn write_header(out: &mut impl Write, header: &Header) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&FORMAT_VERSION.to_le_bytes())?;
    out.write_all(&PROTOCOL_VERSION.to_le_bytes())?;
    write_value(out, Tag::Header, header)
}

/// Writes an entry that has no payloads.
pub(super) fn write_value(
    out: &mut impl Write,
    tag: Tag,
    value: &impl Serialize,
) -> io::Result<()> {
    let frames = codec::encode_record(value, Carriage::Bytes).map_err(io::Error::other)?;
    write_entry(out, tag, &frames)
}

/// Writes an entry.
pub(super) fn write_entry(out: &mut impl Write, tag: Tag, frames: &Frames) -> io::Result<()> {
    let count = u32::try_from(frames.bytes.len()).map_err(io::Error::other)?;
    let mut lengths = Vec::with_capacity(8 * frames.bytes.len());
    for frame in &frames.bytes {
        lengths.extend_from_slice(&(frame.len() as u64).to_le_bytes());
    }
    let body = lengths.len() as u64 + frames.byte_len() + CHECKSUM_BYTES as u64;
    out.write_all(&head(tag, count, body))?;
    out.write_all(&lengths)?;
    for frame in &frames.bytes {
        out.write_all(frame)?;
    }
    let pieces = frames.bytes.iter().map(|frame| &frame[..]);
    out.write_all(&checksum::<CHECKSUM_BYTES>(std::iter::once(&lengths[..]).chain(pieces)))
}

fn head(tag: Tag, count: u32, body: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = tag as u8;
    head[1..5].copy_from_slice(&count.to_le_bytes());
    head[5..13].copy_from_slice(&body.to_le_bytes());
    let sum = checksum::<4>([&head[..13]]);
    head[13..].copy_from_slice(&sum);
    head
}

/// An entry as it is in the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tag: Tag,
    /// Where it starts.
    pub(super) at: u64,
    pub(super) frames: Frames,
}

impl Entry {
    /// What it means.
    pub(super) fn decode<T: serde::de::DeserializeOwned>(self) -> Result<T, ReadError> {
        let at = self.at;
        codec::decode_record(self.frames).map_err(|source| ReadError::Entry { at, source })
    }
}

/// Reads entries one after the other.
pub(super) struct Reader {
    input: Box<dyn Read + Send>,
    /// How much there is.
    pub(super) len: u64,
    /// How much has been read.
    pub(super) at: u64,
}

impl Reader {
    /// Reads the start of a file of so many bytes.
    pub(super) fn new(input: Box<dyn Read + Send>, len: u64) -> Result<(Self, Header), ReadError> {
        let mut reader = Self { input, len, at: 0 };
        let mut start = [0; 20];
        if !reader.fill(&mut start)? || start[..16] != MAGIC {
            return Err(ReadError::Foreign);
        }
        let format = u16::from_le_bytes([start[16], start[17]]);
        let protocol = u16::from_le_bytes([start[18], start[19]]);
        if (format, protocol) != (FORMAT_VERSION, PROTOCOL_VERSION) {
            return Err(ReadError::Version { format, protocol });
        }
        let at = reader.at;
        match reader.next()? {
            Some(entry) if entry.tag == Tag::Header => Ok((reader, entry.decode()?)),
            _ => Err(ReadError::Damaged { at }),
        }
    }

    /// The next entry; `None` where the file ends, within an entry or between two.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ReadError> {
        let at = self.at;
        let damaged = ReadError::Damaged { at };
        let mut head = [0; HEAD_BYTES];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let Some((tag, count, body)) = parse_head(&head) else {
            return Err(damaged);
        };
        // Checked before memory is taken: what is announced is there, or the file was cut.
        if body > self.len.saturating_sub(self.at) {
            return Ok(None);
        }
        let Ok(body) = usize::try_from(body) else {
            return Err(damaged);
        };
        let mut bytes = vec![0; body];
        if !self.fill(&mut bytes)? {
            return Ok(None);
        }
        let frames = parse_body(bytes.into(), count).ok_or(damaged)?;
        Ok(Some(Entry { tag, at, frames }))
    }

    /// Fills a buffer; `false` where the file ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, ReadError> {
        match self.input.read_exact(buffer) {
            Ok(()) => {
                self.at += buffer.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(source) => Err(ReadError::Read { at: self.at, source }),
        }
    }
}

fn parse_head(bytes: &[u8; HEAD_BYTES]) -> Option<(Tag, usize, u64)> {
    let mut rest = &bytes[..];
    let tag = match rest.get_u8() {
        1 => Tag::Header,
        2 => Tag::Event,
        3 => Tag::Instruction,
        4 => Tag::Outcome,
        5 => Tag::End,
        _ => return None,
    };
    let (count, body) = (rest.get_u32_le(), rest.get_u64_le());
    let is_whole = head(tag, count, body) == *bytes;
    Some((tag, usize::try_from(count).ok()?, body)).filter(|_| is_whole)
}

fn parse_body(mut bytes: Bytes, count: usize) -> Option<Frames> {
    let sum = bytes.split_off(bytes.len().checked_sub(CHECKSUM_BYTES)?);
    if checksum::<CHECKSUM_BYTES>([&bytes[..]]) != sum[..] {
        return None;
    }
    let mut lengths = bytes.split_to(count.checked_mul(8).filter(|n| *n <= bytes.len())?);
    let mut frames = Vec::with_capacity(count);
    while lengths.has_remaining() {
        let length = usize::try_from(lengths.get_u64_le()).ok()?;
        frames.push(bytes.split_to(Some(length).filter(|length| *length <= bytes.len())?));
    }
    bytes.is_empty().then(|| Frames::new(frames))
}
