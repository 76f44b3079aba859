//! Decodes whatever it is given and checks what must hold for any bytes. Shared by the tests with
//! random input and the fuzz targets in `fuzz`.

use std::fmt::Debug;

use bytes::Bytes;
use dask_proto::codec::{self, Carriage};
use dask_proto::wire::{Decoder, Limits};
use dask_proto::{Frames, message};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes as a batch of messages: the first byte says how many frames there are besides the header,
/// each further frame takes as many bytes as its first one says.
///
/// # Panics
/// When what was decoded does not survive a round trip.
pub(crate) fn messages<M: Serialize + DeserializeOwned + Debug>(data: &[u8]) {
    let Ok(decoded) = codec::decode::<M>(frames(data)) else {
        return;
    };
    let encoded = codec::encode(&decoded, Carriage::Bytes).expect("what was decoded is encoded");
    let again = codec::decode::<M>(encoded).expect("what was encoded is decoded");
    assert_eq!(format!("{decoded:?}"), format!("{again:?}"));
}

/// Bytes as a stream, cut into pieces as its first byte says.
///
/// # Panics
/// When the decoder keeps input or goes over its limits.
pub(crate) fn stream(data: &[u8]) {
    let limits = Limits { frames: 100, frame_bytes: 1 << 20, batch_bytes: 2 << 20 };
    let piece = usize::from(data.first().copied().unwrap_or_default()) + 1;
    let mut decoder = Decoder::new(limits);
    for mut piece in data.chunks(piece) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frames)) => limits.check(&frames).expect("a batch within the limits"),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(piece.is_empty(), "input was not taken");
    }
    // Either is right: the input may end anywhere.
    let _ = decoder.finish();
}

/// Bytes as both halves of a handshake.
pub(crate) fn handshake(data: &[u8]) {
    let frames = Frames::new(vec![Bytes::copy_from_slice(data)]);
    // Any answer is right as long as there is one.
    let _ = message::decode_hello(&frames);
    let _ = message::decode_welcome(&frames);
}

fn frames(data: &[u8]) -> Frames {
    let Some((&count, mut rest)) = data.split_first() else {
        return Frames::default();
    };
    let mut tail = Vec::new();
    for _ in 0..count % 4 {
        let Some((&length, bytes)) = rest.split_first() else {
            break;
        };
        let (frame, bytes) = bytes.split_at(usize::from(length).min(bytes.len()));
        tail.push(Bytes::copy_from_slice(frame));
        rest = bytes;
    }
    let mut bytes = vec![Bytes::copy_from_slice(rest)];
    bytes.extend(tail);
    Frames::new(bytes)
}
