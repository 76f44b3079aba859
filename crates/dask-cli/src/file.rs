//! Files that tell others of a process: scheduler files and files of process ids.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dask_client::scheduler_file;
use dask_proto::Address;

use crate::error::Error;

/// How long it is waited for a scheduler file, unless told otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A file that goes with the process.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Writes the id of this process.
pub(crate) fn write_pid(path: &Path) -> Result<Temporary, Error> {
    written(path, scheduler_file::replace(path, &std::process::id().to_string()))
}

/// Writes where a scheduler is, as Dask does.
pub(crate) fn write_scheduler(path: &Path, id: &str, at: &Address) -> Result<Temporary, Error> {
    written(path, scheduler_file::write(path, id, at))
}

/// Reads where a scheduler is, once it has written so; for so long it is waited.
pub(crate) async fn read_scheduler(path: &Path, patience: Duration) -> Result<Address, Error> {
    if !path.exists() {
        tracing::info!("waiting for the scheduler file {}", path.display());
    }
    Ok(scheduler_file::read(path, patience).await?)
}

fn written(path: &Path, written: io::Result<()>) -> Result<Temporary, Error> {
    written.map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(Temporary { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scheduler_file_tells_where_the_scheduler_is_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scheduler.json");
        let address: Address = "tcp://10.0.0.1:8786".parse().unwrap();
        let file = write_scheduler(&path, "Scheduler-1", &address).unwrap();
        assert_eq!(read_scheduler(&path, PATIENCE).await.unwrap(), address);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
    }
}
