//! What is encoded is decoded as it was, wherever its payloads travel.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use dask_proto::codec::{self, Carriage, DecodeError, EncodeError};
use dask_proto::limits::{
    BLOB_PAYLOAD_BYTES, MAX_FRAMES, MAX_HEADER_BYTES, MAX_KEY_BYTES, MAX_MESSAGES,
};
use dask_proto::message::{
    ClientToScheduler, VersionRange, decode_hello, decode_welcome, encode_hello, encode_welcome,
};
use dask_proto::{Frames, Object, Payload, Split, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sample;

fn round_trip<M: Serialize + DeserializeOwned + Debug + PartialEq>(messages: Vec<M>) {
    for carriage in [Carriage::Bytes, Carriage::Objects] {
        let frames = codec::encode(&messages, carriage).unwrap();
        assert_eq!(codec::decode::<M>(frames).unwrap(), messages);
    }
}

#[test]
fn every_message_survives() {
    round_trip(sample::client_to_scheduler());
    round_trip(sample::scheduler_to_client());
    round_trip(sample::scheduler_to_worker());
    round_trip(sample::worker_to_scheduler());
    round_trip(sample::scheduler_to_agent());
    round_trip(sample::agent_to_scheduler());
    round_trip(sample::peer_requests());
    round_trip(sample::peer_replies());
    round_trip(Vec::<ClientToScheduler>::new());
    for hello in sample::roles().into_iter().map(sample::hello) {
        let frames = encode_hello(VersionRange::OURS, &hello).unwrap();
        assert_eq!(decode_hello(&frames).unwrap().1, hello);
    }
    for welcome in sample::welcomes() {
        let frames = encode_welcome(VersionRange::OURS, &welcome).unwrap();
        assert_eq!(decode_welcome(&frames).unwrap().1, welcome);
    }
}

#[test]
fn a_payload_is_found_again_wherever_it_travels() {
    let sizes = [0, 1, BLOB_PAYLOAD_BYTES, BLOB_PAYLOAD_BYTES + 1, 1 << 20, 3];
    let payloads: Vec<Payload> =
        sizes.iter().map(|&size| Bytes::from(vec![size as u8; size]).into()).collect();
    let frames = codec::encode(&payloads, Carriage::Bytes).unwrap();
    // The header, the blob, and one frame for each that is too large for it.
    let lengths: Vec<usize> = frames.bytes.iter().skip(1).map(Bytes::len).collect();
    assert_eq!(lengths, [BLOB_PAYLOAD_BYTES + 4, BLOB_PAYLOAD_BYTES + 1, 1 << 20]);
    assert_eq!(codec::decode::<Payload>(frames).unwrap(), payloads);
}

#[test]
fn a_large_payload_is_not_copied() {
    let large = Bytes::from(vec![1; 1 << 20]);
    let payload = Payload::from(large.clone());
    let frames = codec::encode(&[payload], Carriage::Bytes).unwrap();
    assert_eq!(frames.bytes[2].as_ptr(), large.as_ptr());
}

#[test]
fn a_record_is_no_message_and_may_be_larger_than_any() {
    let text = "x".repeat(MAX_HEADER_BYTES + 1);
    let large = Payload::from(Bytes::from(vec![1; BLOB_PAYLOAD_BYTES + 1]));
    let record = (text, vec![large; MAX_FRAMES], Payload::from(Bytes::from_static(b"small")));
    let frames = codec::encode_record(&record, Carriage::Bytes).unwrap();
    assert_eq!(frames.bytes.len(), MAX_FRAMES + 2);
    assert_eq!(codec::decode_record::<(String, Vec<Payload>, Payload)>(frames).unwrap(), record);
    let error = codec::decode_record::<Payload>(Frames::default()).unwrap_err();
    assert!(matches!(error, DecodeError::Empty), "{error:?}");
}

#[test]
fn a_payload_in_two_pieces_arrives_as_it_was_and_its_tail_is_not_copied() {
    let head = Bytes::from_static(b"the head");
    let tail = Bytes::from(vec![7; 1 << 20]);
    let split = Payload::from(Split { head: head.clone(), tail: tail.clone() });
    let small = Payload::from(Split { head, tail: tail.slice(..3) });
    let frames = codec::encode(&[split.clone(), small.clone()], Carriage::Bytes).unwrap();
    assert_eq!(frames.bytes[2].as_ptr(), tail.as_ptr());
    let decoded: Vec<Payload> = codec::decode(frames).unwrap();
    assert_eq!(decoded[0], split);
    assert_eq!(decoded[1].to_bytes(), small.to_bytes());
}

#[test]
fn a_payload_whose_head_or_tail_is_missing_is_refused() {
    let head = Bytes::from_static(b"the head");
    let split = Payload::from(Split { head, tail: vec![7; 1 << 20].into() });
    let frames = codec::encode(&[split], Carriage::Bytes).unwrap();
    let without = |index: usize, bytes: Bytes| {
        let mut frames = frames.clone();
        frames.bytes[index] = bytes;
        codec::decode::<Payload>(frames).unwrap_err()
    };
    let blob = &frames.bytes[1];
    for cut in 0..blob.len() {
        without(1, blob.slice(..cut));
    }
    without(1, Bytes::from([&[65_u8; 1][..], &[0; 65]].concat()));
    without(2, frames.bytes[2].slice(1..));
}

/// A value whose encoding can be recognised, or fail, or encode a batch of its own.
struct Live(Result<&'static str, &'static str>);

impl Object for Live {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        let inner = codec::encode(&[sample::payload("inner")], Carriage::Bytes);
        assert_eq!(inner.unwrap().bytes[1], "inner");
        match self.0 {
            Ok(text) => Ok(Bytes::from_static(text.as_bytes()).into()),
            Err(reason) => {
                Err(ValueError::Encode { type_name: "Live".to_owned(), reason: reason.to_owned() })
            }
        }
    }

    fn encode_to(&self, _: &mut dyn std::io::Write) -> Result<(), ValueError> {
        unreachable!("only a worker writes to its disk")
    }

    fn nbytes(&self) -> u64 {
        100
    }

    fn type_name(&self) -> &'static str {
        "Live"
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

#[test]
fn an_object_passes_by_reference_inside_a_process_and_is_encoded_outside() {
    let object = Payload::Object(Arc::new(Live(Ok("encoded"))));
    let payloads = [sample::payload("before"), object, sample::payload("after")];

    let frames = codec::encode(&payloads, Carriage::Objects).unwrap();
    assert_eq!(frames.objects.len(), 1);
    assert_eq!(codec::decode::<Payload>(frames).unwrap(), payloads);

    let frames = codec::encode(&payloads, Carriage::Bytes).unwrap();
    assert!(frames.objects.is_empty());
    let decoded = codec::decode::<Payload>(frames).unwrap();
    assert_eq!(decoded, ["before", "encoded", "after"].map(sample::payload));
}

#[test]
fn an_object_that_cannot_be_encoded_fails_its_batch_and_no_other() {
    let broken = [Payload::Object(Arc::new(Live(Err("too shy"))))];
    let error = codec::encode(&broken, Carriage::Bytes).unwrap_err();
    let EncodeError::Messages(cause) = &error else {
        panic!("{error:?}");
    };
    assert!(cause.to_string().contains("too shy"), "{cause}");
    round_trip(vec![sample::payload("unharmed")]);
}

#[test]
fn outside_of_a_batch_a_payload_is_a_byte_string() {
    let payload = sample::payload("alone");
    let bytes = codec::encode_one(&payload).unwrap();
    assert_eq!(&bytes[..], b"\x05alone");
    assert_eq!(codec::decode_one::<Payload>(&bytes).unwrap(), payload);
}

#[test]
fn a_batch_over_a_limit_is_refused_on_the_way_out() {
    let long = "k".repeat(MAX_KEY_BYTES);
    let keys = vec![sample::key(&long); MAX_HEADER_BYTES / MAX_KEY_BYTES + 1];
    let error = codec::encode(&keys, Carriage::Bytes).unwrap_err();
    assert!(matches!(error, EncodeError::Messages(_)), "{error:?}");

    let large = Payload::from(Bytes::from(vec![0; BLOB_PAYLOAD_BYTES + 1]));
    let error = codec::encode(&vec![large.clone(); MAX_FRAMES - 1], Carriage::Bytes);
    assert!(matches!(error, Err(EncodeError::Frames { .. })), "{error:?}");
    codec::encode(&vec![large; MAX_FRAMES - 2], Carriage::Bytes).unwrap();

    codec::encode(&vec![0_u8; MAX_MESSAGES], Carriage::Bytes).unwrap();
    let error = codec::encode(&vec![0_u8; MAX_MESSAGES + 1], Carriage::Bytes);
    assert!(matches!(error, Err(EncodeError::Messages(_))), "{error:?}");
}

#[test]
fn a_batch_over_a_limit_is_refused_on_the_way_in() {
    let header = Bytes::from(vec![0; MAX_HEADER_BYTES + 1]);
    let error = codec::decode::<u8>(Frames::new(vec![header])).unwrap_err();
    assert!(matches!(error, DecodeError::Header { .. }), "{error:?}");

    let mut many = vec![252];
    many.extend_from_slice(&(MAX_MESSAGES as u32 + 1).to_le_bytes());
    many.resize(many.len() + MAX_MESSAGES + 1, 0);
    let error = codec::decode::<u8>(Frames::new(vec![many.into()])).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("over the limit"), "{cause}");
}
