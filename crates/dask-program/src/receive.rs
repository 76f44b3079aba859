use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use dask_proto::limits::PROGRAM_PIECE_BYTES;
use dask_proto::program::{Executable, ProgramId};
use dask_proto::wire::Limits;
use dask_transport::{Connection, TransportError};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::identify::id;
use crate::{LENGTH_BYTES, PIECES_AHEAD};

/// How long the other side may be silent: it may have to wait for a third one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program did not arrive as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The link broke.
    #[error("the connection broke while the program was on its way")]
    Link(#[from] TransportError),
    /// Nothing came.
    #[error("nothing came for {PATIENCE:?}")]
    Silent,
    /// It ended early.
    #[error("only {got} of {of} bytes arrived")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that it has.
        of: u64,
    },
    /// More came than it has.
    #[error("more than its {of} bytes arrived")]
    Long {
        /// Bytes that it has.
        of: u64,
    },
    /// What came is no piece of a program.
    #[error("what arrived is not a piece of a program")]
    Piece,
    /// What arrived is another program.
    #[error("what arrived has the SHA-256 {got}, and not {wanted}: it is not started")]
    Mismatch {
        /// What was asked for.
        wanted: ProgramId,
        /// What came.
        got: ProgramId,
    },
    /// It cannot be written.
    #[error("it cannot be written to the cache")]
    Write(#[source] io::Error),
}

/// Receives a program over a connection that was welcomed, and writes it to a file. `progress`
/// hears how many bytes arrived so far.
///
/// # Errors
/// When the link breaks, when what arrives is not what was asked for, or when it cannot be written.
/// What is in the file is of no use then.
pub async fn receive(
    connection: &mut Connection,
    program: &Executable,
    file: File,
    mut progress: impl FnMut(u64),
) -> Result<(), ReceiveError> {
    connection.receiver.set_limits(Limits::PROGRAM);
    let (pieces, arrived) = mpsc::channel(PIECES_AHEAD);
    let (wanted, of) = (program.id, program.bytes);
    let writing = tokio::task::spawn_blocking(move || write(file, arrived, (wanted, of)));
    let mut got = 0;
    let received = loop {
        let received = tokio::select! {
            received = timeout(PATIENCE, connection.receiver.receive()) => received,
            // The writer ended early, and says why.
            () = pieces.closed() => break Ok(()),
        };
        let frames = match received {
            Ok(Ok(Some(frames))) => frames,
            Ok(Ok(None)) => break Ok(()),
            Ok(Err(error)) => break Err(ReceiveError::Link(error)),
            Err(_) => break Err(ReceiveError::Silent),
        };
        let Some(piece) = frames.bytes.into_iter().next() else {
            break Err(ReceiveError::Piece);
        };
        got += u64::from(length_of(&piece));
        if pieces.send(piece).await.is_err() {
            break Ok(());
        }
        progress(got);
    };
    drop(pieces);
    let written = writing.await;
    received?;
    written.unwrap_or_else(|error| Err(ReceiveError::Write(io::Error::other(error))))
}

/// What a piece says how long it is; 0 for one that is none.
fn length_of(piece: &[u8]) -> u32 {
    let length = piece.first_chunk::<LENGTH_BYTES>();
    length.map_or(0, |length| u32::from_le_bytes(*length))
}

/// Decompresses, hashes and writes, piece by piece.
fn write(
    mut file: File,
    mut arrived: mpsc::Receiver<Bytes>,
    (wanted, of): (ProgramId, u64),
) -> Result<(), ReceiveError> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PROGRAM_PIECE_BYTES];
    let mut got = 0;
    while let Some(packed) = arrived.blocking_recv() {
        let length = unpack(&packed, &mut piece).ok_or(ReceiveError::Piece)?;
        got += length as u64;
        if got > of {
            return Err(ReceiveError::Long { of });
        }
        hasher.update(&piece[..length]);
        file.write_all(&piece[..length]).map_err(ReceiveError::Write)?;
    }
    if got < of {
        return Err(ReceiveError::Short { got, of });
    }
    let got = id(hasher);
    if got != wanted {
        return Err(ReceiveError::Mismatch { wanted, got });
    }
    // A power failure must not leave a file that looks whole under its name.
    file.sync_all().map_err(ReceiveError::Write)
}

/// A piece as it was; how long it is, or `None` if it is none.
fn unpack(packed: &[u8], piece: &mut [u8]) -> Option<usize> {
    let (length, block) = packed.split_first_chunk::<LENGTH_BYTES>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let piece = piece.get_mut(..length).filter(|piece| !piece.is_empty())?;
    // One that was compressed is shorter.
    if block.len() == length {
        piece.copy_from_slice(block);
        return Some(length);
    }
    let written = lz4_flex::block::decompress_into(block, piece).ok()?;
    (written == length).then_some(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

    use super::*;
    use crate::send::{Pace, pack};

    fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
        let mut piece = vec![0; PROGRAM_PIECE_BYTES];
        let length = unpack(packed, &mut piece)?;
        Some(piece[..length].to_owned())
    }

    /// A piece behind room for its length.
    fn behind_room(piece: &[u8]) -> Vec<u8> {
        [&[0; LENGTH_BYTES], piece].concat()
    }

    #[test]
    fn pieces_of_any_kind_survive() {
        let noise = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        let pieces =
            [vec![7], vec![0; PROGRAM_PIECE_BYTES], (0..PROGRAM_PIECE_BYTES).map(noise).collect()];
        for piece in pieces {
            for pace in [Pace::Slow, Pace::Fast] {
                let packed = pack(behind_room(&piece), pace);
                assert!(packed.len() as u64 <= Limits::PROGRAM.frame_bytes);
                assert_eq!(length_of(&packed) as usize, piece.len());
                assert!(unpacked(&packed).unwrap() == piece);
            }
        }
    }

    #[test]
    fn harmed_pieces_are_refused_or_are_others() {
        let piece = behind_room(b"a piece of a program, a piece of a program");
        let (valid, plain) = (pack(piece.clone(), Pace::Slow), pack(piece, Pace::Fast));
        for at in 0..valid.len() {
            assert_eq!(unpacked(&valid[..at]), None, "cut at {at}");
            for flip in 1..=u8::MAX {
                let mut harmed = valid.to_vec();
                harmed[at] ^= flip;
                // The hash tells.
                let _ = unpacked(&harmed);
            }
        }
        for at in 0..plain.len() {
            assert_eq!(unpacked(&plain[..at]), None, "cut at {at}");
        }
        assert_eq!(unpacked(&u32::MAX.to_le_bytes()), None);
    }
}
