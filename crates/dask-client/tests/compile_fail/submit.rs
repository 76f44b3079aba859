//! Calls with arguments that do not fit, and of what is no task.

use dask_client::{Client, Future, task};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

fn calls(client: &Client, number: &Future<i64>, text: &Future<String>) {
    let y = 1;
    client.submit(inc, "ten");
    client.submit(inc, text);
    client.submit(|x: i64| x + y, 1);
    client.submit(add, 1);
    client.submit(add, (number, text));
    let wrong: Future<String> = client.submit(inc, number);
}

fn main() {}
