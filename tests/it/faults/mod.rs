//! What goes wrong, in calls and in processes: who hears of it, what it costs, and that the rest
//! goes on.
//!
//! Each of the tests of processes states what its fault cost. To see the figures:
//! `cargo test -p tests --test it faults -- --nocapture | grep cost:`

mod call;
#[cfg(target_os = "linux")]
mod crowd;
mod freeze;
mod kill;
mod link;
mod process;
#[cfg(target_os = "linux")]
mod resource;
mod scheduler;

use std::time::Instant;

use dask_client::{Client, SchedulerInfo};
use support::cluster::eventually;
use support::tally::costs;

/// What the scheduler knows, once it is like this.
async fn until(
    client: &Client,
    what: &str,
    is_so: impl Fn(&SchedulerInfo) -> bool,
) -> SchedulerInfo {
    eventually(what, async || {
        let info = client.scheduler_info().await.unwrap();
        is_so(&info).then_some(info)
    })
    .await
}

/// Resolves when the scheduler has this many workers.
async fn workers(client: &Client, count: usize) {
    until(client, &format!("{count} workers"), |info| info.workers.len() == count).await;
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// States how many seconds something took, which must not be many more than this: a machine that
/// does much else needs up to four times as long.
#[track_caller]
fn takes(what: &str, seconds: f64, most: f64) {
    costs(what, seconds, 4.0 * most);
}
