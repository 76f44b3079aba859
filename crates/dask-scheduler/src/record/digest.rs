use dask_proto::Frames;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::state::Peer;

/// What tells one instruction from another, in few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The peer that hears of it, if one does.
    pub peer: Option<Peer>,
    /// The first half of the SHA-256 of its encoding.
    pub hash: [u8; 16],
}

impl Digest {
    /// The digest of an instruction that is encoded.
    pub(super) fn of(peer: Option<Peer>, encoded: &Frames) -> Self {
        let mut hasher = Sha256::new();
        for frame in &encoded.bytes {
            hasher.update((frame.len() as u64).to_le_bytes());
            hasher.update(frame);
        }
        Self { peer, hash: first(hasher) }
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "something for {peer}, digest ")?,
            None => write!(f, "something for no peer, digest ")?,
        }
        self.hash.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first bytes of the SHA-256 of pieces of bytes.
pub(super) fn checksum<'a, const N: usize>(pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; N] {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    first(hasher)
}

fn first<const N: usize>(hasher: Sha256) -> [u8; N] {
    let hash = hasher.finalize();
    let mut first = [0; N];
    for (to, from) in first.iter_mut().zip(hash) {
        *to = from;
    }
    first
}
