//! Tasks that make use of what a running task may do.

use std::io::{Error, Result};

use dask_client::{print, rejoin, secede, task, warn};

use crate::stage::perform;

/// Does what the stage says, outside of its worker's pool of threads, and comes back.
#[task]
pub fn step_aside(stage: &str, name: &str) -> Result<i64> {
    secede().map_err(Error::other)?;
    let given = perform(stage, name).map_err(Error::other)?;
    rejoin().map_err(Error::other)?;
    Ok(given)
}

/// Computes with tasks of its own, for whose results it waits outside of the pool.
#[task]
pub fn fibonacci(n: i64) -> std::result::Result<i64, dask_client::Error> {
    use dask_client::blocking;

    if n < 2 {
        return Ok(n);
    }
    let client = blocking::default_client()?;
    let (one, two) = (client.submit(fibonacci, n - 1), client.submit(fibonacci, n - 2));
    secede().map_err(Error::other)?;
    let sum = one.result()? + two.result()?;
    rejoin().map_err(Error::other)?;
    Ok(sum)
}

/// Counts aloud, and says when it is done.
#[task]
pub fn count_aloud(n: i64) -> i64 {
    for i in 0..n {
        print(format_args!("{i} of {n}"));
    }
    warn("that was all");
    n
}
