//! Results on disk: the thread that writes them, and where they are.

mod directory;
mod file;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{fs, io};

use dask_proto::Payload;
use dask_proto::id::TaskId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::memory;
use crate::state::{Event, SpillFailure};
use crate::store::{Store, ToSpill, discard};

pub(crate) use directory::Directory;
pub(crate) use file::SpillFile;
use file::WriteError;

/// How long the end of a worker waits for its files to be removed.
const END: Duration = Duration::from_secs(5);

/// What the thread does, one after the other. How many writes may wait is for the state to say;
/// no file waits more than once to be removed.
#[derive(Debug)]
pub(crate) enum Work {
    /// Moves a result to disk.
    Write(TaskId),
    /// Removes a file.
    Remove(PathBuf),
    /// Gives memory that was freed back to the system.
    Trim,
    /// Removes all, and ends.
    End,
}

/// Results in memory and on disk.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) store: Arc<Store>,
    /// What the state has to hear.
    pub(crate) reports: mpsc::UnboundedReceiver<Event>,
    /// With a memory limit.
    pub(crate) spiller: Option<Spiller>,
}

impl Storage {
    /// Empty; what does not fit in memory goes to this directory.
    pub(crate) fn open(directory: Option<Directory>, stack_bytes: usize) -> io::Result<Self> {
        let (store, reports) = Store::new();
        let store = Arc::new(store);
        let start = |directory| Spiller::start(directory, Arc::clone(&store), stack_bytes);
        let spiller = directory.map(start).transpose()?;
        Ok(Self { store, reports, spiller })
    }
}

/// The thread that moves results to disk. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Spiller {
    queue: Sender<Work>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Spiller {
    /// Starts the thread, with a stack on which values are encoded as they are in tasks.
    fn start(directory: Directory, store: Arc<Store>, stack_bytes: usize) -> io::Result<Self> {
        let (queue, works) = channel();
        let (end, ended) = oneshot::channel();
        let builder = std::thread::Builder::new().name("spill".to_owned()).stack_size(stack_bytes);
        let writer = Writer { directory, store, queue: queue.clone(), is_failing: false };
        builder.spawn(move || {
            writer.run(&works);
            // The worker may not have waited.
            let _ = end.send(());
        })?;
        Ok(Self { queue, ended: Some(ended) })
    }

    /// Moves a result to disk; the state hears what comes of it.
    pub(crate) fn spill(&self, task: TaskId) {
        self.tell(Work::Write(task));
    }

    /// Gives memory that was freed back to the system.
    pub(crate) fn trim(&self) {
        self.tell(Work::Trim);
    }

    /// Ends the thread, and waits until its files are removed.
    pub(crate) async fn end(mut self) {
        self.tell(Work::End);
        if let Some(ended) = self.ended.take() {
            // A disk that does not answer cannot keep the worker.
            let _ = timeout(END, ended).await;
        }
    }

    fn tell(&self, work: Work) {
        // The thread ends only when it is told to.
        let _ = self.queue.send(work);
    }
}

impl Drop for Spiller {
    fn drop(&mut self) {
        self.tell(Work::End);
    }
}

struct Writer {
    directory: Directory,
    store: Arc<Store>,
    queue: Sender<Work>,
    /// Whether the last write failed for the disk's sake: it is said once, not for every value.
    is_failing: bool,
}

impl Writer {
    fn run(mut self, works: &Receiver<Work>) {
        for work in works {
            match work {
                Work::Write(task) => self.write(task),
                Work::Remove(path) => {
                    // The disk may be gone.
                    let _ = fs::remove_file(path);
                }
                Work::Trim => memory::trim(),
                Work::End => return,
            }
        }
    }

    fn write(&mut self, task: TaskId) {
        let (generation, value) = match self.store.to_spill(task) {
            ToSpill::Write { generation, value } => (generation, value),
            // What is on disk already only leaves memory; what is gone is nobody's concern.
            ToSpill::Nothing { evicted } => return discard(evicted),
        };
        match self.try_write(&value) {
            Ok(file) => {
                self.is_failing = false;
                // The last reference goes here, not in the worker's loop.
                discard(value);
                discard(self.store.spilled(task, generation, Arc::new(file)));
            }
            Err(failure) => {
                discard(value);
                self.store.report(Event::SpillFailed { task, failure });
            }
        }
    }

    fn try_write(&mut self, value: &Payload) -> Result<SpillFile, SpillFailure> {
        let (path, remover) = (self.directory.next_file(), self.queue.clone());
        let write = || SpillFile::write(path, value, remover);
        match catch_unwind(AssertUnwindSafe(write)) {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(WriteError::Value(error))) => {
                tracing::debug!(%error, "a result stays in memory");
                Err(SpillFailure::Value)
            }
            Ok(Err(WriteError::Disk(error))) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "results cannot be moved to disk");
                }
                Err(SpillFailure::Disk)
            }
            Err(_) => {
                tracing::error!("a result stays in memory: its serialization panicked");
                Err(SpillFailure::Value)
            }
        }
    }
}
