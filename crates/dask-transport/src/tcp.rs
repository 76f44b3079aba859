use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use dask_proto::codec::Carriage;
use dask_proto::wire::{self, Decoder, Limits};
use dask_proto::{Address, Frames};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::huge_pages::HugePages;
use crate::{Connection, FrameReceiver, FrameSender, Listener, Transport, TransportError};

/// TCP: `tcp://host:port`, the host a name, an IPv4 address or an IPv6 address in brackets. A
/// listener without a host, as in `tcp://:8786`, listens on every IPv4 interface.
///
/// Batches leave in vectored writes and at once (`TCP_NODELAY`); small ones arrive many to a read,
/// and a large frame is read into the memory that it stays in.
///
/// A link whose other host is gone without a word, or cut off from this one, breaks after a minute
/// on Linux, whether anything is being sent or not, and elsewhere when nothing is. A cut that is
/// shorter costs nothing but the time. Dask gives up after half of that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp;

/// What is read at once when no large frame is under way.
const READ_BYTES: usize = 64 << 10;

/// On Linux: how long the system of a peer may leave what is sent without an acknowledgement, or
/// the question whether it is still there. Also how long a peer may read nothing at all once its
/// buffers are full, so it is longer than a program of the user's may keep its runtime from
/// running, or be stopped.
#[cfg(target_os = "linux")]
const SILENCE: Duration = Duration::from_secs(60);

/// A link on which nothing was heard for so long is asked whether it is still there.
const IDLE: Duration = Duration::from_secs(15);

/// How long after each question the next follows, and how many of
/// them make up the rest of the minute.
const PROBES: (Duration, u32) = (Duration::from_secs(5), 9);

/// How long a listener waits when the process or the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[async_trait]
impl Transport for Tcp {
    fn scheme(&self) -> &str {
        "tcp"
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        let target = host_and_port(address)?;
        let failed = |source| TransportError::Connect { address: address.clone(), source };
        let stream = TcpStream::connect(target).await.map_err(failed)?;
        connection(stream, address.clone()).map_err(failed)
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let (host, port) = host_and_port(address)?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        let failed = |source| TransportError::Listen { address: address.clone(), source };
        let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
        let address = local(listener.local_addr().map_err(failed)?);
        Ok(Box::new(TcpAcceptor { listener, address }))
    }
}

struct TcpAcceptor {
    listener: TcpListener,
    address: Address,
}

#[async_trait]
impl Listener for TcpAcceptor {
    fn address(&self) -> &Address {
        &self.address
    }

    async fn accept(&mut self) -> Result<Connection, TransportError> {
        loop {
            // What fails here is one connection, or a shortage that passes; never the listener.
            match self.listener.accept().await {
                Ok((stream, peer)) => match connection(stream, local(peer)) {
                    Ok(connection) => return Ok(connection),
                    Err(error) => tracing::debug!(%peer, %error, "a peer vanished at once"),
                },
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a peer vanished while it connected");
                }
                Err(error) => {
                    tracing::warn!(address = %self.address, %error, "cannot accept for now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

struct TcpSender {
    half: OwnedWriteHalf,
    peer: Address,
}

#[async_trait]
impl FrameSender for TcpSender {
    async fn send(&mut self, frames: Frames) -> Result<(), TransportError> {
        if !frames.objects.is_empty() {
            let objects = frames.objects.len();
            return Err(TransportError::Objects { objects });
        }
        let mut chunks = wire::encode(&frames)?;
        drop(frames);
        let written = self.half.write_all_buf(&mut chunks).await;
        written.map_err(|source| broken(&self.peer, source))
    }

    async fn close(&mut self) -> Result<(), TransportError> {
        let shut = self.half.shutdown().await;
        shut.map_err(|source| broken(&self.peer, source))
    }
}

struct TcpReceiver {
    half: OwnedReadHalf,
    peer: Address,
    decoder: Decoder,
    buffer: BytesMut,
    /// How much of the buffer is decoded.
    decoded: usize,
    huge_pages: HugePages,
}

#[async_trait]
impl FrameReceiver for TcpReceiver {
    async fn receive(&mut self) -> Result<Option<Frames>, TransportError> {
        loop {
            let mut input = &self.buffer[self.decoded..];
            let batch = self.decoder.decode(&mut input)?;
            self.decoded = self.buffer.len() - input.len();
            if batch.is_some() {
                self.huge_pages = HugePages::default();
                return Ok(batch);
            }
            self.buffer.clear();
            self.decoded = 0;
            let read = match self.decoder.space() {
                Some(mut space) => {
                    self.huge_pages.prepare(space.get_ref());
                    self.half.read_buf(&mut space).await
                }
                None => self.half.read_buf(&mut self.buffer).await,
            };
            if read.map_err(|source| broken(&self.peer, source))? == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
        }
    }

    fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }
}

fn connection(stream: TcpStream, peer: Address) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    notice_silence(&stream)?;
    let (reading, writing) = stream.into_split();
    Ok(Connection {
        sender: Box::new(TcpSender { half: writing, peer: peer.clone() }),
        receiver: Box::new(TcpReceiver {
            half: reading,
            peer: peer.clone(),
            decoder: Decoder::new(Limits::HANDSHAKE),
            buffer: BytesMut::with_capacity(READ_BYTES),
            decoded: 0,
            huge_pages: HugePages::default(),
        }),
        peer,
        carriage: Carriage::Bytes,
    })
}

/// Makes the system break the link when its other end is gone without a word.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let (interval, count) = PROBES;
    let probes = TcpKeepalive::new().with_time(IDLE).with_interval(interval).with_retries(count);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    // What is sent silences the probes, and would be repeated for a quarter of an hour.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    Ok(())
}

fn broken(peer: &Address, source: io::Error) -> TransportError {
    let peer = peer.clone();
    TransportError::Broken { peer, source }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn local(address: SocketAddr) -> Address {
    let text = format!("tcp://{address}");
    text.parse().expect("a socket address is a short host:port")
}

fn host_and_port(address: &Address) -> Result<(&str, u16), TransportError> {
    let parts = address.rest().rsplit_once(':');
    parts
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .map(|(host, port)| (host.trim_start_matches('[').trim_end_matches(']'), port))
        .ok_or_else(|| TransportError::Address {
            address: address.clone(),
            expected: "TCP: expected tcp://host:port",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_notice_a_peer_that_is_gone_without_a_word() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        for stream in [&connected, &accepted] {
            notice_silence(stream).unwrap();
            let socket = SockRef::from(stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), IDLE);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SILENCE));
        }
        let (interval, count) = PROBES;
        assert_eq!(IDLE + interval * count, Duration::from_secs(60));
    }
}
