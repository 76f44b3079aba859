//! Clusters in this process, from the outside: when they start, and how long they live.

use std::time::Duration;

use dask_client::{Client, LocalCluster, Result, delayed, task};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A value whose `Serialize` panics.
#[derive(Debug, Clone)]
struct Fragile;

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("handle with care")
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(|_| Self)
    }
}

#[task]
fn fragile() -> Fragile {
    Fragile
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

/// Long past what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a future on a runtime that ends with it.
fn alone<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bounded = async { tokio::time::timeout(PATIENCE, future).await };
    let ended = runtime.expect("a runtime").block_on(bounded);
    ended.expect("it does not hang")
}

/// One test for both, as the default client comes before the cluster of the process.
#[test]
fn clients_live_on_when_the_runtime_that_asked_for_them_ends() {
    for x in [1, 2] {
        let computed = alone(delayed(inc, x).compute());
        assert_eq!(computed.expect("it works"), x + 1);
    }
    let client = alone(Client::local()).expect("it starts");
    let computed = alone(client.submit(inc, 3).result());
    assert_eq!(computed.expect("it works"), 4);
    alone(client.close()).expect("it ends");
}

#[tokio::test]
async fn a_cluster_that_cannot_listen_says_where() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    for address in [format!("tcp://{address}"), "no address at all://".to_owned()] {
        let builder = LocalCluster::builder().scheduler_address(&address);
        let error = builder.build().await.expect_err("it cannot listen there");
        let text = format!("{error:?}");
        assert!(text.contains(&address), "{text}");
    }
}

#[tokio::test]
async fn a_result_that_panics_when_it_is_serialized_says_what_and_where() -> Result<()> {
    let builder = LocalCluster::builder().scheduler_address("tcp://127.0.0.1:0");
    let cluster = builder.build().await?;
    let client = Client::builder().address(cluster.address());
    let client = client.set_as_default(false).connect().await?;
    let error = client.submit(fragile, ()).result().await;
    let error = error.expect_err("it cannot leave the worker");
    let error = error.task_error().expect("a task failed");
    assert!(error.message.contains("handle with care"), "{error:?}");
    assert!(error.function.ends_with("::fragile"), "{error:?}");
    let location = error.location.as_deref();
    assert!(location.is_some_and(|place| place.contains("local.rs:")), "{error:?}");
    client.close().await?;
    cluster.close().await;
    Ok(())
}
