//! Files that tell others of a process: scheduler files and files of process ids.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dask_proto::Address;
use serde_json::{Value, json};

use crate::error::Error;

/// How often it is looked for a scheduler file.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long it is waited for a scheduler file.
const PATIENCE: Duration = Duration::from_secs(30);

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
    write(path, &std::process::id().to_string())
}

/// Writes where a scheduler is, as Dask does.
pub(crate) fn write_scheduler(path: &Path, id: &str, at: &Address) -> Result<Temporary, Error> {
    let content = json!({"type": "Scheduler", "id": id, "address": at.as_str(), "workers": {}});
    write(path, &format!("{content:#}\n"))
}

/// Reads where a scheduler is, once it has written so.
pub(crate) async fn read_scheduler(path: &Path) -> Result<Address, Error> {
    let started = Instant::now();
    loop {
        let reason = match std::fs::read_to_string(path) {
            Ok(text) => match address_in(&text) {
                Some(address) => return Ok(address),
                None => "it does not name the address of a scheduler".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        if started.elapsed() > PATIENCE {
            return Err(Error::SchedulerFile { path: path.to_owned(), reason });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn address_in(text: &str) -> Option<Address> {
    let content: Value = serde_json::from_str(text).ok()?;
    content["address"].as_str()?.parse().ok()
}

/// Writes a file at once: nobody reads half of it.
fn write(path: &Path, text: &str) -> Result<Temporary, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(Temporary { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_file_tells_where_the_scheduler_is_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scheduler.json");
        let address: Address = "tcp://10.0.0.1:8786".parse().unwrap();
        let file = write_scheduler(&path, "Scheduler-1", &address).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(address_in(&text), Some(address));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn dasks_own_files_are_read() {
        let text =
            r#"{"type": "Scheduler", "id": "Scheduler-5", "address": "tcp://h:1", "workers": {}}"#;
        assert_eq!(address_in(text).unwrap().as_str(), "tcp://h:1");
        for wrong in ["", "{}", r#"{"address": 5}"#] {
            assert_eq!(address_in(wrong), None);
        }
    }
}
