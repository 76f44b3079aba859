//! `Future<T>`: every verb, in async code and blocking.

use std::error::Error as _;
use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use dask_client::{
    Client, Future, Result, Status, as_completed, blocking, fire_and_forget, progress, task, wait,
};

const LONG: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Inner(i64);

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inner {}", self.0)
    }
}

impl std::error::Error for Inner {}

#[derive(Debug)]
struct Outer(Inner);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn fail(x: i64) -> Result<i64, Outer> {
    Err(Outer(Inner(x)))
}

#[task]
fn boom(x: i64) -> i64 {
    panic!("boom {x}")
}

/// Runs until it is cancelled.
#[task]
fn endless(_x: i64) -> i64 {
    while !dask_client::is_cancelled() {
        std::thread::yield_now();
    }
    0
}

#[task]
async fn twice(of: Future<i64>) -> Result<i64> {
    Ok(of.result().await? * 2)
}

#[tokio::test]
async fn a_finished_future_says_so_in_every_way() -> Result<()> {
    let client = Client::local().await?;
    let x = client.submit(inc, 10);
    assert_eq!(x.result().await?, 11);
    assert_eq!((&x).await?, 11);
    assert_eq!(x.clone().await?, 11);
    assert_eq!(x.try_result(LONG).await?, 11);
    assert_eq!((x.status(), x.done(), x.cancelled()), (Status::Finished, true, false));
    assert!(x.exception().await?.is_none() && x.traceback().await?.is_none());
    let debug = format!("<Future: finished, type: i64, key: {}>", x.key());
    assert_eq!((format!("{x:?}"), x.type_name()), (debug, "i64".to_owned()));
    client.close().await
}

#[tokio::test]
async fn a_failure_names_its_task_its_worker_and_its_causes() -> Result<()> {
    let client = Client::local().await?;
    let future = client.submit(fail, 3);
    let error = future.result().await.expect_err("the task fails");
    assert!(error.is_task_error() && error.source().is_none());
    let task = error.task_error().expect("a task failed");
    assert_eq!((&task.key, task.message.as_str()), (future.key(), "outer"));
    assert_eq!(task.causes, ["inner 3"]);
    assert!(task.worker.is_some() && task.function.ends_with("::fail"));
    assert!(format!("{error:?}").ends_with("outer\n  caused by: inner 3"));
    client.close().await
}

#[tokio::test]
async fn a_panic_reaches_those_that_depend_on_it_with_its_place() -> Result<()> {
    let client = Client::local().await?;
    let first = client.submit(boom, 3);
    let last = client.submit(inc, client.submit(inc, &first));
    let error = last.result().await.expect_err("the first task panics");
    let task = error.task_error().expect("a task failed");
    assert_eq!((&task.key, task.message.as_str()), (first.key(), "boom 3"));
    let place = task.location.as_deref().unwrap_or_default();
    assert!(place.contains("tests/future.rs:"), "{place}");
    assert_eq!(last.status(), Status::Error);
    let exception = first.exception().await?.expect("it failed");
    assert_eq!(exception.location, task.location);
    assert!(first.traceback().await?.is_some());
    client.close().await
}

#[tokio::test]
async fn a_future_is_waited_for_no_longer_than_wanted_and_can_be_cancelled() -> Result<()> {
    let client = Client::local().await?;
    let future = client.options().pure(false).submit(endless, 1);
    assert_eq!(future.status(), Status::Pending);
    let error = future.try_result(Duration::from_millis(1)).await;
    assert!(error.expect_err("it does not end").is_timeout());
    let short = wait(&future).timeout(Duration::from_millis(1)).await;
    assert!(short.expect_err("it does not end").is_timeout());
    let dependent = client.submit(inc, &future);
    future.cancel().await?;
    for future in [&future, &dependent] {
        let error = future.result().await.expect_err("it is cancelled");
        assert!(error.is_cancelled() && future.cancelled(), "{error}");
        assert_eq!(future.status(), Status::Cancelled);
    }
    client.close().await
}

#[tokio::test]
async fn callbacks_hear_of_the_end_before_and_after_it() -> Result<()> {
    let client = Client::local().await?;
    let future = client.submit(inc, 1);
    let (sender, ends) = mpsc::channel();
    let again = sender.clone();
    future.add_done_callback(move |future| {
        sender.send(future.status()).expect("the test listens");
    });
    future.result().await?;
    future.add_done_callback(move |future| {
        again.send(future.status()).expect("the test listens");
    });
    for _ in 0..2 {
        assert_eq!(ends.recv_timeout(LONG), Ok(Status::Finished));
    }
    client.close().await
}

#[tokio::test]
async fn futures_travel_inside_other_values() -> Result<()> {
    let client = Client::local().await?;
    let five = client.submit(inc, 4);
    // As a value: the task gets the future itself and not its result.
    assert_eq!(client.submit(twice, client.scatter(five).await?).await?, 10);
    client.close().await
}

#[tokio::test]
async fn futures_come_out_as_they_are_done() -> Result<()> {
    let client = Client::local().await?;
    let never = client.options().pure(false).submit(endless, 2);
    let (quick, failed) = (client.submit(inc, 1), client.submit(fail, 1));
    let first = wait([&never, &quick]).first_completed().timeout(LONG).await?;
    assert_eq!((first.done, first.not_done), (vec![quick.clone()], vec![never.clone()]));
    let mut done = as_completed(vec![&failed, &quick]);
    let mut keys = Vec::new();
    while let Some(future) = done.next().await {
        keys.push(future.key().clone());
        if keys.len() == 2 {
            done.add(client.submit(inc, &quick));
        }
    }
    assert_eq!(keys.len(), 3);
    assert!(keys.contains(failed.key()) && keys.contains(quick.key()));
    progress(&[quick, failed]).await?;
    fire_and_forget(client.submit(inc, 9));
    never.cancel().await?;
    client.close().await
}

#[tokio::test]
async fn a_closed_client_says_so() -> Result<()> {
    let client = Client::local().await?;
    let x = client.submit(inc, 1);
    x.result().await?;
    client.close().await?;
    let error = client.submit(inc, 1).result().await.expect_err("closed");
    assert!(error.is_closed(), "{error}");
    let error = client.scheduler_info().await.expect_err("closed");
    assert!(error.is_closed(), "{error}");
    client.close().await
}

#[test]
fn blocking_futures_have_the_same_verbs() -> Result<()> {
    let client = blocking::Client::local()?;
    client.options().timeout(LONG).wait_for_workers(1)?;
    client.wait_for_workers(1)?;
    let x = client.submit(inc, 10);
    assert_eq!((x.result()?, x.try_result(LONG)?), (11, 11));
    assert_eq!((x.status(), x.done(), x.cancelled()), (Status::Finished, true, false));
    assert!(x.exception()?.is_none() && x.traceback()?.is_none());
    let futures = client.map(inc, 0..10);
    assert_eq!(client.gather(&futures)?, (1..=10).collect::<Vec<_>>());
    assert_eq!(wait(&futures).timeout(LONG).block()?.done.len(), 10);
    blocking::progress(&futures)?;

    let mut done = as_completed(futures);
    let first = done.next().expect("ten are to come");
    let rest: i64 = done.map(|future| future.result()).sum::<Result<_>>()?;
    assert_eq!(first.result()? + rest, 55);

    let never = client.options().pure(false).submit(endless, 3);
    never.cancel()?;
    assert!(never.result().expect_err("cancelled").is_cancelled());
    client.close()
}

#[test]
fn the_same_client_serves_async_code_and_blocking_code() -> Result<()> {
    let client = blocking::Client::local()?;
    let futures = client.map(inc, 0..3);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let values = runtime.block_on(async { client.asynchronous().gather(&futures).await })?;
    assert_eq!(values, [1, 2, 3]);
    client.close()
}
