//! `#[main]` on what is no main function.

#[dask_client::main]
async fn with_parameter(_: Vec<String>) {}

#[dask_client::main]
fn generic<T>() {}

#[dask_client::main]
struct Program;

#[dask_client::main(worker_threads = 4)]
fn main() {}
