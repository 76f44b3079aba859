//! The bytes of every message, pinned: what changes them is a new protocol version.
//!
//! `UPDATE_GOLDEN=1 cargo test -p dask-proto` rewrites the files.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::path::Path;

use bytes::{Buf, Bytes};
use dask_proto::codec::{self, Carriage};
use dask_proto::id::{RequestId, TaskId};
use dask_proto::limits::BLOB_PAYLOAD_BYTES;
use dask_proto::message::{PeerReply, ValueAt, VersionRange, encode_hello, encode_welcome};
use dask_proto::{Frames, TaskErrorKind, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sample;

/// Each message, and the bytes of the whole batch on a stream.
fn check(name: &str, messages: &[impl Debug], batches: &[Frames]) {
    let mut text = String::new();
    for message in messages {
        writeln!(text, "{message:?}").unwrap();
    }
    let mut hex = String::new();
    for batch in batches {
        let mut chunks = wire::encode(batch).unwrap();
        for line in chunks.copy_to_bytes(chunks.remaining()).chunks(40) {
            line.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
            hex.push('\n');
        }
        hex.push('\n');
    }
    compare(&format!("{name}.txt"), &text);
    compare(&format!("{name}.bin"), &hex);
}

fn compare(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == now,
        "{file} changed: peers of the last build cannot read this. If that is meant, raise \
         PROTOCOL_VERSION and run with UPDATE_GOLDEN=1.\n{now}"
    );
}

/// Every message as a batch of its own in the file, so that a change points to its message.
fn messages<M: Serialize + Debug>(name: &str, messages: &[M]) {
    let encode = |m| codec::encode(std::slice::from_ref(m), Carriage::Bytes).unwrap();
    let batches: Vec<Frames> = messages.iter().map(encode).collect();
    check(name, messages, &batches);
}

#[test]
fn hello_is_unchanged() {
    let hellos: Vec<_> = sample::roles().into_iter().map(sample::hello).collect();
    let encode = |hello| encode_hello(VersionRange::OURS, hello).unwrap();
    check("hello", &hellos, &hellos.iter().map(encode).collect::<Vec<_>>());
}

#[test]
fn welcome_is_unchanged() {
    let welcomes = sample::welcomes();
    let encode = |welcome| encode_welcome(VersionRange::OURS, welcome).unwrap();
    check("welcome", &welcomes, &welcomes.iter().map(encode).collect::<Vec<_>>());
}

#[test]
fn client_to_scheduler_is_unchanged() {
    messages("client_to_scheduler", &sample::client_to_scheduler());
}

#[test]
fn scheduler_to_client_is_unchanged() {
    messages("scheduler_to_client", &sample::scheduler_to_client());
}

#[test]
fn scheduler_to_worker_is_unchanged() {
    messages("scheduler_to_worker", &sample::scheduler_to_worker());
}

#[test]
fn worker_to_scheduler_is_unchanged() {
    messages("worker_to_scheduler", &sample::worker_to_scheduler());
}

#[test]
fn scheduler_to_agent_is_unchanged() {
    messages("scheduler_to_agent", &sample::scheduler_to_agent());
}

#[test]
fn agent_to_scheduler_is_unchanged() {
    messages("agent_to_scheduler", &sample::agent_to_scheduler());
}

#[test]
fn peer_request_is_unchanged() {
    messages("peer_request", &sample::peer_requests());
}

#[test]
fn peer_reply_is_unchanged() {
    messages("peer_reply", &sample::peer_replies());
}

#[test]
fn a_batch_with_payloads_in_the_blob_and_in_frames_is_unchanged() {
    let large = Bytes::from(vec![0xab; BLOB_PAYLOAD_BYTES + 1]);
    let values = vec![
        (TaskId(1), ValueAt::Found(sample::payload("first"))),
        (TaskId(2), ValueAt::Found(large.into())),
        (TaskId(3), ValueAt::Found(sample::payload("third"))),
    ];
    let (id, last) = (RequestId(1), false);
    let batch = [PeerReply::Values { id, values, last }, PeerReply::Busy { id }];
    let frames = codec::encode(&batch, Carriage::Bytes).unwrap();
    check("batch", &batch, &[frames]);
}

/// How many variants an enum has, as its `Deserialize` tells when it meets one too many.
fn variants<T: DeserializeOwned + Debug>() -> usize {
    let error = codec::decode_one::<T>(&[250]).unwrap_err();
    let text = std::error::Error::source(&error).unwrap().to_string();
    let (_, count) = text.rsplit_once("0 <= i < ").unwrap();
    count.parse().unwrap()
}

fn all_are_sampled<T: Serialize + DeserializeOwned + Debug>(samples: &[T]) {
    let index = |sample: &T| {
        let encoded = codec::encode(std::slice::from_ref(sample), Carriage::Bytes).unwrap();
        // One message, then the variant.
        usize::from(encoded.bytes[0][1])
    };
    let sampled: BTreeSet<usize> = samples.iter().map(index).collect();
    let name = std::any::type_name::<T>();
    assert!(sampled.into_iter().eq(0..variants::<T>()), "{name} lacks samples");
}

#[test]
fn every_variant_has_a_sample() {
    all_are_sampled(&sample::roles());
    all_are_sampled(&sample::welcomes());
    all_are_sampled(&sample::rejections());
    all_are_sampled(&sample::client_to_scheduler());
    all_are_sampled(&sample::requests());
    all_are_sampled(&sample::scheduler_to_client());
    all_are_sampled(&sample::answers());
    all_are_sampled(&sample::refusals());
    all_are_sampled::<TaskErrorKind>(&sample::error_kinds());
    all_are_sampled(&sample::scheduler_to_worker());
    all_are_sampled(&sample::worker_to_scheduler());
    all_are_sampled(&sample::scheduler_to_agent());
    all_are_sampled(&sample::agent_to_scheduler());
    all_are_sampled(&sample::peer_requests());
    all_are_sampled(&sample::peer_replies());
    all_are_sampled(&sample::values_at());
    all_are_sampled(&sample::coordination::requests());
    all_are_sampled(&sample::coordination::events());
    all_are_sampled(&sample::coordination::semaphores());
    all_are_sampled(&sample::coordination::queues());
    all_are_sampled(&sample::coordination::variables());
    all_are_sampled(&sample::coordination::datasets());
    all_are_sampled(&sample::coordination::metadata());
    all_are_sampled(&sample::coordination::topics());
    all_are_sampled(&sample::coordination::answers());
    all_are_sampled(&sample::coordination::refusals());
}
