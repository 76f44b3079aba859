//! A scheduler that the test answers for, and a transport of one's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dask_client::testing::MockScheduler;
use dask_client::transport::{
    Address, Connection, Inproc, Listener, Transport, TransportError, async_trait,
};
use dask_client::{Client, Future, LocalCluster, Result, Status, task};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tokio::test]
async fn the_test_sees_every_task_and_answers_for_it() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let x: Future<i64> = client.submit(inc, 1);
    let task = scheduler.task().await?;
    assert_eq!((task.key(), task.function(), task.arg::<i64>(0)?), (x.key(), "inc", 1));
    assert_eq!(x.status(), Status::Pending);
    scheduler.finish(&task, 2_i64)?;
    assert_eq!((&x).await?, 2);

    let y = client.options().retries(3).submit(add, (&x, 5));
    let task = scheduler.task().await?;
    assert_eq!((task.dependencies().len(), task.options().retries), (1, 3));
    scheduler.fail(&task, "no")?;
    let error = y.result().await.expect_err("it failed");
    assert_eq!(error.task_error().expect("a task failed").message, "no");

    let z = client.submit(add, (1, 2));
    let task = scheduler.task().await?;
    scheduler.cancel(&task, "nobody wants it")?;
    assert!(z.result().await.expect_err("it is cancelled").is_cancelled());
    Ok(())
}

#[tokio::test]
async fn a_scheduler_that_dies_ends_what_waits_for_it() -> Result<()> {
    let mut scheduler = MockScheduler::start().await?;
    let client = scheduler.client().await?;
    let x = client.submit(inc, 1);
    scheduler.task().await?;
    scheduler.disconnect();
    assert!(x.result().await.expect_err("no answer").is_disconnected());
    assert!(client.nthreads().await.expect_err("no answer").is_disconnected());
    Ok(())
}

/// The transport inside a process, with connections counted.
#[derive(Clone)]
struct Counting(Arc<AtomicU64>);

#[async_trait]
impl Transport for Counting {
    fn scheme(&self) -> &str {
        Inproc.scheme()
    }

    async fn connect(&self, address: &Address) -> Result<Connection, TransportError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inproc.connect(address).await
    }

    async fn listen(&self, address: &Address) -> Result<Box<dyn Listener>, TransportError> {
        Inproc.listen(address).await
    }
}

#[tokio::test]
async fn every_link_goes_over_the_transport_that_its_scheme_picks() -> Result<()> {
    let (transport, own) = (Counting(Arc::default()), Counting(Arc::default()));
    let builder = LocalCluster::builder().transport(transport.clone());
    let cluster = builder.scheduler_address("inproc://0").workers(2).build().await?;
    let builder = Client::builder().transport(own.clone()).set_as_default(false);
    let client = builder.address(cluster.address()).connect().await?;
    assert_eq!(client.submit(inc, 10).result().await?, 11);
    assert!(transport.0.load(Ordering::Relaxed) >= 2, "one for each worker");
    assert!(own.0.load(Ordering::Relaxed) >= 1, "one for the client");
    client.close().await?;
    cluster.close().await;
    Ok(())
}
