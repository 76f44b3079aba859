//! Messages ⇄ [`Frames`]. The only module that knows bincode.
//!
//! Frame 0 holds the messages; frame 1 the small payloads, one behind the other; every further
//! frame is one large payload. A [`Payload`] inside a message is written as one number, its length
//! and its place, and payloads are read back in the order in which they were written. So a large
//! value is never copied into a batch, and a small one costs no allocation when it is read.
//!
//! Serde gives `Serialize` no context, so the payloads of the batch in work lie in a thread-local
//! for the duration of one [`encode`] or [`decode`] call, which cannot be suspended.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use bincode::Options;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::de::{DeserializeOwned, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{BLOB_PAYLOAD_BYTES, MAX_FRAMES, MAX_HEADER_BYTES, MAX_MESSAGES};
use crate::payload::{Object, Split, ValueError};
use crate::{Frames, Payload, SmallBytes};

/// Whether live objects may travel in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// Everything is encoded: the peer may be another process.
    Bytes,
    /// Objects pass by reference: the peer is in this process.
    Objects,
}

/// Messages could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A payload could not be encoded, or the messages exceed [`MAX_HEADER_BYTES`] or
    /// [`MAX_MESSAGES`].
    #[error("messages could not be encoded")]
    Messages(#[source] bincode::Error),
    /// More large payloads than fit [`MAX_FRAMES`].
    #[error("a batch of {frames} frames is over the limit of {MAX_FRAMES} frames")]
    Frames {
        /// How many frames the batch would have.
        frames: usize,
    },
}

/// Frames are no messages of the expected kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The batch has no header frame.
    #[error("a batch without frames")]
    Empty,
    /// The header frame is over [`MAX_HEADER_BYTES`].
    #[error("a header of {bytes} bytes is over the limit of {MAX_HEADER_BYTES} bytes")]
    Header {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The header frame does not decode, or refers to payloads that did not arrive.
    #[error("messages could not be decoded")]
    Messages(#[source] bincode::Error),
    /// Payloads arrived that no message refers to.
    #[error("a batch with payloads that no message refers to")]
    Leftover,
}

/// Encodes one batch of messages.
///
/// # Errors
/// When an object in it cannot be encoded, or the batch exceeds a limit.
pub fn encode<M: Serialize>(messages: &[M], carriage: Carriage) -> Result<Frames, EncodeError> {
    let scope = Scope::enter(Attachments::writing(carriage));
    let header = encode_one(&Batch(messages))?;
    let attachments = scope.leave();
    if attachments.frames.len() + 2 > MAX_FRAMES {
        return Err(EncodeError::Frames { frames: attachments.frames.len() + 2 });
    }
    let mut bytes = Vec::with_capacity(2 + attachments.frames.len());
    bytes.push(header);
    if !(attachments.blob.is_empty() && attachments.frames.is_empty()) {
        bytes.push(attachments.blob.freeze());
    }
    bytes.extend(attachments.frames);
    Ok(Frames { bytes, objects: attachments.objects })
}

/// Decodes one batch of messages.
///
/// # Errors
/// When the frames are anything but what [`encode`] makes of messages of this type.
pub fn decode<M: DeserializeOwned>(frames: Frames) -> Result<Vec<M>, DecodeError> {
    let mut bytes = frames.bytes.into_iter();
    let header = bytes.next().ok_or(DecodeError::Empty)?;
    if header.len() > MAX_HEADER_BYTES {
        return Err(DecodeError::Header { bytes: header.len() });
    }
    let blob = bytes.next().unwrap_or_default();
    let scope = Scope::enter(Attachments::reading(blob, bytes.collect(), frames.objects));
    let Batch(messages) = bincode().deserialize(&header).map_err(DecodeError::Messages)?;
    if scope.leave().is_used_up() { Ok(messages) } else { Err(DecodeError::Leftover) }
}

/// Encodes one value that is no batch, such as a handshake.
///
/// # Errors
/// When the value cannot be encoded or exceeds [`MAX_HEADER_BYTES`].
pub fn encode_one<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    // Not bincode's own limit: to check it, bincode serializes everything twice, and a payload
    // attaches itself each time.
    let mut header = Header(Vec::new());
    bincode().with_no_limit().serialize_into(&mut header, value).map_err(EncodeError::Messages)?;
    Ok(header.0.into())
}

/// Decodes one value that is no batch.
///
/// # Errors
/// When the bytes are anything but what [`encode_one`] makes of a value of this type.
pub fn decode_one<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    bincode().deserialize(bytes).map_err(DecodeError::Messages)
}

/// Encodes one value of any size for a file of our own, which has no reader to protect.
///
/// As in a batch, small payloads are in the second frame, and each large one is a frame of its own,
/// which is not copied.
///
/// # Errors
/// When an object in it cannot be encoded.
pub fn encode_record<T: Serialize>(value: &T, carriage: Carriage) -> Result<Frames, EncodeError> {
    let scope = Scope::enter(Attachments::writing(carriage));
    let mut record = Vec::new();
    let encoded = bincode().with_no_limit().serialize_into(&mut record, value);
    encoded.map_err(EncodeError::Messages)?;
    let Attachments { blob, frames, objects, .. } = scope.leave();
    let mut bytes = vec![record.into()];
    if !(blob.is_empty() && frames.is_empty()) {
        bytes.push(blob.freeze());
    }
    bytes.extend(frames);
    Ok(Frames { bytes, objects })
}

/// Decodes what [`encode_record`] made. The frames must be known to be as they were written, by a
/// checksum say: there is no limit but their own lengths.
///
/// # Errors
/// When the frames are anything but what [`encode_record`] makes of a value of this type.
pub fn decode_record<T: DeserializeOwned>(frames: Frames) -> Result<T, DecodeError> {
    let mut bytes = frames.bytes.into_iter();
    let record = bytes.next().ok_or(DecodeError::Empty)?;
    let blob = bytes.next().unwrap_or_default();
    let scope = Scope::enter(Attachments::reading(blob, bytes.collect(), frames.objects));
    let value = bincode().with_no_limit().deserialize(&record).map_err(DecodeError::Messages)?;
    if scope.leave().is_used_up() { Ok(value) } else { Err(DecodeError::Leftover) }
}

fn bincode() -> impl Options {
    bincode::DefaultOptions::new().with_varint_encoding().with_limit(MAX_HEADER_BYTES as u64)
}

/// Bytes up to the limit for a header.
struct Header(Vec<u8>);

/// The batch does not fit.
#[derive(Debug, thiserror::Error)]
#[error("the messages are over the limit of {MAX_HEADER_BYTES} bytes")]
struct HeaderFull;

impl Write for Header {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    // Most calls write one byte: inlined, it is one store.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.len() + bytes.len() > MAX_HEADER_BYTES {
            return Err(io::Error::other(HeaderFull));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Messages whose number is within the limit, as a sequence.
struct Batch<T>(T);

/// For how many messages of a batch there is room before they are read: some hundred kilobytes.
const ANNOUNCED: usize = 1024;

/// A batch has too many messages.
#[derive(Debug, thiserror::Error)]
#[error("a batch of {messages} messages is over the limit of {MAX_MESSAGES} messages")]
struct TooMany {
    messages: usize,
}

impl<M: Serialize> Serialize for Batch<&[M]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages = self.0.len();
        if messages > MAX_MESSAGES {
            return Err(serde::ser::Error::custom(TooMany { messages }));
        }
        self.0.serialize(serializer)
    }
}

impl<'de, M: Deserialize<'de>> Deserialize<'de> for Batch<Vec<M>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<M>(PhantomData<M>);
        impl<'de, M: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<M> {
            type Value = Batch<Vec<M>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a batch of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let announced = items.size_hint().unwrap_or(0);
                if announced > MAX_MESSAGES {
                    let messages = announced;
                    return Err(serde::de::Error::custom(TooMany { messages }));
                }
                // An announcement alone must not cost much memory.
                let mut messages = Vec::with_capacity(announced.min(ANNOUNCED));
                while let Some(message) = items.next_element()? {
                    messages.push(message);
                }
                Ok(Batch(messages))
            }
        }
        deserializer.deserialize_seq(Visitor(PhantomData))
    }
}

/// The payloads of the batch in work.
struct Attachments {
    direction: Direction,
    blob: BytesMut,
    rest: Bytes,
    frames: Vec<Bytes>,
    objects: Vec<Arc<dyn Object>>,
    next_frame: usize,
    next_object: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Write(Carriage),
    Read,
}

/// The low two bits of a payload's reference; the rest is its length.
const IN_BLOB: u64 = 0;
const OWN_FRAME: u64 = 1;
const OBJECT: u64 = 2;
/// Of a payload in two pieces the head is in the blob, behind its length in one byte, and the tail
/// is a frame of its own, whose length the reference has.
const SPLIT: u64 = 3;

/// A reference to a payload that did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("a payload of {length} bytes did not arrive with its message")]
pub(crate) struct Absent {
    length: u64,
}

impl Attachments {
    fn writing(carriage: Carriage) -> Self {
        Self {
            direction: Direction::Write(carriage),
            blob: BytesMut::new(),
            rest: Bytes::new(),
            frames: Vec::new(),
            objects: Vec::new(),
            next_frame: 0,
            next_object: 0,
        }
    }

    fn reading(blob: Bytes, frames: Vec<Bytes>, objects: Vec<Arc<dyn Object>>) -> Self {
        let direction = Direction::Read;
        Self { direction, rest: blob, frames, objects, ..Self::writing(Carriage::Bytes) }
    }

    fn put(&mut self, payload: &Payload, carriage: Carriage) -> Result<u64, ValueError> {
        let bytes = match (payload, carriage) {
            (Payload::Object(object), Carriage::Objects) => {
                self.objects.push(object.clone());
                return Ok(OBJECT);
            }
            (Payload::Split(split), _)
                if split.head.len() <= Split::MAX_HEAD_BYTES
                    && split.tail.len() > BLOB_PAYLOAD_BYTES =>
            {
                let Split { head, tail } = &**split;
                self.blob.put_u8(u8::try_from(head.len()).unwrap_or(u8::MAX));
                self.blob.extend_from_slice(head);
                self.frames.push(tail.clone());
                return Ok((tail.len() as u64) << 2 | SPLIT);
            }
            (payload, _) => {
                let in_blob = |bytes: &&[u8]| bytes.len() <= BLOB_PAYLOAD_BYTES;
                if let Some(bytes) = payload.as_bytes().filter(in_blob) {
                    self.blob.extend_from_slice(bytes);
                    return Ok((bytes.len() as u64) << 2 | IN_BLOB);
                }
                payload.to_bytes()?
            }
        };
        let length = (bytes.len() as u64) << 2;
        if bytes.len() <= BLOB_PAYLOAD_BYTES {
            self.blob.extend_from_slice(&bytes);
            Ok(length | IN_BLOB)
        } else {
            self.frames.push(bytes);
            Ok(length | OWN_FRAME)
        }
    }

    fn take(&mut self, reference: u64) -> Result<Payload, Absent> {
        let length = reference >> 2;
        let absent = Absent { length };
        match reference & 3 {
            IN_BLOB if length <= self.rest.len() as u64 => {
                let length = usize::try_from(length).map_err(|_| absent)?;
                if let Some(small) = SmallBytes::new(&self.rest[..length]) {
                    self.rest.advance(length);
                    return Ok(Payload::Small(small));
                }
                Ok(Payload::Bytes(self.rest.split_to(length)))
            }
            OWN_FRAME => self.take_frame(length).map(Payload::Bytes),
            SPLIT => {
                let head = usize::from(*self.rest.first().ok_or(Absent { length })?);
                if head > Split::MAX_HEAD_BYTES || head >= self.rest.len() {
                    return Err(absent);
                }
                self.rest.advance(1);
                let head = self.rest.split_to(head);
                Ok(Split { head, tail: self.take_frame(length)? }.into())
            }
            OBJECT => {
                let object = self.objects.get(self.next_object).ok_or(absent)?;
                self.next_object += 1;
                Ok(Payload::Object(object.clone()))
            }
            _ => Err(absent),
        }
    }

    fn take_frame(&mut self, length: u64) -> Result<Bytes, Absent> {
        let frame = self.frames.get_mut(self.next_frame);
        let frame = frame.filter(|frame| frame.len() as u64 == length).ok_or(Absent { length })?;
        self.next_frame += 1;
        // Taken out, so that who reads the value is the only one to hold its memory.
        Ok(std::mem::take(frame))
    }

    fn is_used_up(&self) -> bool {
        self.rest.is_empty()
            && self.next_frame == self.frames.len()
            && self.next_object == self.objects.len()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Attachments>> = const { RefCell::new(None) };
}

/// Puts attachments in place and takes them away again, also when encoding fails or panics.
struct Scope;

impl Scope {
    fn enter(attachments: Attachments) -> Self {
        CURRENT.with_borrow_mut(|current| *current = Some(attachments));
        Self
    }

    fn leave(self) -> Attachments {
        CURRENT.take().expect("a scope has attachments from enter to leave")
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.take();
    }
}

/// Adds a payload to the batch in work; `None` outside of one.
pub(crate) fn attach(payload: &Payload) -> Option<Result<u64, ValueError>> {
    let carriage = CURRENT.with_borrow(|current| match current.as_ref()?.direction {
        Direction::Write(carriage) => Some(carriage),
        Direction::Read => None,
    })?;
    let put = |payload: &Payload| {
        CURRENT.with_borrow_mut(|current| Some(current.as_mut()?.put(payload, carriage)))
    };
    let (Payload::Object(object), Carriage::Bytes) = (payload, carriage) else {
        return put(payload);
    };
    // An object's own encoding runs user code: it must find the thread-local free of borrows, and
    // no batch in work, since a payload inside it belongs to the object and not to the batch.
    let outer = CURRENT.take();
    let encoded = object.clone().encode();
    CURRENT.set(outer);
    match encoded {
        Ok(encoded) => put(&encoded),
        Err(error) => Some(Err(error)),
    }
}

/// Whether a batch is being decoded on this thread.
pub(crate) fn is_decoding() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|a| a.direction == Direction::Read))
}

/// The payload of the batch in work that a message refers to.
pub(crate) fn detach(reference: u64) -> Result<Payload, Absent> {
    CURRENT.with_borrow_mut(|current| match current {
        Some(attachments) => attachments.take(reference),
        None => Err(Absent { length: reference >> 2 }),
    })
}
