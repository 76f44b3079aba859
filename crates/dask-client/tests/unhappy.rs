//! A client keeps its word when those around it do not: schedulers that go, workers that cannot be
//! reached, callbacks that misbehave, runtimes that end.

use std::sync::mpsc;
use std::time::Duration;

use dask_client::testing::MockScheduler;
use dask_client::{Client, Future, Result, Skip, Status, task};
use dask_proto::id::TaskId;
use dask_proto::message::{Answer, ClientToScheduler, Located, Request, SchedulerToClient};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

const SOON: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl IntoFuture<Output = T>) -> T {
    let waited = tokio::time::timeout(SOON, future.into_future()).await;
    waited.unwrap_or_else(|_| panic!("it took too long: {what}"))
}

#[tokio::test]
async fn a_gather_raises_the_first_failure_whatever_is_still_pending() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let futures = client.map(inc, 0..3);
    let gathered = tokio::spawn(client.gather(futures).into_future());
    let _pending = scheduler.task().await?;
    let failing = scheduler.task().await?;
    scheduler.fail(&failing, "no luck")?;
    let error = soon("the failure", gathered).await.expect("no panic");
    assert_eq!(error.expect_err("one failed").task_error().expect("a task").message, "no luck");
    Ok(())
}

#[tokio::test]
async fn skipping_skips_failed_tasks_and_no_lost_scheduler() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let futures = client.map(inc, 0..2);
    let tasks = [scheduler.task().await?, scheduler.task().await?];
    scheduler.fail(&tasks[0], "no luck")?;
    scheduler.finish(&tasks[1], 7_i64)?;
    assert_eq!(soon("both", client.gather(&futures).errors(Skip)).await?, [7]);

    let pending = client.map(inc, 5..6);
    scheduler.task().await?;
    scheduler.disconnect();
    let error = soon("the loss", client.gather(&pending).errors(Skip)).await;
    assert!(error.expect_err("nothing was computed").is_disconnected());
    Ok(())
}

#[tokio::test]
async fn futures_of_another_client_are_gathered_as_what_they_are() -> Result<()> {
    let cluster = dask_client::LocalCluster::builder().build().await?;
    let (one, other) = (cluster.client().await?, cluster.client().await?);
    // The same ids mean other tasks on the other client.
    let decoys = other.map(inc, 100..110);
    let futures = one.map(inc, 0..10);
    one.gather(&futures).await?;
    assert_eq!(other.gather(&futures).await?, (1..11).collect::<Vec<_>>());
    assert_eq!(other.gather(&decoys).await?, (101..111).collect::<Vec<_>>());
    one.close().await?;
    other.close().await?;
    cluster.close().await;
    Ok(())
}

#[tokio::test]
async fn a_callback_may_block_and_panic() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let (sender, called) = mpsc::channel();
    let x = client.submit(inc, 1);
    x.add_done_callback(|_| panic!("a callback of the user"));
    x.add_done_callback(move |future: Future<i64>| {
        // It may wait for the future itself.
        let value = tokio::runtime::Handle::current().block_on(future.result());
        let _ = sender.send(value.is_ok_and(|value| value == 2));
    });
    // The callback holds the future.
    drop(x);
    let task = scheduler.task().await?;
    scheduler.finish(&task, 2_i64)?;
    let waited = tokio::task::spawn_blocking(move || called.recv_timeout(SOON));
    assert!(waited.await.expect("no panic").expect("it was called"));

    let y = client.submit(inc, 2);
    let task = scheduler.task().await?;
    scheduler.finish(&task, 3_i64)?;
    assert_eq!(soon("the next task", y).await?, 3);
    Ok(())
}

#[test]
fn a_client_whose_runtime_has_ended_says_so() {
    let runtime = || tokio::runtime::Runtime::new().expect("threads");
    let (client, pending) = runtime().block_on(async {
        let mut scheduler = MockScheduler::start().await.expect("an address");
        let client: Client = scheduler.client().await.expect("a client");
        let pending = client.submit(inc, 1);
        scheduler.task().await.expect("a task");
        (client, pending)
    });
    runtime().block_on(async {
        assert_eq!(pending.status(), Status::Cancelled);
        for future in [pending, client.submit(inc, 2)] {
            let error = soon("a late answer", future).await.expect_err("nobody drives it");
            assert!(error.is_disconnected(), "{error:?}");
        }
        assert!(client.scheduler_info().await.is_err());
    });
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_be_reached_is_named_and_its_data_not_given_up() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let future = client.submit(inc, 1);
    let task = scheduler.task().await?;
    let (future_id, value) = (task.future(), None);
    scheduler.send(SchedulerToClient::InMemory { future: future_id, nbytes: 1 << 20, value })?;
    let result = tokio::spawn(async move { future.result().await });
    while !result.is_finished() {
        let message = match tokio::time::timeout(SOON, scheduler.next()).await {
            Ok(message) => message?,
            Err(_) => break,
        };
        match message {
            ClientToScheduler::Request { id, request: Request::Locate { .. } } => {
                let workers = vec!["inproc://nobody-is-here".parse().expect("an address")];
                let items = vec![Located { task: TaskId(1), workers: vec![0] }];
                let answer = Answer::Located { workers, items };
                scheduler.send(SchedulerToClient::Answer { id, answer })?;
            }
            ClientToScheduler::MissingData { .. } => panic!("nobody said that it is missing"),
            _ => {}
        }
    }
    let error = result.await.expect("no panic").expect_err("nobody is there");
    assert!(format!("{error:?}").contains("inproc://nobody-is-here"), "{error:?}");
    Ok(())
}
