//! Files for tasks: what clients upload, and what tasks put there themselves.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::spill::Directory;

/// A directory that is made when it is needed first, and goes with the worker.
#[derive(Debug)]
pub(crate) struct Locker {
    /// Where it is made; below the system's directory for temporary files unless set.
    parent: Option<PathBuf>,
    directory: Mutex<Option<Directory>>,
}

impl Locker {
    pub(crate) fn new(parent: Option<PathBuf>) -> Self {
        Self { parent, directory: Mutex::default() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> io::Result<PathBuf> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*directory {
            return Ok(directory.path().to_owned());
        }
        let made = match &self.parent {
            Some(parent) => Directory::create(parent)?,
            None => Directory::create_temporary()?,
        };
        Ok(directory.insert(made).path().to_owned())
    }

    /// Puts a file there, in place of one of this name. A task that has the old one open keeps it,
    /// and none sees a part of the new one.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.path_of(name)?;
        let part = path.with_file_name(format!(".{name}.part"));
        let written = std::fs::write(&part, content).and_then(|()| std::fs::rename(&part, &path));
        if written.is_err() {
            // What could be written of it takes room that is wanted.
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path_of(name)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == OsStr::new(name) => {
                Ok(self.path()?.join(name))
            }
            _ => {
                let reason = format!("{name:?} is not the name of a file in one directory");
                Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_replaced_and_removed_inside_of_the_directory() {
        let parent = std::env::temp_dir().join(format!("dask-locker-{}", std::process::id()));
        let locker = Locker::new(Some(parent.clone()));
        assert!(!parent.exists(), "nothing is made before it is needed");
        for content in ["one", "two"] {
            locker.put("a file.txt", content.as_bytes()).expect("it is written");
            let path = locker.path().expect("it is there").join("a file.txt");
            assert_eq!(std::fs::read_to_string(path).expect("it is there"), content);
        }
        locker.remove("a file.txt").expect("it is removed");
        locker.remove("a file.txt").expect("it is not there");
        let path = locker.path().expect("it is there");
        assert_eq!(std::fs::read_dir(&path).expect("it is there").count(), 0);
        for name in ["", ".", "..", "/etc/passwd", "a/b", "../a", "a/", "a\0b"] {
            assert!(locker.put(name, b"x").is_err(), "{name:?}");
        }
        drop(locker);
        assert!(!path.exists());
        std::fs::remove_dir_all(&parent).expect("it can be removed");
    }
}
