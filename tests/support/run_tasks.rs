//! Functions for the processes of a cluster, outside of tasks.

use std::fs::OpenOptions;

use dask_client::{local_directory, task};

/// Makes a file, which only the first that comes can.
#[task]
pub fn claim(path: &str) -> Result<bool, std::io::Error> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    Ok(true)
}

/// What is in a file that a client uploaded.
#[task]
pub fn uploaded(name: &str) -> Result<Option<String>, std::io::Error> {
    let path = local_directory()?.join(name);
    path.exists().then(|| std::fs::read_to_string(path)).transpose()
}

/// Computes until there is a file.
#[task]
pub fn spin(path: &str) -> u64 {
    let mut rounds = 0_u64;
    loop {
        rounds = std::hint::black_box(rounds + 1);
        // To look takes the system, and not this thread, a while.
        if rounds.is_multiple_of(5_000_000) && std::path::Path::new(path).exists() {
            return rounds;
        }
    }
}
