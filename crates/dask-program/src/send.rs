use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dask_proto::Frames;
use dask_proto::limits::PROGRAM_PIECE_BYTES;
use dask_transport::{Connection, TransportError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{LENGTH_BYTES, PIECES_AHEAD};

/// How long the other side may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits so long for the network to take a piece has the time to compress the next one.
const SLOW: Duration = Duration::from_millis(20);

/// A program could not be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Its file cannot be read.
    #[error("the program cannot be read")]
    Read(#[source] io::Error),
    /// The link broke: the other side may have had enough.
    #[error("the connection broke while the program was sent")]
    Link(#[from] TransportError),
    /// The other side takes nothing.
    #[error("nobody took the program for {PATIENCE:?}")]
    Silent,
}

/// Sends a program over a connection that was welcomed, and closes it. `progress` hears how many
/// bytes of the file were sent so far.
///
/// # Errors
/// When the file cannot be read or the link breaks.
pub async fn send(
    connection: &mut Connection,
    file: File,
    mut progress: impl FnMut(u64),
) -> Result<(), SendError> {
    let (pieces, mut ready) = mpsc::channel(PIECES_AHEAD);
    // Ends by itself once nobody takes its pieces.
    tokio::task::spawn_blocking(move || read(file, &pieces));
    let mut sent = 0;
    while let Some(piece) = ready.recv().await {
        let (piece, bytes) = piece.map_err(SendError::Read)?;
        let sending = connection.sender.send(Frames::new(vec![piece]));
        timeout(PATIENCE, sending).await.map_err(|_| SendError::Silent)??;
        sent += bytes as u64;
        progress(sent);
    }
    connection.sender.close().await?;
    Ok(())
}

type Piece = io::Result<(Bytes, usize)>;

/// Reads and compresses, piece by piece.
fn read(mut file: File, pieces: &mpsc::Sender<Piece>) {
    let mut pace = Pace::default();
    loop {
        let mut piece = Vec::with_capacity(LENGTH_BYTES + PROGRAM_PIECE_BYTES);
        piece.resize(LENGTH_BYTES, 0);
        let read = (&mut file).take(PROGRAM_PIECE_BYTES as u64).read_to_end(&mut piece);
        let ready = match read {
            Ok(0) => return,
            Ok(bytes) => Ok((pack(piece, pace), bytes)),
            Err(error) => Err(error),
        };
        let is_last = ready.is_err();
        let sending = Instant::now();
        if pieces.blocking_send(ready).is_err() || is_last {
            return;
        }
        pace = Pace::of(sending.elapsed());
    }
}

/// Whether there is time to compress the next piece. Code that is not optimized takes longer for
/// it than a fast network to carry the piece as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The network, or nothing else, is waited for.
    #[cfg_attr(not(debug_assertions), default)]
    Slow,
    /// The network waits.
    #[cfg_attr(debug_assertions, default)]
    Fast,
}

impl Pace {
    /// What the time says for which the last piece waited.
    fn of(waited: Duration) -> Self {
        if cfg!(debug_assertions) && waited < SLOW { Self::Fast } else { Self::Slow }
    }
}

/// A piece as it travels, made of one that stands behind room for its length.
pub(crate) fn pack(mut piece: Vec<u8>, pace: Pace) -> Bytes {
    let length = u32::try_from(piece.len() - LENGTH_BYTES);
    let length = length.expect("a piece is a megabyte at most");
    piece[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    let packed = if pace == Pace::Slow { compressed(&piece) } else { None };
    packed.unwrap_or(piece).into()
}

/// A piece behind its length, compressed; `None` if it does not get shorter.
fn compressed(piece: &[u8]) -> Option<Vec<u8>> {
    let (length, plain) = piece.split_at(LENGTH_BYTES);
    let most = lz4_flex::block::get_maximum_output_size(plain.len());
    let mut packed = vec![0; LENGTH_BYTES + most];
    packed[..LENGTH_BYTES].copy_from_slice(length);
    let written = lz4_flex::block::compress_into(plain, &mut packed[LENGTH_BYTES..]).ok()?;
    packed.truncate(LENGTH_BYTES + written);
    (written < plain.len()).then_some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_compressed_where_the_network_is_waited_for() {
        assert_eq!(Pace::of(SLOW), Pace::Slow);
        let fast = if cfg!(debug_assertions) { Pace::Fast } else { Pace::Slow };
        assert_eq!((Pace::of(Duration::ZERO), Pace::default()), (fast, fast));
        let piece = [&[0; LENGTH_BYTES][..], &[7; 1000]].concat();
        assert!(pack(piece.clone(), Pace::Slow).len() < 50);
        assert_eq!(pack(piece, Pace::Fast).len(), LENGTH_BYTES + 1000);
        let short = [&[0; LENGTH_BYTES][..], b"abc"].concat();
        assert_eq!(pack(short, Pace::Slow).len(), LENGTH_BYTES + 3);
    }
}
