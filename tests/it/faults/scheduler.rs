//! The scheduler is killed: everybody says so and ends.

use std::time::Instant;

use dask_client::{Error, Future, wait};
use support::fault_tasks::gated;
use support::gate::Gate;

use super::{seconds, takes};
use crate::child::{Program, bounded, connect, says};

#[tokio::test]
async fn a_killed_scheduler_ends_every_client_and_worker_within_seconds() {
    bounded(async {
        let (mut scheduler, address) = Program::scheduler().await;
        let mut workers = Program::workers(&address, ["0", "1", "2", "3"]).await;
        let gate = Gate::new().await;
        let mut blocked = tokio::task::JoinSet::new();
        let mut running = Vec::new();
        for x in 0..4 {
            let client = connect(&address).await.unwrap();
            let future: Future<i64> = client.submit(gated, (gate.address(), x));
            running.push(gate.arrival().await);
            blocked.spawn(async move {
                let waited = wait(&future).await.unwrap_err();
                (client.gather([&future]).await.unwrap_err(), waited)
            });
        }
        let killed = Instant::now();
        scheduler.kill();
        scheduler.ended().await;
        let gone = |error: Error| {
            assert!(error.is_disconnected(), "{error:?}");
            says(&error, &["the connection to the scheduler", "is gone", &address]);
        };
        for (gathered, waited) in blocked.join_all().await {
            gone(gathered);
            gone(waited);
        }
        takes("seconds until every client knew", seconds(killed), 5.0);
        // Each in the middle of a task that does not end.
        for worker in &mut workers {
            let (status, errors) = worker.ended().await;
            assert_eq!(status.code(), Some(1), "{errors}");
            assert!(errors.contains("lost its scheduler") && errors.contains(&address), "{errors}");
        }
        takes("seconds until every worker had ended", seconds(killed), 10.0);
        for task in &mut running {
            task.gone().await;
        }
    })
    .await;
}
