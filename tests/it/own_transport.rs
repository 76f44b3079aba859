//! A transport of one's own carries a whole cluster.

use dask_client::transport::{Inproc, Tcp};
use dask_client::{Client, LocalCluster};
use support::cluster::within;
use support::counting::Counting;
use support::tasks::{inc, noise, weigh};
use support::transport_contract;

#[tokio::test]
async fn it_keeps_the_contract() {
    transport_contract(Counting::new(Tcp), "counting://127.0.0.1:0").await;
    transport_contract(Counting::new(Inproc), "counting://0").await;
}

#[tokio::test]
async fn everything_crosses_it() {
    let transport = Counting::new(Inproc);
    let builder = LocalCluster::builder().workers(2).threads_per_worker(1);
    let builder = builder.transport(transport.clone());
    let cluster = builder.scheduler_address("counting://0").build().await.unwrap();
    assert!(cluster.address().as_str().starts_with("counting://"));
    let builder = Client::builder().address(cluster.address());
    let builder = builder.transport(transport.clone()).set_as_default(false);
    let client = builder.connect().await.unwrap();

    let before = transport.batches();
    let futures = client.map(inc, 0..100);
    let values = client.gather(&futures).await.unwrap();
    assert_eq!(values, (1..=100).collect::<Vec<_>>());
    // Between workers too.
    let made = client.options().workers(["0"]).submit(noise, (1 << 20, 1));
    let moved = client.options().workers(["1"]).submit(weigh, &made);
    assert_eq!(moved.await.unwrap(), weigh(&noise(1 << 20, 1)));
    for worker in client.nthreads().await.unwrap().keys() {
        assert!(worker.as_str().starts_with("counting://"), "{worker}");
    }
    assert!(transport.batches() > before);
    client.close().await.unwrap();
    cluster.close().await;
}

#[tokio::test]
async fn it_may_wrap_sockets() {
    let transport = Counting::new(Tcp);
    let builder = LocalCluster::builder().workers(2).threads_per_worker(1);
    let builder = builder.transport(transport.clone());
    let cluster = builder.scheduler_address("counting://127.0.0.1:0").build().await.unwrap();
    let builder = Client::builder().address(cluster.address());
    let client = builder.transport(transport).set_as_default(false).connect().await.unwrap();
    let made = client.options().workers(["0"]).submit(noise, (1 << 20, 1));
    let moved = client.options().workers(["1"]).submit(weigh, &made);
    assert_eq!(moved.await.unwrap(), weigh(&noise(1 << 20, 1)));
    assert_eq!(made.await.unwrap(), noise(1 << 20, 1));
    client.close().await.unwrap();
    within("the cluster to end", cluster.close()).await;
}

#[tokio::test]
async fn a_client_without_it_says_what_it_knows() {
    let builder = Client::builder().address("counting://0");
    let error = builder.set_as_default(false).connect().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("counting") && text.contains("inproc, tcp"), "{text}");
}
