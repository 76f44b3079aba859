//! Tasks that tell in which program they run.

use dask_client::{get_client, task};

/// The program of this process, as an agent keeps it: the start of its SHA-256.
#[task]
pub fn program(_call: u32) -> std::io::Result<String> {
    let path = std::env::current_exe()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(name.chars().take(8).collect())
}

/// One more.
#[task]
pub fn inc(x: i64) -> i64 {
    x + 1
}

/// One more, by a task of its own.
#[task]
pub async fn have_inc(x: i64) -> dask_client::Result<i64> {
    get_client()?.submit(inc, x).await
}

/// How many there are.
#[task]
pub fn count(all: &[u8]) -> u64 {
    all.len() as u64
}
