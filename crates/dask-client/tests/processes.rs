//! Workers in processes of their own. They run this very program in its worker role, so it has a
//! main function in place of the test harness.

use std::collections::HashSet;
use std::io::Write;
use std::time::Duration;

use dask_client::{Client, Future, LocalCluster, Result, as_completed, blocking, task};

#[task]
fn pid(_call: u32) -> u32 {
    std::process::id()
}

#[task]
fn total(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[task]
async fn all(of: Vec<Future<i64>>) -> Result<i64> {
    dask_client::default_client()?.gather(&of).await.map(|xs| xs.iter().sum())
}

#[task]
fn die(_x: i64) -> i64 {
    std::process::abort()
}

/// Prints a line that is no text, and then more than fits into a pipe that nobody reads. The start
/// of the lines keeps them from the output of this test.
#[task]
fn print_bytes() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(b"Worker at: \xff\n")?;
    let line = "Worker at: ".to_owned() + &" ".repeat(1 << 20) + "\n";
    out.write_all(line.as_bytes())
}

/// Starts a process that holds the worker's output for longer than anybody waits.
#[task]
fn hold_output() -> std::io::Result<u32> {
    let mut command = std::process::Command::new("sleep");
    command.arg("600").stdin(std::process::Stdio::null());
    Ok(command.spawn()?.id())
}

#[task]
fn variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("DASK_")).collect()
}

#[dask_client::main]
async fn main() -> Result<()> {
    let builder = LocalCluster::builder().workers(2).threads_per_worker(1);
    let cluster = builder.processes(true).build().await?;
    tasks_run_in_every_worker_process_and_in_no_other(&cluster).await?;
    data_moves_between_processes(&cluster).await?;
    futures_travel_inside_other_values(&cluster).await?;
    blocking_clients_connect_over_tcp(&cluster).await?;
    workers_print_what_is_no_text(&cluster).await?;
    programs_that_a_task_starts_are_no_workers(&cluster).await?;
    a_worker_that_dies_fails_its_task_and_is_replaced(&cluster).await?;
    #[cfg(unix)]
    a_worker_is_replaced_while_others_hold_its_output(&cluster).await?;
    cluster.close().await;
    println!("processes: ok");
    Ok(())
}

async fn tasks_run_in_every_worker_process_and_in_no_other(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    let pids = client.gather(client.map(pid, 0..50)).await?;
    let pids: HashSet<_> = pids.into_iter().collect();
    assert!(!pids.contains(&std::process::id()));
    assert_eq!(pids.len(), 2);
    client.close().await
}

async fn data_moves_between_processes(cluster: &LocalCluster) -> Result<()> {
    let client = Client::connect(cluster.address()).await?;
    let xs = client.scatter_many(0..10_i64).await?;
    assert_eq!(client.submit(total, &xs).await?, 45);
    let large = client.scatter((0..100_000).collect::<Vec<i64>>()).await?;
    assert_eq!(client.submit(total, &large).await?, 4_999_950_000);
    assert_eq!(large.await?.len(), 100_000);
    client.close().await
}

async fn futures_travel_inside_other_values(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    let futures = client.scatter_many([1_i64, 2, 3]).await?;
    // As a value of its own, so that the task gets the futures and not their results.
    let inside = client.scatter(futures.clone()).await?;
    assert_eq!(client.submit(all, &inside).await?, 6);
    client.close().await
}

async fn blocking_clients_connect_over_tcp(cluster: &LocalCluster) -> Result<()> {
    let address = cluster.address().clone();
    let blocked = tokio::task::spawn_blocking(move || {
        let client = blocking::Client::connect(&address)?;
        let pids = as_completed(client.map(pid, 100..110));
        let pids = pids.map(|future| future.result()).collect::<Result<Vec<_>>>()?;
        assert_eq!(pids.len(), 10);
        client.close()
    });
    blocked.await.expect("it does not panic")
}

async fn a_worker_that_dies_fails_its_task_and_is_replaced(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    let error = client.submit(die, 1).result().await.expect_err("nobody survives it");
    assert!(error.is_task_error(), "{error}");
    client.wait_for_workers(2).await?;
    assert_eq!(client.submit(total, [1, 2]).await?, 3);
    client.close().await
}

async fn workers_print_what_is_no_text(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    client.submit(print_bytes, ()).await?;
    client.close().await
}

async fn programs_that_a_task_starts_are_no_workers(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    assert!(client.submit(variables, ()).await?.is_empty());
    client.close().await
}

#[cfg(unix)]
async fn a_worker_is_replaced_while_others_hold_its_output(cluster: &LocalCluster) -> Result<()> {
    let client = cluster.client().await?;
    let on_one = client.options().workers(["0"]);
    let holder = on_one.submit(hold_output, ()).await?;
    let fatal = on_one.submit(die, 2);
    // It is tried on one successor after the other.
    let death = tokio::time::timeout(Duration::from_secs(60), fatal.result()).await;
    let mut kill = std::process::Command::new("kill");
    kill.arg(holder.to_string()).status()?;
    assert!(death.expect("it is replaced").is_err());
    client.wait_for_workers(2).await?;
    client.close().await
}
