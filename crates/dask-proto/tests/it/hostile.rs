//! Bytes that nobody should send: no panic, no hang, no memory to speak of.

use std::fmt::Debug;

use bytes::{Buf, Bytes};
use dask_proto::codec::{self, Carriage, DecodeError};
use dask_proto::limits::{BLOB_PAYLOAD_BYTES, MAX_HANDSHAKE_BYTES};
use dask_proto::message::{
    AgentToScheduler, ClientToScheduler, HandshakeError, PROTOCOL_VERSION, PeerReply, PeerRequest,
    SchedulerToAgent, SchedulerToClient, SchedulerToWorker, VersionRange, WorkerToScheduler,
    decode_hello, encode_hello,
};
use dask_proto::{Frames, Payload, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::allocation::peak;
use crate::{anything, sample};

/// Serde reserves at most 1 MiB ahead per sequence; sequences nest a few levels.
const BOUND: usize = 6 << 20;

/// A generator whose numbers are the same on every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 300;
        // Small numbers are variants and lengths that make sense, and so lead further.
        let most = [8, 16, 256][(self.next() % 3) as usize];
        (0..length).map(|_| (self.next() % most) as u8).collect()
    }
}

fn every_decoder(data: &[u8]) {
    anything::messages::<ClientToScheduler>(data);
    anything::messages::<SchedulerToClient>(data);
    anything::messages::<SchedulerToWorker>(data);
    anything::messages::<WorkerToScheduler>(data);
    anything::messages::<AgentToScheduler>(data);
    anything::messages::<SchedulerToAgent>(data);
    anything::messages::<PeerRequest>(data);
    anything::messages::<PeerReply>(data);
    anything::stream(data);
    anything::handshake(data);
}

#[test]
fn random_bytes_decode_or_fail_within_bounds() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..30_000 {
        let data = random.bytes();
        let held = peak(|| every_decoder(&data));
        assert!(held < BOUND, "round {round}: {held} bytes for {data:?}");
    }
}

#[test]
fn random_bytes_behind_a_right_start_fail_within_bounds() {
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    let hello = encode_hello(VersionRange::OURS, &sample::hello(sample::roles().remove(1)));
    let hello = hello.unwrap().bytes[0].clone();
    for round in 0..20_000 {
        let mut said = hello[..12].to_vec();
        said.extend(random.bytes());
        let mut streamed = vec![b'd', b'a', b's', b'k', (random.next() % 5) as u8, 0, 0, 0];
        streamed.extend(random.bytes());
        let held = peak(|| {
            anything::handshake(&said);
            anything::stream(&streamed);
        });
        assert!(held < BOUND, "round {round}: {held} bytes");
    }
}

/// Every truncation of the header and of the other frames, and every byte of them changed.
fn harm<M: Serialize + DeserializeOwned + Debug>(messages: &[M]) {
    for message in messages {
        let valid = codec::encode(std::slice::from_ref(message), Carriage::Bytes).unwrap();
        for (i, frame) in valid.bytes.iter().enumerate() {
            let decode = |harmed: Vec<u8>| {
                let mut frames = valid.clone();
                frames.bytes[i] = harmed.into();
                let mut outcome = None;
                let held = peak(|| outcome = Some(codec::decode::<M>(frames)));
                assert!(held < BOUND, "{held} bytes for a harmed {message:?}");
                outcome.unwrap()
            };
            for end in 0..frame.len() {
                let outcome = decode(frame[..end].to_vec());
                assert!(outcome.is_err(), "{message:?} decodes without its end");
            }
            for at in 0..frame.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut harmed = frame.to_vec();
                    harmed[at] ^= flip;
                    // It may well be another message.
                    let _ = decode(harmed);
                }
            }
        }
        let mut longer = valid.clone();
        longer.bytes[0] = [&valid.bytes[0][..], &[0]].concat().into();
        assert!(codec::decode::<M>(longer).is_err(), "{message:?} decodes with a tail");
    }
}

#[test]
fn harmed_batches_decode_or_fail_within_bounds() {
    harm(&sample::client_to_scheduler());
    harm(&sample::scheduler_to_client());
    harm(&sample::scheduler_to_worker());
    harm(&sample::worker_to_scheduler());
    harm(&sample::scheduler_to_agent());
    harm(&sample::agent_to_scheduler());
    harm(&sample::peer_requests());
    harm(&sample::peer_replies());
}

#[test]
fn a_harmed_stream_decodes_or_fails() {
    let batch = codec::encode(&sample::peer_replies(), Carriage::Bytes).unwrap();
    let mut chunks = wire::encode(&batch).unwrap();
    let valid = chunks.copy_to_bytes(chunks.remaining());
    for at in 0..valid.len() {
        for flip in 1..=u8::MAX {
            let mut harmed = valid.to_vec();
            harmed[at] ^= flip;
            let held = peak(|| anything::stream(&harmed));
            assert!(held < BOUND, "byte {at} ^ {flip}: {held} bytes");
        }
    }
}

#[test]
fn a_batch_without_frames_is_empty() {
    let error = codec::decode::<PeerReply>(Frames::default()).unwrap_err();
    assert!(matches!(error, DecodeError::Empty));
}

#[test]
fn payloads_that_did_not_arrive_are_missed() {
    let payloads =
        [sample::payload("small"), Payload::from(Bytes::from(vec![1; BLOB_PAYLOAD_BYTES + 1]))];
    let valid = codec::encode(&payloads, Carriage::Bytes).unwrap();
    for harm in [
        |bytes: &mut Vec<Bytes>| bytes.truncate(1),
        |bytes: &mut Vec<Bytes>| bytes.truncate(2),
        |bytes: &mut Vec<Bytes>| bytes[1] = bytes[1].slice(1..),
        |bytes: &mut Vec<Bytes>| bytes[2] = bytes[2].slice(1..),
    ] {
        let mut frames = valid.clone();
        harm(&mut frames.bytes);
        let error = codec::decode::<Payload>(frames).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("did not arrive"), "{cause}");
    }
    // An object, a reference of no kind, and a length beyond any limit.
    for header in [&[1, 2][..], &[1, 3], &[1, 253, 1, 255, 255, 255, 255, 255, 255, 255]] {
        let frames = Frames::new(vec![header.to_vec().into()]);
        assert!(codec::decode::<Payload>(frames).is_err());
    }
}

#[test]
fn payloads_that_nobody_asked_for_are_refused() {
    let valid = codec::encode(&[sample::payload("small")], Carriage::Bytes).unwrap();
    for harm in [
        |bytes: &mut Vec<Bytes>| bytes[1] = Bytes::from_static(b"smaller"),
        |bytes: &mut Vec<Bytes>| bytes.push(Bytes::new()),
    ] {
        let mut frames = valid.clone();
        harm(&mut frames.bytes);
        let error = codec::decode::<Payload>(frames).unwrap_err();
        assert!(matches!(error, DecodeError::Leftover), "{error:?}");
    }
}

#[test]
fn a_stranger_is_told_apart() {
    let start = Frames::new(vec![Bytes::from_static(b"GET / HTTP/1.1")]);
    let error = decode_hello(&start).unwrap_err();
    assert!(error.to_string().contains("GET / HTTP/1.1"), "{error}");
    let large = Frames::new(vec![Bytes::from(vec![0; MAX_HANDSHAKE_BYTES + 1])]);
    let error = decode_hello(&large).unwrap_err();
    assert!(matches!(error, HandshakeError::TooLarge { .. }), "{error:?}");
    for frames in [Frames::default(), Frames::new(vec![Bytes::new(); 2])] {
        let error = decode_hello(&frames).unwrap_err();
        assert!(matches!(error, HandshakeError::NotDask { .. }), "{error:?}");
    }
}

#[test]
fn versions_are_compared_before_the_rest_is_decoded() {
    let range = |oldest, newest| VersionRange { oldest, newest };
    let next = PROTOCOL_VERSION + 1;
    for theirs in [range(0, 0), range(next, next + 7), range(next + 7, next), range(u16::MAX, 0)] {
        let mut bytes = b"dask-rs\0".to_vec();
        bytes.extend(theirs.oldest.to_le_bytes());
        bytes.extend(theirs.newest.to_le_bytes());
        bytes.extend(b"a future that nobody can read");
        let error = decode_hello(&Frames::new(vec![bytes.into()])).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Version { theirs: t, .. } if t == theirs),
            "{error:?}"
        );
    }
}
