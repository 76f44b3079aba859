//! How fast is the whole system? A scheduler, two workers of one thread each and a client, each a
//! process of its own, over TCP on the loopback interface.
//!
//! This program is the client and, in their role, the workers; the scheduler is the `dask` command.
//! `cargo xtask bench` asks it; by hand, one question a line on standard input:
//! `echo "map 100000" | target/release/throughput`.

mod cluster;
mod graph;
mod session;
mod transfer;

use dask_client::{Result, task};
use rig::question;
use rig::work::{FIFTY_MICROSECONDS, work};

use crate::session::Session;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[task]
fn nth(x: i64, n: i64) -> i64 {
    x + n
}

#[task]
fn compute(seed: i64) -> i64 {
    work(seed, FIFTY_MICROSECONDS)
}

#[task]
fn bytes(n: usize, fill: u8) -> Vec<u8> {
    vec![fill; n]
}

#[task]
fn length(xs: &[u8]) -> usize {
    xs.len()
}

#[dask_client::main]
async fn main() -> Result<()> {
    let mut session = Session::default();
    question::answer(async |question| session.measure(question).await).await;
    Ok(())
}
