//! How fast this machine is: its memory, its disk and its way to a peer.

use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{fs, io};

use dask_proto::Address;
use dask_proto::id::TaskId;
use dask_proto::message::{Reply, ValueAt};
use dask_transport::Peers;

use crate::locker::Locker;

/// The largest pieces.
const LARGEST: u64 = 128 << 20;

/// The longest that one takes.
const LONGEST: Duration = Duration::from_secs(10);

/// The name of the file that is written; clients' files do not start with a point and a space.
const FILE: &str = ". benchmark";

/// Does something that moves so many bytes again and again for so long: at least once.
fn again_and_again(
    duration: Duration,
    nbytes: u64,
    mut work: impl FnMut() -> io::Result<()>,
) -> Reply {
    let started = Instant::now();
    let mut moved = 0_u64;
    loop {
        if let Err(error) = work() {
            return Reply::Refused(format!("the benchmark failed: {error}"));
        }
        moved = moved.saturating_add(nbytes);
        if started.elapsed() >= duration.min(LONGEST) {
            return replied(moved, started);
        }
    }
}

fn replied(nbytes: u64, started: Instant) -> Reply {
    let took_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Reply::Moved { nbytes, took_ns }
}

/// A piece of memory of so many bytes, within bounds.
fn piece(nbytes: u64) -> Vec<u8> {
    vec![7; usize::try_from(nbytes.clamp(1, LARGEST)).unwrap_or(1)]
}

/// Copies from memory to memory.
pub(crate) fn memory(nbytes: u64, duration: Duration) -> Reply {
    let from = piece(nbytes);
    let mut to = piece(nbytes);
    again_and_again(duration, from.len() as u64, || {
        black_box(&mut to).copy_from_slice(black_box(&from));
        Ok(())
    })
}

/// Writes a file and reads it back.
pub(crate) fn disk(nbytes: u64, duration: Duration, locker: &Locker) -> Reply {
    let path = match locker.path() {
        Ok(directory) => directory.join(FILE),
        Err(error) => return Reply::Refused(format!("the benchmark failed: {error}")),
    };
    let piece = piece(nbytes);
    let reply = again_and_again(duration, 2 * piece.len() as u64, || {
        fs::write(&path, &piece)?;
        black_box(fs::read(&path)?);
        Ok(())
    });
    // It takes room that is wanted, and goes with its directory at the latest.
    let _ = fs::remove_file(&path);
    reply
}

/// Fetches a result from a peer.
pub(crate) async fn fetch(peers: Peers, peer: Address, task: TaskId, duration: Duration) -> Reply {
    let started = Instant::now();
    let mut moved = 0_u64;
    loop {
        match peers.try_get(&peer, vec![task]).await {
            Ok(values) => {
                let Some((_, ValueAt::Found(value))) = values.first() else {
                    return Reply::Refused(format!("{peer} does not have what was to be fetched"));
                };
                moved = moved.saturating_add(value.nbytes());
            }
            Err(error) => return Reply::Refused(format!("the benchmark failed: {error}")),
        }
        if started.elapsed() >= duration.min(LONGEST) {
            return replied(moved, started);
        }
    }
}
