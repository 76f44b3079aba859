//! Files that say where a scheduler is, as Dask writes them.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dask_proto::Address;
use serde_json::{Value, json};

/// How often it is looked for a file.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A file does not say where a scheduler is.
#[derive(Debug, thiserror::Error)]
#[error("the scheduler file {} cannot be read", path.display())]
pub struct SchedulerFileError {
    path: PathBuf,
    source: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it does not name the address of a scheduler")]
    Address,
}

/// Writes where a scheduler is.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, id: &str, at: &Address) -> io::Result<()> {
    let content = json!({"type": "Scheduler", "id": id, "address": at.as_str(), "workers": {}});
    replace(path, &format!("{content:#}\n"))
}

/// Writes a file at once: nobody reads half of it.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path))
}

/// Reads where a scheduler is, once that is written, for which it waits no longer than this.
///
/// # Errors
/// When there is no file by then, or one without an address.
pub async fn read(path: &Path, patience: Duration) -> Result<Address, SchedulerFileError> {
    let started = Instant::now();
    loop {
        let source = match std::fs::read_to_string(path).map(|text| address_in(&text)) {
            Ok(Some(address)) => return Ok(address),
            Ok(None) => Reason::Address,
            Err(error) => error.into(),
        };
        if started.elapsed() >= patience {
            return Err(SchedulerFileError { path: path.to_owned(), source });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn address_in(text: &str) -> Option<Address> {
    let content: Value = serde_json::from_str(text).ok()?;
    content["address"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dasks_own_files_are_read() {
        let text =
            r#"{"type": "Scheduler", "id": "Scheduler-5", "address": "tcp://h:1", "workers": {}}"#;
        assert_eq!(address_in(text).expect("an address").as_str(), "tcp://h:1");
        for wrong in ["", "{}", r#"{"address": 5}"#] {
            assert_eq!(address_in(wrong), None);
        }
    }
}
