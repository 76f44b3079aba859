use std::io;
use std::time::Duration;

use dask_proto::codec::EncodeError;
use dask_proto::message::{
    HandshakeError, Hello, Rejection, VersionRange, Welcome, decode_hello, decode_welcome,
    encode_hello, encode_welcome,
};
use dask_proto::wire::{Limits, WireError};
use dask_proto::{Address, Frames};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{Connection, TransportError, Transports};

/// The first pause before a refused connection is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection could not be made, or the peer did not say what it must say first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody was reached.
    #[error(
        "nobody answers at {address} after {timeout:?}: check the address, and that a scheduler \
         or worker listens there"
    )]
    Unreachable {
        /// Where to.
        address: Address,
        /// How long it was tried.
        timeout: Duration,
        /// Why the last attempt failed.
        source: TransportError,
    },
    /// The connection was made and the peer stayed silent.
    #[error(
        "{address} accepted the connection and said nothing within {timeout:?}: check that a \
         scheduler or worker listens there, or allow more time"
    )]
    NoAnswer {
        /// Where to.
        address: Address,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// The peer is something else.
    #[error("{address} is no scheduler, worker or client of this system: check the address")]
    NotDask {
        /// Where to.
        address: Address,
        /// What was wrong with its first message.
        source: HandshakeError,
    },
    /// The peer speaks other versions of the protocol.
    #[error(
        "{address} speaks protocol versions {theirs} and this side speaks {ours}: update the \
         older of the two"
    )]
    Version {
        /// Where to.
        address: Address,
        /// What the peer speaks.
        theirs: VersionRange,
        /// What this side speaks.
        ours: VersionRange,
    },
    /// The peer ended the connection, and said why.
    #[error("{address} rejected the connection")]
    Rejected {
        /// Where to.
        address: Address,
        /// Why.
        #[source]
        rejection: Rejection,
    },
    /// No transport has the address's scheme.
    #[error(
        "no transport for {address}: use one of {}, or add a transport to the set",
        known.join(", ")
    )]
    UnknownScheme {
        /// Where to.
        address: Address,
        /// The schemes that there are.
        known: Vec<String>,
    },
    /// The link broke during the handshake, or the address makes no sense.
    #[error("the connection to {address} failed: check the address and try again")]
    Transport {
        /// Where to.
        address: Address,
        /// How.
        source: TransportError,
    },
    /// The peer closed the connection without an answer.
    #[error(
        "{address} closed the connection without an answer: it is shutting down, or something \
         else listens there"
    )]
    Closed {
        /// Where to.
        address: Address,
    },
    /// What this side has to say does not fit into a handshake.
    #[error("the handshake with {address} could not be encoded: it must be far smaller")]
    Encode {
        /// Where to.
        address: Address,
        /// Why.
        source: EncodeError,
    },
}

/// Connects and says hello. Where nobody listens yet it tries again, at growing intervals, until
/// the timeout, as Dask does: a cluster's processes may start in any order.
///
/// # Errors
/// When nobody answers within the timeout, or it is no peer of ours, or it does not want us.
pub async fn connect(
    transports: &Transports,
    address: &Address,
    hello: &Hello,
    timeout: Duration,
) -> Result<(Connection, Welcome), ConnectError> {
    let deadline = deadline(timeout);
    let connection = reach(transports, address, timeout, deadline).await?;
    greet(connection, address, hello, (timeout, deadline)).await
}

/// [`connect`] without a second attempt, to a peer that is known to listen if it still lives: a
/// refusal is news, not bad timing.
///
/// # Errors
/// As [`connect`].
pub async fn connect_once(
    transports: &Transports,
    address: &Address,
    hello: &Hello,
    timeout: Duration,
) -> Result<(Connection, Welcome), ConnectError> {
    let deadline = deadline(timeout);
    let attempt = timeout_at(deadline, transports.connect(address)).await;
    let attempt = attempt.unwrap_or_else(|_| Err(silence(address)));
    let connection = attempt.map_err(|source| match source {
        TransportError::Connect { .. } => unreachable(address, timeout, source),
        other => transport_error(address, other),
    })?;
    greet(connection, address, hello, (timeout, deadline)).await
}

async fn greet(
    mut connection: Connection,
    address: &Address,
    hello: &Hello,
    (timeout, deadline): (Duration, Instant),
) -> Result<(Connection, Welcome), ConnectError> {
    let encoded = within_limits(address, encode_hello(VersionRange::OURS, hello))?;
    let greeting = async {
        // A peer that hangs up at once may have said why: what it sent is the better error.
        let _ = connection.sender.send(encoded).await;
        first_batch(&mut connection, address).await
    };
    let answer = timeout_at(deadline, greeting).await;
    let answer = answer.unwrap_or_else(|_| Err(no_answer(address, timeout)))?;
    let (_, welcome) = decode_welcome(&answer).map_err(|error| wrong_start(address, error))?;
    if let Welcome::Rejected(rejection) = welcome {
        let address = address.clone();
        return Err(ConnectError::Rejected { address, rejection });
    }
    connection.receiver.set_limits(Limits::MESSAGES);
    Ok((connection, welcome))
}

/// Receives the hello of a peer that connected. A peer of another protocol version is told so here.
///
/// # Errors
/// When the peer stays silent until the timeout, or is something else. Drop the connection then.
pub async fn receive_hello(
    connection: &mut Connection,
    timeout: Duration,
) -> Result<Hello, ConnectError> {
    let peer = connection.peer.clone();
    let deadline = deadline(timeout);
    let received = timeout_at(deadline, first_batch(connection, &peer)).await;
    let frames = received.unwrap_or_else(|_| Err(no_answer(&peer, timeout)))?;
    match decode_hello(&frames) {
        Ok((_, hello)) => {
            connection.receiver.set_limits(Limits::MESSAGES);
            Ok(hello)
        }
        Err(HandshakeError::Version { theirs, ours }) => {
            // As the rejected peer sees it.
            let rejection = Rejection::Version { theirs: ours, ours: theirs };
            let rejected = Welcome::Rejected(rejection);
            // The peer may be gone already; its version is the error to report.
            let _ = timeout_at(deadline, send_welcome(connection, &rejected)).await;
            Err(wrong_start(&peer, HandshakeError::Version { theirs, ours }))
        }
        Err(error) => Err(wrong_start(&peer, error)),
    }
}

/// Answers a hello. Behind a [`Welcome::Rejected`] the connection is closed.
///
/// # Errors
/// When the peer is gone.
pub async fn send_welcome(
    connection: &mut Connection,
    welcome: &Welcome,
) -> Result<(), ConnectError> {
    let encoded = encode_welcome(VersionRange::OURS, welcome);
    let frames = within_limits(&connection.peer, encoded)?;
    let mut sent = connection.sender.send(frames).await;
    if sent.is_ok() && matches!(welcome, Welcome::Rejected(_)) {
        sent = connection.sender.close().await;
    }
    sent.map_err(|source| transport_error(&connection.peer, source))
}

/// What this side is about to say first, if a peer can accept it.
fn within_limits(
    address: &Address,
    encoded: Result<Frames, EncodeError>,
) -> Result<Frames, ConnectError> {
    let address = || address.clone();
    let frames = encoded.map_err(|source| ConnectError::Encode { address: address(), source })?;
    match Limits::HANDSHAKE.check(&frames) {
        Ok(()) => Ok(frames),
        Err(error) => Err(ConnectError::Transport { address: address(), source: error.into() }),
    }
}

async fn reach(
    transports: &Transports,
    address: &Address,
    timeout: Duration,
    deadline: Instant,
) -> Result<Connection, ConnectError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = timeout_at(deadline, transports.connect(address)).await;
        let error = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error @ TransportError::Connect { .. })) => error,
            Ok(Err(error)) => return Err(transport_error(address, error)),
            Err(_) => return Err(unreachable(address, timeout, silence(address))),
        };
        let next = Instant::now() + pause;
        if next >= deadline {
            return Err(unreachable(address, timeout, error));
        }
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn unreachable(address: &Address, timeout: Duration, source: TransportError) -> ConnectError {
    ConnectError::Unreachable { address: address.clone(), timeout, source }
}

fn silence(address: &Address) -> TransportError {
    TransportError::Connect { address: address.clone(), source: io::ErrorKind::TimedOut.into() }
}

async fn first_batch(
    connection: &mut Connection,
    address: &Address,
) -> Result<Frames, ConnectError> {
    let received = connection.receiver.receive().await;
    let frames = received.map_err(|source| transport_error(address, source))?;
    frames.ok_or_else(|| ConnectError::Closed { address: address.clone() })
}

/// The error of a link, seen from the handshake: a stranger's nonsense means that it is no peer.
fn transport_error(address: &Address, error: TransportError) -> ConnectError {
    let address = address.clone();
    match error {
        TransportError::UnknownScheme { known, .. } => {
            ConnectError::UnknownScheme { address, known }
        }
        TransportError::Wire(WireError::Foreign { start }) => {
            let source = HandshakeError::NotDask { start };
            ConnectError::NotDask { address, source }
        }
        TransportError::Wire(WireError::Frame { bytes, .. } | WireError::Batch { bytes, .. }) => {
            let source = HandshakeError::TooLarge { bytes };
            ConnectError::NotDask { address, source }
        }
        source => ConnectError::Transport { address, source },
    }
}

fn wrong_start(address: &Address, error: HandshakeError) -> ConnectError {
    let address = address.clone();
    match error {
        HandshakeError::Version { theirs, ours } => ConnectError::Version { address, theirs, ours },
        source => ConnectError::NotDask { address, source },
    }
}

fn no_answer(address: &Address, timeout: Duration) -> ConnectError {
    let address = address.clone();
    ConnectError::NoAnswer { address, timeout }
}

/// Far away, and not past the end of time, for a timeout that means never.
fn deadline(timeout: Duration) -> Instant {
    let never = Duration::from_secs(60 * 60 * 24 * 365 * 30);
    Instant::now() + timeout.min(never)
}
