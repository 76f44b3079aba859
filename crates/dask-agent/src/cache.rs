use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use dask_program::identify;
use dask_proto::program::{Executable, ProgramId};

use crate::CacheError;

/// What the name of a program that is being fetched ends with:
/// `<program>.<pid>-<number>.<bytes>.partial`, where the bytes are those that it will have.
const PARTIAL: &str = "partial";

/// The file that is locked by whoever changes what is in the directory. It can be written to, as
/// NFS wants it of what one alone locks.
const LOCK: &str = ".lock";

/// Programs on disk, each under its SHA-256. Several agents can share a directory: what one of them
/// writes or uses is locked, and the others neither remove it nor take its place.
///
/// A program is written to a temporary file, and gets its name once it is whole, so whatever has a
/// name is whole, also after a crash. The least recently used are removed when they take more than
/// the limit together; those in use stay. A file is checked against its name before its first use
/// by an agent.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    limit: u64,
    /// Programs that are elsewhere on the host, and stay.
    installed: BTreeMap<ProgramId, Installed>,
    state: Mutex<State>,
    next_partial: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// How often each is in use.
    pins: BTreeMap<ProgramId, u32>,
    /// Those that were found to be what their names say.
    checked: BTreeSet<ProgramId>,
}

/// A program that is elsewhere on the host.
#[derive(Debug)]
struct Installed {
    path: PathBuf,
    /// The file as it was when it was read: it may be another by now.
    read: Mutex<Option<Stamp>>,
}

/// What changes with a file: its device and number, its size, and when it was changed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 3], u64);

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path)?;
        let place = [metadata.dev(), metadata.ino()].map(u64::cast_signed);
        let changed = metadata.ctime().wrapping_mul(1_000_000_000) + metadata.ctime_nsec();
        Ok(Self([place[0], place[1], changed], metadata.len()))
    }
}

/// A program that is being fetched: removed when dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    /// Tells other agents that somebody writes it.
    _lock: File,
}

/// A program in use: it stays in the cache.
#[derive(Debug)]
pub(crate) struct Pin<'a> {
    cache: &'a Cache,
    program: ProgramId,
}

impl Installed {
    /// Where it is, if it is still that program.
    fn find(&self, program: ProgramId) -> Result<PathBuf, CacheError> {
        let path = self.path.clone();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| CacheError::Installed { path: path.clone(), source };
        let now = Stamp::of(&path).map_err(failed)?;
        if *read != Some(now) {
            *read = None;
            if identify(&path).map_err(failed)?.0 != program {
                return Err(CacheError::Replaced { path, wanted: program });
            }
            *read = Some(now);
        }
        Ok(path)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if let Some(count) = state.pins.get_mut(&self.program) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.program);
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there any more once it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

impl Cache {
    /// Opens a cache, and removes what fetches left that were broken off.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(directory: PathBuf, limit: u64) -> Result<Self, CacheError> {
        let failed = |source| CacheError::Directory { directory: directory.clone(), source };
        make_directory(&directory).map_err(failed)?;
        let cache = Self {
            limit,
            installed: BTreeMap::new(),
            state: Mutex::default(),
            next_partial: AtomicU64::new(0),
            directory: directory.clone(),
        };
        // Where nothing can be written, nothing was broken off.
        if let Ok(_changing) = cache.lock_directory() {
            cache.sweep().map_err(failed)?;
        }
        Ok(cache)
    }

    /// Counts a program in that is elsewhere on the host. It is neither copied nor removed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn install(&mut self, path: PathBuf) -> Result<ProgramId, CacheError> {
        let failed = |source| CacheError::Installed { path: path.clone(), source };
        let read = Stamp::of(&path).map_err(failed)?;
        let (id, _) = identify(&path).map_err(failed)?;
        self.installed.insert(id, Installed { path, read: Mutex::new(Some(read)) });
        Ok(id)
    }

    /// Where programs are kept.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The programs that are there.
    pub(crate) fn programs(&self) -> Vec<ProgramId> {
        let kept = self.entries().into_iter().map(|(_, _, id)| id);
        kept.chain(self.installed.keys().copied()).collect()
    }

    /// Where a program is, if it is there. Reads all of it if that was not done yet, and one that
    /// is installed also when its file has changed.
    pub(crate) fn find(&self, program: ProgramId) -> Result<PathBuf, CacheError> {
        let installed = self.installed.get(&program).map(|installed| installed.find(program));
        if let Some(Ok(path)) = installed {
            return Ok(path);
        }
        let path = self.path(program);
        if !path.exists() {
            let missing = || Err(CacheError::Missing { directory: self.directory.clone() });
            return installed.unwrap_or_else(missing);
        }
        if !self.lock().checked.contains(&program) {
            if !identify(&path).is_ok_and(|(id, _)| id == program) {
                // If it cannot be removed it is found out again.
                let _ = fs::remove_file(&path);
                return Err(CacheError::Damaged { wanted: program });
            }
            self.lock().checked.insert(program);
        }
        // So it is known to be used; a disk that cannot be written to costs no more than that.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(path)
    }

    /// Has other agents keep a program, if it is there, and [finds](Cache::find) it. It is theirs
    /// to remove again once the file is dropped; one that is installed has none.
    pub(crate) fn acquire(&self, program: ProgramId) -> Result<Option<File>, CacheError> {
        // Before it is read, which takes a while.
        let held = self.hold(program);
        self.find(program).map(|_| held)
    }

    /// Keeps a program from being removed.
    pub(crate) fn pin(&self, program: ProgramId) -> Pin<'_> {
        *self.lock().pins.entry(program).or_default() += 1;
        Pin { cache: self, program }
    }

    /// Makes room for a program, and a file to write it to.
    pub(crate) fn start(&self, program: &Executable) -> Result<(Partial, File), CacheError> {
        let Executable { id, bytes, .. } = program;
        if *bytes > self.limit {
            return Err(CacheError::TooLarge { bytes: *bytes, limit: self.limit });
        }
        let failed = |source| self.failed(source);
        // No two agents make room for the same bytes.
        let _changing = self.lock_directory().map_err(failed)?;
        self.sweep().map_err(failed)?;
        self.make_room(*bytes);
        let number = self.next_partial.fetch_add(1, Ordering::Relaxed);
        let name = format!("{id}.{}-{number}.{bytes}.{PARTIAL}", std::process::id());
        let path = self.directory.join(name);
        let file = File::options().write(true).create_new(true).open(&path).map_err(failed)?;
        let partial = Partial { path, _lock: file.try_clone().map_err(failed)? };
        let _ = file.lock();
        Ok((partial, file))
    }

    fn hold(&self, program: ProgramId) -> Option<File> {
        // Nobody removes it before it is locked.
        let _changing = self.lock_directory();
        self.hold_here(program)
    }

    fn hold_here(&self, program: ProgramId) -> Option<File> {
        let file = File::open(self.path(program)).ok()?;
        // On a disk that knows no locks nobody else has it locked either.
        let _ = file.lock_shared();
        Some(file)
    }

    /// Gives a program that is whole its name, and has other agents keep it as by
    /// [`Cache::acquire`]. The file that it was written to has to be closed.
    pub(crate) fn keep(
        &self,
        partial: Partial,
        program: ProgramId,
    ) -> Result<Option<File>, CacheError> {
        let failed = |source| self.failed(source);
        let _changing = self.lock_directory().map_err(failed)?;
        let path = self.path(program);
        let kept = make_executable(&partial.path).and_then(|()| fs::rename(&partial.path, &path));
        kept.map_err(failed)?;
        self.lock().checked.insert(program);
        // What is open for writing cannot be run.
        drop(partial);
        Ok(self.hold_here(program))
    }

    /// Waits until nobody else changes what is in the directory; it is the caller's to change until
    /// the file is dropped. On a disk that knows no locks it is everybody's.
    fn lock_directory(&self) -> io::Result<File> {
        let path = self.directory.join(LOCK);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let _ = file.lock();
        Ok(file)
    }

    /// Removes what fetches left that were broken off.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)?.flatten() {
            if is_abandoned(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, program: ProgramId) -> PathBuf {
        self.directory.join(program.to_string())
    }

    fn failed(&self, source: io::Error) -> CacheError {
        CacheError::Directory { directory: self.directory.clone(), source }
    }

    /// Removes programs that are not in use, the least recently used first, until so many bytes
    /// more are within the limit.
    fn make_room(&self, bytes: u64) {
        let mut entries = self.entries();
        entries.sort_unstable();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        // Others are about to take more.
        total = total.saturating_add(self.on_their_way());
        let state = self.lock();
        for (_, size, id) in entries {
            if total.saturating_add(bytes) <= self.limit {
                return;
            }
            // A process goes on with a file that was removed.
            let is_free = !state.pins.contains_key(&id) && !is_used(&self.path(id));
            if is_free && fs::remove_file(self.path(id)).is_ok() {
                total -= size;
                tracing::info!(program = id.short(), "removed from the cache");
            }
        }
    }

    /// What is there: when it was last used, its size, and which program it is.
    fn entries(&self) -> Vec<(SystemTime, u64, ProgramId)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let program = entries.filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), id))
        });
        program.collect()
    }

    /// The bytes of programs that agents are fetching.
    fn on_their_way(&self) -> u64 {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let partial = entries.filter_map(|entry| {
            let name = entry.file_name();
            let stem = name.to_str()?.strip_suffix(PARTIAL)?.strip_suffix('.')?;
            stem.rsplit_once('.')?.1.parse::<u64>().ok()
        });
        partial.fold(0, u64::saturating_add)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only the user that runs the agent may put programs there, which that user then runs.
fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // SAFETY: it takes nothing and changes nothing.
    let user = unsafe { libc::geteuid() };
    if fs::metadata(path)?.uid() != user {
        return Err(io::Error::other("it belongs to another user, who could change what is run"));
    }
    Ok(())
}

fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Whether a file is what somebody began to write who is not there any more, on whatever host.
fn is_abandoned(path: &Path) -> bool {
    let is_partial = path.extension().is_some_and(|extension| extension == PARTIAL);
    let open = || File::options().write(true).open(path);
    is_partial && open().is_ok_and(|file| file.try_lock().is_ok())
}

/// Whether a program is in use, as far as that is to be seen: locked by an agent, or running. One
/// that runs cannot be opened for writing, which NFS wants of what one alone locks.
fn is_used(path: &Path) -> bool {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    match file.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        // On a disk that knows no locks nobody has it locked.
        Err(TryLockError::Error(error)) => error.kind() != io::ErrorKind::Unsupported,
    }
}

#[cfg(test)]
mod tests;
