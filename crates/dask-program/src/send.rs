use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use dask_proto::Frames;
use dask_proto::limits::PROGRAM_PIECE_BYTES;
use dask_transport::{Connection, TransportError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{LENGTH_BYTES, PIECES_AHEAD};

/// How long the other side may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

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
    loop {
        let mut piece = Vec::with_capacity(LENGTH_BYTES + PROGRAM_PIECE_BYTES);
        piece.resize(LENGTH_BYTES, 0);
        let read = (&mut file).take(PROGRAM_PIECE_BYTES as u64).read_to_end(&mut piece);
        let ready = match read {
            Ok(0) => return,
            Ok(bytes) => Ok((pack(piece), bytes)),
            Err(error) => Err(error),
        };
        let is_last = ready.is_err();
        if pieces.blocking_send(ready).is_err() || is_last {
            return;
        }
    }
}

/// A piece as it travels, made of one that stands behind room for its length.
///
/// Code that is not optimized takes longer to compress than nearly any network to carry what is
/// not compressed.
pub(crate) fn pack(mut piece: Vec<u8>) -> Bytes {
    let length = u32::try_from(piece.len() - LENGTH_BYTES);
    let length = length.expect("a piece is a megabyte at most");
    piece[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    let packed = if cfg!(debug_assertions) { None } else { compressed(&piece) };
    packed.unwrap_or(piece).into()
}

/// A piece behind its length, compressed; `None` if it does not get shorter.
pub(crate) fn compressed(piece: &[u8]) -> Option<Vec<u8>> {
    let (length, plain) = piece.split_at(LENGTH_BYTES);
    let most = lz4_flex::block::get_maximum_output_size(plain.len());
    let mut packed = vec![0; LENGTH_BYTES + most];
    packed[..LENGTH_BYTES].copy_from_slice(length);
    let written = lz4_flex::block::compress_into(plain, &mut packed[LENGTH_BYTES..]).ok()?;
    packed.truncate(LENGTH_BYTES + written);
    (written < plain.len()).then_some(packed)
}
