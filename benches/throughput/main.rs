//! How fast is the whole system? A scheduler, two workers of one thread each and a client, each a
//! process of its own, over TCP on the loopback interface.
//!
//! `cargo run --release -p benches --bin throughput`; `-- --embedded` measures one process instead.
//! Every workload runs three times; the table shows the least, the median and the largest.

mod cluster;

use std::time::{Duration, Instant};

use dask_client::{Client, Future, Result, task};

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
fn nth(x: i64, n: i64) -> i64 {
    x + n
}

#[task]
fn bytes(n: usize) -> Vec<u8> {
    vec![7; n]
}

#[task]
fn length(xs: &[u8]) -> usize {
    xs.len()
}

const RUNS: usize = 3;

#[dask_client::main]
fn main() -> Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("scheduler") {
        // As the `dask` command runs it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(cluster::scheduler());
    }
    tokio::runtime::Runtime::new()?.block_on(client(argument.as_deref()))
}

async fn client(argument: Option<&str>) -> Result<()> {
    match argument {
        Some("--embedded") => measure(Client::local().await?).await,
        _ => {
            let start = Instant::now();
            let cluster = cluster::Cluster::start(2).await?;
            let client = Client::connect(&cluster.address).await?;
            client.wait_for_workers(2).await?;
            client.submit(inc, -1).result().await?;
            println!("start to first result: {:.1} ms", millis(start.elapsed()));
            measure(client).await
        }
    }
}

async fn measure(client: Client) -> Result<()> {
    println!("{:<34} {:>12} {:>12} {:>12}", "workload", "min", "median", "max");
    // First, while nothing else is going on: later the cluster still frees millions of results.
    print("round trip, us", round_trips(&client, 2000).await?);
    let mut offset = 0;
    for tasks in [100_000, 1_000_000] {
        let mut rates = Vec::new();
        for _ in 0..RUNS {
            offset += 10_000_000;
            rates.push(per_second(tasks, map(&client, offset, tasks).await?));
        }
        print(&format!("map of {tasks} + gather, tasks/s"), rates);
    }
    let mut rates = Vec::new();
    for run in 0..RUNS as i64 {
        rates.push(per_second((1 << 16) - 1, tree(&client, run).await?));
    }
    print("tree of 2^15 leaves, tasks/s", rates);
    let mut rates = Vec::new();
    for run in 0..RUNS as i64 {
        rates.push(per_second(5000, chain(&client, run).await?));
    }
    print("chain of 5000, tasks/s", rates);
    let mut rates = Vec::new();
    for run in 0..RUNS as i64 {
        rates.push(per_second(20_001, many_to_one(&client, run).await?));
    }
    print("20000 to 1, tasks/s", rates);
    let mut rates = Vec::new();
    for run in 0..RUNS as i64 {
        rates.push(per_second(20_001, one_to_many(&client, run).await?));
    }
    print("1 to 20000, tasks/s", rates);
    let mut rates = Vec::new();
    for run in 0..RUNS {
        rates.push(transfer(&client, (256 << 20) + run).await?);
    }
    print("gather of 256 MiB, MB/s", rates);
    client.close().await
}

async fn map(client: &Client, offset: i64, tasks: i64) -> Result<Duration> {
    let start = Instant::now();
    let futures: Vec<Future<i64>> = client.map(inc, offset..offset + tasks);
    let values = client.gather(&futures).await?;
    let elapsed = start.elapsed();
    assert!(values.into_iter().eq(offset + 1..=offset + tasks), "the results are right");
    Ok(elapsed)
}

async fn tree(client: &Client, run: i64) -> Result<Duration> {
    let start = Instant::now();
    let base = (run + 1) << 32;
    let mut level: Vec<Future<i64>> = client.map(inc, base..base + (1 << 15));
    while level.len() > 1 {
        level = client.map(add, level.chunks(2).map(|pair| (&pair[0], &pair[1])));
    }
    let total = level[0].result().await?;
    let elapsed = start.elapsed();
    assert_eq!(total, (base + 1..=base + (1 << 15)).sum());
    Ok(elapsed)
}

async fn chain(client: &Client, run: i64) -> Result<Duration> {
    let start = Instant::now();
    let mut last = client.submit(inc, (run + 1) << 40);
    for _ in 1..5000 {
        last = client.submit(inc, &last);
    }
    let value = last.result().await?;
    let elapsed = start.elapsed();
    assert_eq!(value, ((run + 1) << 40) + 5000);
    Ok(elapsed)
}

async fn many_to_one(client: &Client, run: i64) -> Result<Duration> {
    let start = Instant::now();
    let base = (run + 1) << 41;
    let futures: Vec<Future<i64>> = client.map(inc, base..base + 20_000);
    let total = client.submit(sum, &futures).result().await?;
    let elapsed = start.elapsed();
    assert_eq!(total, (base + 1..=base + 20_000).sum());
    Ok(elapsed)
}

async fn one_to_many(client: &Client, run: i64) -> Result<Duration> {
    let start = Instant::now();
    let base = (run + 1) << 42;
    let one = client.submit(inc, base);
    let futures: Vec<Future<i64>> = client.map(nth, (0..20_000).map(|n: i64| (&one, n)));
    let values = client.gather(&futures).await?;
    let elapsed = start.elapsed();
    assert!(values.into_iter().eq(base + 1..=base + 20_000), "the results are right");
    Ok(elapsed)
}

/// Microseconds of each round trip.
async fn round_trips(client: &Client, n: i64) -> Result<Vec<f64>> {
    let mut micros = Vec::new();
    for i in 0..n {
        let start = Instant::now();
        client.submit(inc, i | (1 << 50)).result().await?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

/// Megabytes per second from a worker to the client.
async fn transfer(client: &Client, n: usize) -> Result<f64> {
    let value = client.submit(bytes, n);
    client.submit(length, &value).result().await?;
    let start = Instant::now();
    let fetched = value.result().await?;
    Ok(fetched.len() as f64 / start.elapsed().as_secs_f64() / 1e6)
}

fn per_second(tasks: i64, elapsed: Duration) -> f64 {
    tasks as f64 / elapsed.as_secs_f64()
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}

fn print(what: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let (min, median, max) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    println!("{what:<34} {min:>12.0} {median:>12.0} {max:>12.0}");
}
