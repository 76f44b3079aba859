//! Writes a recording while its scheduler runs.
//!
//! The loop encodes, since an event is gone once it is handled; a thread of its own computes the
//! digests and writes. Between them is a bounded queue, for which the loop never waits: a disk that
//! cannot keep up ends the recording, and the scheduler goes on.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dask_proto::codec::{self, Carriage};
use dask_proto::{Frames, Moment};
use serde::Serialize;

use super::digest::Digest;
use super::ending::{Ending, Stop};
use super::file::{Header, Tag, write_entry, write_header, write_value};
use crate::state::{Event, Instruction, Peer};

/// Pieces that wait to be written.
const QUEUE: usize = 1 << 16;

/// Bytes that wait to be written: a second or so of a slow disk.
const BACKLOG_BYTES: u64 = 256 << 20;

/// How old an event may be that is not in the file yet.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// How much of the instructions is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// A digest of each, so that a replay knows whether it does the same.
    #[default]
    Digests,
    /// All of each, so that a difference can be read: recordings are about twice as large.
    Instructions,
}

/// Records until it is dropped, which waits for what is not yet written.
pub(crate) struct Recorder {
    queue: Option<SyncSender<Piece>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// What followed so far from the event in work.
    outcome: Vec<(Option<Peer>, Frames)>,
}

struct Shared {
    /// Bytes in the queue.
    backlog: AtomicU64,
    /// How the recording ends, known before the queue is closed.
    ending: OnceLock<Ending>,
}

enum Piece {
    Event(Frames),
    Outcome(Vec<(Option<Peer>, Frames)>),
}

impl Recorder {
    /// Writes a header, and starts to write what will follow.
    pub(crate) fn start(
        mut file: impl Write + Send + 'static,
        header: &Header,
        detail: Detail,
    ) -> io::Result<Self> {
        write_header(&mut file, header)?;
        file.flush()?;
        let (queue, pieces) = sync_channel(QUEUE);
        let shared = Arc::new(Shared { backlog: AtomicU64::new(0), ending: OnceLock::new() });
        let writer = Writer { file, pieces, detail, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("dask-record".to_owned());
        let writer = thread.spawn(move || writer.run())?;
        let (queue, writer) = (Some(queue), Some(writer));
        Ok(Self { queue, writer, shared, outcome: Vec::new() })
    }

    /// Records an event that is about to be handled, so that one that ends the scheduler is there.
    pub(crate) fn event(&mut self, now: Moment, event: &Event) {
        if let Some(frames) = self.encode(&(now, event)) {
            self.push(frames.byte_len(), Piece::Event(frames));
        }
    }

    /// Records an instruction that followed from the last event.
    pub(crate) fn instruction(&mut self, instruction: &Instruction) {
        if let Some(frames) = self.encode(instruction) {
            self.outcome.push((instruction.peer(), frames));
        }
    }

    /// Records that nothing more follows from the last event.
    pub(crate) fn settled(&mut self) {
        let outcome = std::mem::take(&mut self.outcome);
        let bytes = outcome.iter().map(|(_, frames)| frames.byte_len()).sum();
        self.push(bytes, Piece::Outcome(outcome));
    }

    fn encode(&mut self, value: &impl Serialize) -> Option<Frames> {
        self.queue.as_ref()?;
        // By reference, to find objects without encoding them.
        match codec::encode_record(value, Carriage::Objects) {
            Ok(frames) if frames.objects.is_empty() => return Some(frames),
            Ok(_) => self.stop(Stop::LiveObject),
            Err(error) => {
                tracing::error!(%error, "something that happened cannot be recorded");
                self.stop(Stop::Encoding);
            }
        }
        None
    }

    fn push(&mut self, bytes: u64, piece: Piece) {
        let Some(queue) = &self.queue else {
            return;
        };
        let backlog = self.shared.backlog.fetch_add(bytes, Ordering::Relaxed);
        // One piece may be larger than the bound.
        if backlog > BACKLOG_BYTES {
            return self.stop(Stop::TooSlow);
        }
        match queue.try_send(piece) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.stop(Stop::TooSlow),
            // The writer has said why.
            Err(TrySendError::Disconnected(_)) => self.queue = None,
        }
    }

    fn stop(&mut self, stop: Stop) {
        if self.queue.is_some() {
            tracing::error!(%stop, "the recording ends here; the scheduler goes on");
            // Before the queue is closed, since the writer looks for it then.
            let _ = self.shared.ending.set(Ending::Stopped(stop));
            self.queue = None;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop(Stop::Panic);
        }
        // Unless it was stopped before.
        let _ = self.shared.ending.set(Ending::Finished);
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

/// The other end of the queue.
struct Writer<W> {
    file: W,
    pieces: Receiver<Piece>,
    detail: Detail,
    shared: Arc<Shared>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        if let Err(error) = self.write_all() {
            tracing::error!(%error, "the recording cannot be written on; the scheduler goes on");
        }
    }

    fn write_all(&mut self) -> io::Result<()> {
        let mut flush_at = None;
        while let Some(piece) = self.next(&mut flush_at)? {
            self.write(piece)?;
            flush_at.get_or_insert_with(|| Instant::now() + FLUSH_INTERVAL);
        }
        if let Some(ending) = self.shared.ending.get() {
            write_value(&mut self.file, Tag::End, ending)?;
        }
        self.file.flush()
    }

    /// The next piece, flushing in time; `None` when there will be none.
    fn next(&mut self, flush_at: &mut Option<Instant>) -> io::Result<Option<Piece>> {
        loop {
            let Some(at) = *flush_at else {
                return Ok(self.pieces.recv().ok());
            };
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                match self.pieces.recv_timeout(left) {
                    Ok(piece) => return Ok(Some(piece)),
                    Err(RecvTimeoutError::Disconnected) => return Ok(None),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
            self.file.flush()?;
            *flush_at = None;
        }
    }

    fn write(&mut self, piece: Piece) -> io::Result<()> {
        let written = match piece {
            Piece::Event(frames) => {
                write_entry(&mut self.file, Tag::Event, &frames)?;
                frames.byte_len()
            }
            Piece::Outcome(outcome) => self.write_outcome(&outcome)?,
        };
        self.shared.backlog.fetch_sub(written, Ordering::Relaxed);
        Ok(())
    }

    fn write_outcome(&mut self, outcome: &[(Option<Peer>, Frames)]) -> io::Result<u64> {
        if self.detail == Detail::Instructions {
            for (_, frames) in outcome {
                write_entry(&mut self.file, Tag::Instruction, frames)?;
            }
        }
        let digests = outcome.iter().map(|(peer, frames)| Digest::of(*peer, frames));
        write_value(&mut self.file, Tag::Outcome, &digests.collect::<Vec<_>>())?;
        Ok(outcome.iter().map(|(_, frames)| frames.byte_len()).sum())
    }
}
