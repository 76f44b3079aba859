//! The session that defines the product: Dask's `Client` guide, line by line.
//!
//! `cargo run --example session` runs it inside this process;
//! `cargo run --example session -- 127.0.0.1:8786` on the cluster at that address, to which this
//! program travels: `cargo xtask cluster` starts one.

use dask_client::{Client, Future, Result, task, wait};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[task]
fn parse(s: &str) -> Result<f64, std::num::ParseFloatError> {
    s.trim().parse()
}

#[dask_client::main]
async fn main() -> Result<()> {
    let client = match std::env::args().nth(1) {
        Some(address) => Client::connect(address).await?,
        None => Client::local().await?,
    };
    println!("{client:?}");

    // A call on the cluster; its result stays there.
    let x: Future<i64> = client.submit(inc, 10);
    println!("{x:?}");
    let l: Vec<Future<i64>> = client.map(inc, 0..1000);

    // Futures as arguments: the function goes to where the data is.
    let y = client.submit(inc, &x);
    let z = client.submit(add, (&x, 5));
    let total = client.submit(sum, &l);

    // Results back.
    println!("x = {}", x.result().await?);
    println!("y = {}", (&y).await?);
    println!("z = {}", (&z).await?);
    println!("total = {}", (&total).await?);
    let values = client.gather(&l).await?;
    println!("gathered {} values, {} to {}", values.len(), values[0], values[999]);
    assert_eq!(values, (1..=1000).collect::<Vec<_>>());
    assert_eq!((x.result().await?, total.result().await?), (11, 500_500));

    // The same call has the same key, and is not computed again.
    assert_eq!(client.submit(inc, 10).key(), x.key());

    // A task that fails says how, and so does everything that depends on it.
    let wrong = client.submit(parse, "not a number");
    let error = wrong.result().await.expect_err("the text is no number");
    println!("parse: {error}");
    assert!(error.is_task_error());

    wait(&l).await?;
    println!("{x:?}");
    client.close().await
}
