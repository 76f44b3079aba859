use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError, EncodeError};
use crate::graph::Function;
use crate::id::{AgentId, ClientId, WorkerId};
use crate::limits::MAX_HANDSHAKE_BYTES;
use crate::program::{Executable, ProgramId, Voucher, target};
use crate::{Address, Frames};

use super::agent::{AgentJoin, ProgramLink};

/// The version of everything in this crate that crosses a link.
pub const PROTOCOL_VERSION: u16 = 2;

/// What every first frame starts with, in both directions and in every version.
const MAGIC: &[u8; 8] = b"dask-rs\0";

/// The protocol versions that a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl VersionRange {
    /// What this build speaks.
    pub const OURS: Self = Self { oldest: PROTOCOL_VERSION, newest: PROTOCOL_VERSION };

    /// The newest version that both sides speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

/// What a peer says first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// What the peer wants to be on this connection.
    pub role: Role,
    /// The program that the peer runs.
    pub program: Program,
}

/// What a peer wants to be on a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Role {
    /// A client of the scheduler.
    Client {
        /// Its name, for people: `Client-<uuid>`.
        name: String,
    },
    /// A worker of the scheduler.
    Worker(Box<WorkerJoin>),
    /// A client or worker that fetches values from a worker or puts them there.
    Peer,
    /// An agent of a host, which starts workers of the programs that clients bring.
    Agent(Box<AgentJoin>),
    /// A program travels on this connection.
    Program(ProgramLink),
}

/// What a worker offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerJoin {
    /// Where its peers reach it.
    pub address: Address,
    /// Its name, unique on the cluster; the address if it has none.
    pub name: String,
    /// How many tasks it runs at once.
    pub nthreads: u32,
    /// Bytes of memory that it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Its abstract resources, by name.
    pub resources: BTreeMap<String, f64>,
    /// The task functions that its program has.
    pub functions: Vec<Function>,
    /// Its process id.
    pub pid: u32,
    /// The program that it runs, if an agent started it.
    pub program: Option<ProgramId>,
}

/// The program a peer runs, for people and for later checks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Program {
    /// The name of the executable.
    pub name: String,
    /// The version of this crate it was built with.
    pub version: String,
    /// The target it was built for, such as `x86_64-linux-gnu`.
    pub target: String,
    /// Whether agents may run it for this client.
    pub code: Code,
}

impl Program {
    /// A program of this build, which does not travel.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: target(),
            code: Code::Withheld,
        }
    }
}

/// Whether a client's program travels to agents that do not have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Code {
    /// It does not: the client submits nothing, or workers that have its tasks are there.
    #[default]
    Withheld,
    /// It cannot, for it has no worker role.
    NoRole,
    /// It does.
    Offered {
        /// The program.
        executable: Executable,
        /// Shows agents that the client knows a token, if it has one.
        voucher: Option<Voucher>,
    },
    /// It does, and the client has not read its executable yet: it says which it is once there are
    /// agents.
    Unidentified,
}

/// The answer to a [`Hello`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Welcome {
    /// The client may go on.
    Client {
        /// Its id on this scheduler.
        id: ClientId,
        /// What else the scheduler's process serves, with its ports: `dashboard`, say.
        services: BTreeMap<String, u16>,
    },
    /// The worker may go on.
    Worker {
        /// Its id on this scheduler.
        id: WorkerId,
        /// How often the scheduler wants to hear from it, in milliseconds.
        heartbeat_ms: u64,
    },
    /// The peer may go on.
    Peer,
    /// The connection ends here.
    Rejected(Rejection),
    /// The agent may go on.
    Agent {
        /// Its id on this scheduler.
        id: AgentId,
    },
}

/// Why a connection ends at the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No protocol version in common.
    #[error("it speaks protocol versions {theirs} and this side speaks {ours}")]
    Version {
        /// What the peer that rejects speaks.
        theirs: VersionRange,
        /// What the peer that is rejected speaks.
        ours: VersionRange,
    },
    /// The peer does not serve this role: a client went to a worker, say.
    #[error("it is {is}, which does not accept {wanted}")]
    Role {
        /// What it is, such as "a worker".
        is: String,
        /// What the peer wanted to be.
        wanted: String,
    },
    /// Another worker has this name or address.
    #[error("another worker is already connected as {name}")]
    NameTaken {
        /// The name or address.
        name: String,
    },
    /// It is shutting down.
    #[error("it is shutting down")]
    Closing,
    /// No agent of the cluster runs the client's program, and no other worker is there.
    #[error("no agent of the cluster runs this program: {reason}")]
    Program {
        /// Why, for people.
        reason: String,
    },
    /// There are agents, and the client did not say which program it is: it is to connect again,
    /// and say so.
    #[error("it has agents, and wants to know which program this is")]
    Identify,
    /// The name or the target of an agent is too long.
    #[error("names and targets of agents have {limit} bytes at most: give this one a shorter name")]
    TooLong {
        /// The limit in bytes.
        limit: u32,
    },
}

/// The first exchange went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer is something else.
    #[error("the peer does not speak this protocol: its first bytes are {start:?}")]
    NotDask {
        /// Its first bytes as text.
        start: String,
    },
    /// The first message is larger than [`MAX_HANDSHAKE_BYTES`].
    #[error("a handshake of {bytes} bytes is over the limit of {MAX_HANDSHAKE_BYTES} bytes")]
    TooLarge {
        /// Its length in bytes.
        bytes: u64,
    },
    /// The versions have nothing in common.
    #[error("the peer speaks protocol versions {theirs} and this side speaks {ours}")]
    Version {
        /// What the peer speaks.
        theirs: VersionRange,
        /// What this side speaks.
        ours: VersionRange,
    },
    /// The start is right and the rest is not.
    #[error("the peer's handshake could not be decoded")]
    Decode(#[from] DecodeError),
}

/// The first batch of the side that connects.
///
/// # Errors
/// When the hello exceeds the limit for a header.
pub fn encode_hello(versions: VersionRange, hello: &Hello) -> Result<Frames, EncodeError> {
    encode(versions, hello)
}

/// The first batch of the side that listens.
///
/// # Errors
/// When the welcome exceeds the limit for a header.
pub fn encode_welcome(versions: VersionRange, welcome: &Welcome) -> Result<Frames, EncodeError> {
    encode(versions, welcome)
}

/// Reads the first batch of a peer that connected; the version is the one to speak with it.
///
/// # Errors
/// When the peer is something else, or too old, or too new.
pub fn decode_hello(frames: &Frames) -> Result<(u16, Hello), HandshakeError> {
    decode(frames)
}

/// Reads the answer of the side that listens.
///
/// # Errors
/// When the peer is something else, or too old, or too new.
pub fn decode_welcome(frames: &Frames) -> Result<(u16, Welcome), HandshakeError> {
    decode(frames)
}

fn encode<T: Serialize>(versions: VersionRange, message: &T) -> Result<Frames, EncodeError> {
    let body = codec::encode_one(message)?;
    let mut frame = BytesMut::with_capacity(MAGIC.len() + 4 + body.len());
    frame.put_slice(MAGIC);
    frame.put_u16_le(versions.oldest);
    frame.put_u16_le(versions.newest);
    frame.put_slice(&body);
    Ok(Frames::new(vec![frame.freeze()]))
}

fn decode<T: serde::de::DeserializeOwned>(frames: &Frames) -> Result<(u16, T), HandshakeError> {
    let first = frames.bytes.first().map(Bytes::as_ref).unwrap_or_default();
    let bytes = frames.byte_len();
    if bytes > MAX_HANDSHAKE_BYTES as u64 {
        return Err(HandshakeError::TooLarge { bytes });
    }
    let Some((versions, body)) = first
        .strip_prefix(MAGIC.as_slice())
        .and_then(<[u8]>::split_first_chunk::<4>)
        .filter(|_| frames.bytes.len() == 1)
    else {
        let start = String::from_utf8_lossy(&first[..first.len().min(32)]).into_owned();
        return Err(HandshakeError::NotDask { start });
    };
    let number = |i: usize| u16::from_le_bytes([versions[i], versions[i + 1]]);
    let theirs = VersionRange { oldest: number(0), newest: number(2) };
    let ours = VersionRange::OURS;
    let version = ours.common(theirs).ok_or(HandshakeError::Version { theirs, ours })?;
    Ok((version, codec::decode_one(body)?))
}
