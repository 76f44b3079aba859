//! A transport of one's own: `counting.rs` wraps another and counts what crosses it.
//!
//! `cargo run --example transport`

#[allow(unreachable_pub, reason = "the tests share it")]
mod counting;

use counting::Counting;
use dask_client::transport::Inproc;
use dask_client::{Client, LocalCluster, Result, task};

#[task]
fn double(x: i64) -> i64 {
    2 * x
}

#[dask_client::main]
async fn main() -> Result<()> {
    let transport = Counting::new(Inproc);
    let builder = LocalCluster::builder().transport(transport.clone());
    let cluster = builder.scheduler_address("counting://0").build().await?;
    let builder = Client::builder().transport(transport.clone());
    let client = builder.address(cluster.address()).connect().await?;

    let doubled = client.gather(client.map(double, 0..1000)).await?;
    assert_eq!(doubled.iter().sum::<i64>(), 999_000);
    println!("{client:?}: {} batches", transport.batches());
    client.close().await?;
    cluster.close().await;
    Ok(())
}
