//! Transports keep their contract, and hostile bytes get typed errors.

use std::time::Duration;

use bytes::{Buf, Bytes};
use dask_proto::limits::{
    BLOB_PAYLOAD_BYTES, MAX_HANDSHAKE_BYTES, MAX_HEADER_BYTES, MAX_QUEUED_MESSAGES,
};
use dask_proto::message::{
    HandshakeError, Hello, Program, Rejection, Role, VersionRange, Welcome, encode_hello,
    encode_welcome,
};
use dask_proto::wire::{self, WireError};
use dask_proto::{Address, Frames, Payload};
use dask_transport::{
    ChannelError, ConnectError, Connection, Inbox, Inproc, Listener, Outbox, Tcp, TransportError,
    Transports, channel, connect, receive_hello, send_welcome,
};
use support::transport_contract;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECONDS: Duration = Duration::from_secs(30);

#[tokio::test]
async fn tcp_keeps_the_contract() {
    transport_contract(Tcp, "tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn tcp_keeps_the_contract_over_ipv6() {
    // A machine without IPv6 has nothing to test.
    if TcpListener::bind("[::1]:0").await.is_ok() {
        transport_contract(Tcp, "tcp://[::1]:0").await;
    }
}

#[tokio::test]
async fn inproc_keeps_the_contract() {
    transport_contract(Inproc, "inproc://0").await;
}

fn hello() -> Hello {
    Hello { role: Role::Client { name: "Client-1".to_owned() }, program: Program::default() }
}

fn address(text: impl std::fmt::Display) -> Address {
    text.to_string().parse().unwrap()
}

async fn listening(at: &str) -> (Box<dyn Listener>, Address) {
    let listener = Transports::default().listen(&address(at)).await.unwrap();
    let address = listener.address().clone();
    (listener, address)
}

/// A plain socket at which a test plays a foreign server.
async fn foreign() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = address(listener.local_addr().unwrap());
    (listener, address)
}

async fn greet(address: &Address, timeout: Duration) -> Result<(), ConnectError> {
    let transports = Transports::default();
    let connected = connect(&transports, address, &hello(), timeout).await;
    connected.map(|_| ())
}

/// What a server that answers `bytes` to a hello looks like to the side that connects.
async fn greeted_with(bytes: &[u8]) -> ConnectError {
    let (server, address) = foreign().await;
    let answering = async {
        let (mut stream, _) = server.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    let (greeted, _stream) = tokio::join!(greet(&address, SECONDS), answering);
    let error = greeted.unwrap_err();
    assert!(error.to_string().contains(address.as_str()), "{error}");
    error
}

fn bytes_of(frames: &Frames) -> Bytes {
    let mut chunks = wire::encode(frames).unwrap();
    chunks.copy_to_bytes(chunks.remaining())
}

#[tokio::test]
async fn peers_greet_each_other_over_every_transport() {
    for at in ["tcp://127.0.0.1:0", "inproc://0"] {
        let (mut listener, address) = listening(at).await;
        let serving = async {
            let mut connection = listener.accept().await.unwrap();
            let said = receive_hello(&mut connection, SECONDS).await.unwrap();
            assert_eq!(said, hello());
            send_welcome(&mut connection, &Welcome::Peer).await.unwrap();
        };
        let (greeted, ()) = tokio::join!(greet(&address, SECONDS), serving);
        greeted.unwrap();
    }
}

#[tokio::test]
async fn a_connection_waits_for_a_listener_that_starts_late() {
    let (listener, address) = listening("inproc://0").await;
    drop(listener);
    let transports = Transports::default();
    let hello = hello();
    let mut connecting = Box::pin(connect(&transports, &address, &hello, SECONDS));
    // The first attempt finds nobody.
    let early = tokio::time::timeout(Duration::ZERO, &mut connecting).await;
    assert!(early.is_err());
    let mut listener = transports.listen(&address).await.unwrap();
    let serving = async {
        let mut connection = listener.accept().await.unwrap();
        receive_hello(&mut connection, SECONDS).await.unwrap();
        send_welcome(&mut connection, &Welcome::Peer).await.unwrap();
    };
    let (connected, ()) = tokio::join!(connecting, serving);
    assert_eq!(connected.unwrap().1, Welcome::Peer);
}

#[tokio::test]
async fn nobody_at_an_address_is_unreachable() {
    let (server, address) = foreign().await;
    drop(server);
    let error = greet(&address, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(address.as_str()) && text.contains("50ms"), "{text}");
}

#[tokio::test]
async fn an_unknown_scheme_lists_the_known_ones() {
    let error = greet(&address("carrier-pigeon://coop"), SECONDS).await.unwrap_err();
    assert!(matches!(error, ConnectError::UnknownScheme { .. }), "{error:?}");
    assert!(error.to_string().contains("inproc, tcp"), "{error}");
    let portless = greet(&address("tcp://host"), SECONDS).await.unwrap_err();
    assert!(matches!(portless, ConnectError::Transport { .. }), "{portless:?}");
}

#[tokio::test]
async fn a_listener_that_never_answers_is_given_up() {
    let (_server, address) = foreign().await;
    let error = greet(&address, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoAnswer { .. }), "{error:?}");
    assert!(error.to_string().contains(address.as_str()));
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_foreign_server_is_quoted() {
    let error = greeted_with(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert!(matches!(
        &error,
        ConnectError::NotDask { source: HandshakeError::NotDask { start }, .. }
            if start.starts_with("HTTP/1.1 400 Bad Request")
    ));
    assert!(chain(&error).contains("HTTP/1.1 400"), "{error}");
    let error = greeted_with(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    assert!(chain(&error).contains("SSH-2.0-OpenSSH_9.6"), "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_reported_closed() {
    let error = greeted_with(b"").await;
    assert!(matches!(error, ConnectError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn half_an_answer_is_a_broken_link() {
    let welcome = encode_welcome(VersionRange::OURS, &Welcome::Peer).unwrap();
    let bytes = bytes_of(&welcome);
    for end in [2, 8, 12, bytes.len() - 1] {
        let error = greeted_with(&bytes[..end]).await;
        let truncated = TransportError::Wire(WireError::Truncated).to_string();
        let ConnectError::Transport { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.to_string(), truncated);
    }
}

#[tokio::test]
async fn an_oversize_or_undecodable_answer_is_no_peer() {
    let mut huge = bytes_of(&Frames::new(vec![Bytes::new()])).to_vec();
    huge[8..16].copy_from_slice(&(60_u64 << 30).to_le_bytes());
    let error = greeted_with(&huge).await;
    assert!(matches!(
        error,
        ConnectError::NotDask { source: HandshakeError::TooLarge { bytes }, .. }
            if bytes == 60 << 30
    ));
    let welcome = encode_welcome(VersionRange::OURS, &Welcome::Peer).unwrap();
    let body = [&welcome.bytes[0], [1].as_slice()].concat();
    let error = greeted_with(&bytes_of(&Frames::new(vec![body.into()]))).await;
    assert!(
        matches!(error, ConnectError::NotDask { source: HandshakeError::Decode(_), .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_hello_larger_than_a_stranger_may_send_fails_before_it_is_sent() {
    let (_server, address) = foreign().await;
    let mut hello = hello();
    hello.program.name = "x".repeat(MAX_HANDSHAKE_BYTES);
    let transports = Transports::default();
    let error = connect(&transports, &address, &hello, SECONDS).await.unwrap_err();
    assert!(chain(&error).contains("limit"), "{error}");
}

const FUTURE: VersionRange = VersionRange { oldest: 7000, newest: 7001 };

#[tokio::test]
async fn an_unknown_protocol_version_is_told_to_both_sides() {
    let answer = encode_welcome(FUTURE, &Welcome::Peer).unwrap();
    let error = greeted_with(&bytes_of(&answer)).await;
    assert!(matches!(error, ConnectError::Version { theirs: FUTURE, .. }), "{error:?}");

    let (mut listener, address) = listening("tcp://127.0.0.1:0").await;
    let newcomer = async {
        let mut connection = Transports::default().connect(&address).await.unwrap();
        let hello = encode_hello(FUTURE, &hello()).unwrap();
        connection.sender.send(hello).await.unwrap();
        connection.receiver.receive().await.unwrap().unwrap()
    };
    let serving = async {
        let mut connection = listener.accept().await.unwrap();
        receive_hello(&mut connection, SECONDS).await.unwrap_err()
    };
    let (answer, error) = tokio::join!(newcomer, serving);
    assert!(matches!(error, ConnectError::Version { theirs: FUTURE, .. }), "{error:?}");
    // What a build of those versions reads: the versions that this side speaks.
    let bytes = &answer.bytes[0];
    let ours = VersionRange::OURS.newest.to_le_bytes();
    assert_eq!(bytes[10..12], ours);
}

#[tokio::test]
async fn a_rejection_names_its_reason() {
    let (mut listener, address) = listening("tcp://127.0.0.1:0").await;
    let serving = async {
        let mut connection = listener.accept().await.unwrap();
        receive_hello(&mut connection, SECONDS).await.unwrap();
        let rejected = Welcome::Rejected(Rejection::Closing);
        send_welcome(&mut connection, &rejected).await.unwrap();
    };
    let (greeted, ()) = tokio::join!(greet(&address, SECONDS), serving);
    let error = greeted.unwrap_err();
    assert!(
        matches!(error, ConnectError::Rejected { rejection: Rejection::Closing, .. }),
        "{error:?}"
    );
    assert!(chain(&error).contains("shutting down"), "{error}");
}

#[tokio::test]
async fn a_listener_survives_hostile_bytes() {
    let (mut listener, address) = listening("tcp://127.0.0.1:0").await;
    let whole = bytes_of(&encode_hello(VersionRange::OURS, &hello()).unwrap());
    let mut over = whole[..8].to_vec();
    over.extend_from_slice(&(MAX_HANDSHAKE_BYTES as u64 + 1).to_le_bytes());
    let mut crowd = whole[..4].to_vec();
    crowd.extend_from_slice(&u32::MAX.to_le_bytes());
    let attacks: [&[u8]; 6] =
        [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1000], b"", &whole[..whole.len() / 2], &over, &crowd];
    for attack in attacks {
        let mut stream = TcpStream::connect(address.rest()).await.unwrap();
        stream.write_all(attack).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut connection = listener.accept().await.unwrap();
        let error = receive_hello(&mut connection, SECONDS).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(connection.peer.as_str()), "{text}");
    }
    let mut silent = TcpStream::connect(address.rest()).await.unwrap();
    silent.write_all(&whole[..10]).await.unwrap();
    let mut connection = listener.accept().await.unwrap();
    let error = receive_hello(&mut connection, Duration::from_millis(50)).await;
    assert!(matches!(error, Err(ConnectError::NoAnswer { .. })), "{error:?}");

    let serving = async {
        let mut connection = listener.accept().await.unwrap();
        receive_hello(&mut connection, SECONDS).await.unwrap();
        send_welcome(&mut connection, &Welcome::Peer).await.unwrap();
    };
    let (greeted, ()) = tokio::join!(greet(&address, SECONDS), serving);
    greeted.unwrap();
}

async fn pair(at: &str) -> (Connection, Connection) {
    let (mut listener, address) = listening(at).await;
    let transports = Transports::default();
    let (one, other) = tokio::join!(transports.connect(&address), listener.accept());
    (one.unwrap(), other.unwrap())
}

type Typed<T> = (Outbox<T>, Inbox<T>);

async fn all<T: serde::de::DeserializeOwned>(inbox: &mut Inbox<T>) -> Vec<T> {
    let mut received = Vec::new();
    while let Some(batch) = inbox.receive().await.unwrap() {
        received.extend(batch);
    }
    received
}

#[tokio::test]
async fn messages_arrive_in_order_behind_each_other_and_then_the_close() {
    for at in ["tcp://127.0.0.1:0", "inproc://0"] {
        let (one, other) = pair(at).await;
        let (outbox, _back): Typed<u64> = channel(one);
        let (_, mut inbox): Typed<u64> = channel(other);
        let clone = outbox.clone();
        outbox.send(0..10).unwrap();
        clone.send([10]).unwrap();
        outbox.send(11..500_000).unwrap();
        outbox.send([]).unwrap();
        outbox.close();
        outbox.close();
        assert!(clone.send([1]).is_err());
        let received = all(&mut inbox).await;
        assert!(received.into_iter().eq(0..500_000));
        outbox.closed().await;
    }
}

#[tokio::test]
async fn dropping_the_last_outbox_flushes_and_closes() {
    let (one, other) = pair("tcp://127.0.0.1:0").await;
    let (outbox, _back): Typed<String> = channel(one);
    let (_, mut inbox): Typed<String> = channel(other);
    let clone = outbox.clone();
    drop(outbox);
    clone.send(["last words".to_owned()]).unwrap();
    drop(clone);
    assert_eq!(all(&mut inbox).await, ["last words"]);
}

#[tokio::test]
async fn payloads_of_every_size_survive_the_cut_into_batches() {
    let sizes = [0, 1, 1000, BLOB_PAYLOAD_BYTES, BLOB_PAYLOAD_BYTES + 1, 3 << 20];
    let payload = |i: usize| Payload::from(Bytes::from(vec![i as u8; sizes[i % sizes.len()]]));
    for at in ["tcp://127.0.0.1:0", "inproc://0"] {
        let (one, other) = pair(at).await;
        let (outbox, _back): Typed<Payload> = channel(one);
        let (_, mut inbox): Typed<Payload> = channel(other);
        let large = sizes.len() * 5;
        outbox.send((0..large).map(payload)).unwrap();
        // More frames than one batch may have, queued at once.
        let many = || (0..20_000).map(|_| payload(4));
        outbox.send(many()).unwrap();
        drop(outbox);
        let expected = (0..large).map(payload).chain(many());
        assert!(all(&mut inbox).await.into_iter().eq(expected));
    }
}

#[tokio::test]
async fn aborting_ends_both_directions_though_the_peer_never_reads() {
    for at in ["tcp://127.0.0.1:0", "inproc://0"] {
        let (one, _other) = pair(at).await;
        let (outbox, mut inbox): Typed<Payload> = channel(one);
        let payload = Payload::from(Bytes::from(vec![0; 1 << 20]));
        outbox.send((0..100).map(|_| payload.clone())).unwrap();
        let stuck = tokio::time::timeout(Duration::from_millis(20), outbox.closed()).await;
        assert!(stuck.is_err());
        outbox.abort();
        outbox.closed().await;
        assert!(outbox.send([payload]).is_err());
        let end = inbox.receive().await;
        assert!(matches!(end, Err(ChannelError::Transport(_))), "{end:?}");
    }
}

#[tokio::test]
async fn a_dead_link_refuses_messages() {
    let (one, other) = pair("inproc://0").await;
    let (outbox, mut inbox): Typed<u64> = channel(one);
    drop(other);
    outbox.send([1]).unwrap();
    outbox.closed().await;
    assert!(outbox.send([2]).is_err());
    assert!(inbox.receive().await.unwrap().is_none());
}

#[tokio::test]
async fn nonsense_on_a_channel_is_a_typed_error() {
    let (one, other) = pair("tcp://127.0.0.1:0").await;
    let (outbox, _back): Typed<u64> = channel(one);
    let (_, mut inbox): Typed<String> = channel(other);
    outbox.send([u64::MAX]).unwrap();
    let error = inbox.receive().await.unwrap_err();
    assert!(matches!(error, ChannelError::Decode(_)), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_lets_the_queue_overflow_is_cut_off() {
    let (one, _other) = pair("inproc://0").await;
    let (outbox, mut inbox): Typed<u8> = channel(one);
    outbox.send((0..MAX_QUEUED_MESSAGES).map(|_| 0)).unwrap();
    assert!(outbox.send([1]).is_err());
    assert!(outbox.send([2]).is_err());
    outbox.closed().await;
    assert!(inbox.receive().await.is_err());
}

#[tokio::test]
async fn a_message_that_cannot_be_encoded_ends_the_link_behind_those_before_it() {
    let (one, other) = pair("tcp://127.0.0.1:0").await;
    let (outbox, mut back): Typed<String> = channel(one);
    let (_, mut inbox): Typed<String> = channel(other);
    let impossible = "x".repeat(MAX_HEADER_BYTES + 1);
    outbox.send(["fine".to_owned(), impossible]).unwrap();
    assert_eq!(all(&mut inbox).await, ["fine"]);
    outbox.closed().await;
    assert!(outbox.send(["late".to_owned()]).is_err());
    let error = back.receive().await.unwrap_err();
    assert!(matches!(error, ChannelError::Encode(_)), "{error:?}");
}
