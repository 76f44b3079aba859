//! Processes look for messages for a while before they sleep, unless they are told not to.

use std::time::Duration;

use support::cluster::eventually;
use support::tasks::inc;

use crate::child::{Program, bounded};

/// The processor time that a process has taken, in hundredths of a second.
fn ticks(process: &Program) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    // Behind the name, which may have spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let mut times = fields.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap());
    times.next().unwrap() + times.next().unwrap()
}

#[tokio::test]
async fn a_worker_rests_between_messages_where_it_is_told_to() {
    // With one processor nobody looks.
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) {
        return;
    }
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let minute = Duration::from_secs(60).as_micros().to_string();
        let [looks, rests] = [("looks", minute.as_str()), ("rests", "0")].map(|(name, limit)| {
            Program::worker_with(&address, name, &[("DASK_BUSY_POLL", limit)])
        });
        let client = support::cluster::connect(&address.parse().unwrap()).await;
        client.wait_for_workers(2).await.unwrap();
        for worker in ["looks", "rests"] {
            let worker = client.options().workers([worker]).pure(false);
            for x in 0..100 {
                assert_eq!(worker.submit(inc, x).await.unwrap(), x + 1);
            }
        }
        // Now nothing comes, and one of them goes on looking for it.
        let before = [&looks, &rests].map(ticks);
        eventually("a worker to look", async || (ticks(&looks) >= before[0] + 30).then_some(()))
            .await;
        let took = ticks(&rests) - before[1];
        assert!(took < 10, "{took} hundredths of a second");
        client.close().await.unwrap();
    })
    .await;
}
