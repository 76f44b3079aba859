//! A program goes over a connection, whole or not at all.
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use dask_program::{ReceiveError, identify, receive, send};
use dask_proto::Frames;
use dask_proto::program::{Executable, ProgramId, target};
use dask_transport::{Connection, Tcp, Transport};

/// Both ends of a connection.
async fn connected() -> (Connection, Connection) {
    let mut listener = Tcp.listen(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address().clone();
    let (one, other) = tokio::join!(Tcp.connect(&address), listener.accept());
    (one.unwrap(), other.unwrap())
}

fn executable(path: &Path) -> Executable {
    let (id, bytes) = identify(path).unwrap();
    Executable { id, bytes, name: "program".to_owned(), target: target() }
}

/// A file of two pieces and a half, of which nothing repeats within a piece.
fn program(directory: &Path) -> Executable {
    let path = directory.join("program");
    let words = (0..5u32 << 17).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes());
    std::fs::write(&path, words.collect::<Vec<u8>>()).unwrap();
    executable(&path)
}

async fn travel(asked_for: &Executable, directory: &Path) -> Result<Vec<u64>, ReceiveError> {
    let (mut from, mut to) = connected().await;
    let source = File::open(directory.join("program")).unwrap();
    let copy = File::create(directory.join("copy")).unwrap();
    let mut seen = Vec::new();
    let sending = async move {
        // The receiver may hang up.
        let _ = send(&mut from, source, |_| {}).await;
    };
    let receiving = receive(&mut to, asked_for, copy, |bytes| seen.push(bytes));
    let (received, ()) = tokio::join!(receiving, sending);
    received.map(|()| seen)
}

#[tokio::test]
async fn a_program_arrives_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let seen = travel(&program, directory.path()).await.unwrap();
    assert_eq!(executable(&directory.path().join("copy")), program);
    assert_eq!(seen, [1 << 20, 2 << 20, program.bytes]);
}

#[tokio::test]
async fn another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let wanted = Executable { id: ProgramId([1; 32]), ..program(directory.path()) };
    let error = travel(&wanted, directory.path()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Mismatch { wanted: id, .. } if id == wanted.id));
}

#[tokio::test]
async fn one_of_another_length_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let longer = Executable { bytes: program.bytes + 1, ..program.clone() };
    let error = travel(&longer, directory.path()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Short { got, .. } if got == program.bytes));
    let shorter = Executable { bytes: program.bytes - 1, ..program };
    let error = travel(&shorter, directory.path()).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Long { .. }));
}

#[tokio::test]
async fn what_is_no_piece_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    for nonsense in [&b""[..], b"no", b"\x05\0\0\0nonsense", b"\xff\xff\xff\xff"] {
        let (mut from, mut to) = connected().await;
        let batch = Frames::new(vec![Bytes::from_static(nonsense)]);
        from.sender.send(batch).await.unwrap();
        let copy = File::create(directory.path().join("copy")).unwrap();
        let error = receive(&mut to, &program, copy, |_| {}).await.unwrap_err();
        assert!(matches!(error, ReceiveError::Piece), "{nonsense:?}: {error}");
    }
}

#[tokio::test]
async fn a_sender_that_vanishes_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let (from, mut to) = connected().await;
    drop(from);
    let copy = File::create(directory.path().join("copy")).unwrap();
    let error = receive(&mut to, &program, copy, |_| {}).await.unwrap_err();
    assert!(matches!(error, ReceiveError::Short { got: 0, .. } | ReceiveError::Link(_)));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let (mut from, mut to) = connected().await;
    let source = File::open(directory.path().join("program")).unwrap();
    tokio::spawn(async move { send(&mut from, source, |_| {}).await });
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = receive(&mut to, &program, full, |_| {}).await.unwrap_err();
    let ReceiveError::Write(error) = error else { panic!("{error}") };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
