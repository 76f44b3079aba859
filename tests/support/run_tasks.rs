//! Functions for the processes of a cluster, outside of tasks.

use std::fs::OpenOptions;

use dask_client::{local_directory, secede, task};

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

/// Computes until there is a file, in a function that a function calls.
#[task]
pub fn nested(path: &str) -> u64 {
    first_step(path) + 1
}

#[inline(never)]
fn first_step(path: &str) -> u64 {
    std::hint::black_box(second_step(path)) + 1
}

#[inline(never)]
fn second_step(path: &str) -> u64 {
    std::hint::black_box(spin(path)) + 1
}

/// The same, where it may await.
#[task]
pub async fn nested_async(path: &str) -> u64 {
    first_step(path) + 1
}

/// The same, outside of its worker's pool of threads.
#[task]
pub fn nested_aside(path: &str) -> Result<u64, std::io::Error> {
    secede().map_err(std::io::Error::other)?;
    Ok(first_step(path))
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
