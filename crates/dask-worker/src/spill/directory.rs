//! Where a worker's files are, for as long as it lives.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the directories of workers are called, in front of a number.
const PREFIX: &str = "worker-";

/// Behind the name of a directory: the file that its worker keeps locked while it lives.
const LOCK: &str = ".lock";

/// Held while directories come and go, so that none is taken for abandoned before it is locked.
const GLOBAL_LOCK: &str = "global.lock";

/// The number of the next directory of this process. None has the name of an earlier one: that may
/// be on its way out, and would take the lock of its successor with it.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of one worker. It is removed when this is dropped; what processes leave behind that
/// are killed, the next worker removes that starts in the same place.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    lock_path: PathBuf,
    /// Locked as long as the process lives, however it ends.
    _lock: File,
    files: AtomicU64,
}

impl Directory {
    /// Makes a fresh directory below the system's directory for temporary files.
    pub(crate) fn create_temporary() -> io::Result<Self> {
        let parent = std::env::temp_dir().join(format!("dask-scratch-space-{}", user()));
        for_owner().recursive(true).create(&parent)?;
        // Everybody can write where it is: another user may have been there first.
        if !is_own(&parent)? {
            let reason = format!("{} belongs to somebody else", parent.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        Self::create(&parent)
    }

    /// Makes a fresh directory inside `parent`, which is made if it is not there, and removes those
    /// of workers that died.
    pub(crate) fn create(parent: &Path) -> io::Result<Self> {
        for_owner().recursive(true).create(parent)?;
        let global = open(&parent.join(GLOBAL_LOCK))?;
        global.lock()?;
        sweep(parent);
        let pid = std::process::id();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{pid}-{number}"));
            match for_owner().create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            let lock_path = lock_of(&path);
            let lock = open(&lock_path)?;
            lock.lock()?;
            return Ok(Self { path, lock_path, _lock: lock, files: AtomicU64::new(0) });
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of a new file.
    pub(crate) fn next_file(&self) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.path.join(number.to_string())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The lock first: once the directory is gone its name, and its lock, may be another's.
        let _ = fs::remove_file(&self.lock_path);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "it cannot be removed");
        }
    }
}

/// Beside the directory, as it has to be there before.
fn lock_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK);
    name.into()
}

/// Removes the directories that no living process has locked. What cannot be removed is left: it
/// may be somebody else's.
fn sweep(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(PREFIX) || name.ends_with(LOCK) {
            continue;
        }
        let lock_path = lock_of(&path);
        if let Ok(lock) = open(&lock_path)
            && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
        {
            match fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed what a worker left"),
                Err(error) => tracing::debug!(%error, path = %path.display(), "it stays"),
            }
            let _ = fs::remove_file(&lock_path);
        }
    }
}

/// Opens a file to lock. It is not emptied: it may be anything, where others can write.
fn open(lock: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(lock)
}

/// Makes directories for this user alone.
fn for_owner() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn user() -> u32 {
    // SAFETY: it cannot fail, and touches no memory.
    unsafe { libc::getuid() }
}

#[cfg(unix)]
fn is_own(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    Ok(found.is_dir() && std::os::unix::fs::MetadataExt::uid(&found) == user())
}

#[cfg(not(unix))]
fn is_own(_: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(not(unix))]
fn user() -> u32 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lives_as_long_as_its_worker_and_is_swept_after_a_death() {
        let parent = std::env::temp_dir().join(format!("dask-sweep-{}", std::process::id()));
        let first = Directory::create(&parent).expect("a directory");
        let file = first.next_file();
        fs::write(&file, "value").expect("it can be written");
        // A worker that was killed: its lock went with it, its files stayed.
        let dead = parent.join(format!("{PREFIX}1-0"));
        fs::create_dir(&dead).expect("a directory");
        fs::write(dead.join("0"), "value").expect("it can be written");
        fs::write(lock_of(&dead), "").expect("it can be written");

        let second = Directory::create(&parent).expect("another");
        assert_ne!(first.path, second.path);
        assert!(file.exists(), "the first still lives");
        assert!(!dead.exists() && !lock_of(&dead).exists());
        // The next does not take the place of one that is just leaving.
        let place = second.path.clone();
        drop(second);
        let third = Directory::create(&parent).expect("a third");
        assert_ne!(third.path, place);
        drop((first, third));
        let left: Vec<_> = fs::read_dir(&parent).expect("it is there").flatten().collect();
        let names: Vec<_> = left.iter().map(fs::DirEntry::file_name).collect();
        assert_eq!(names, [GLOBAL_LOCK]);
        fs::remove_dir_all(&parent).expect("it can be removed");
    }

    #[test]
    fn a_parent_that_cannot_be_made_is_an_error() {
        assert!(Directory::create(Path::new("/proc/nothing/here")).is_err());
    }
}
