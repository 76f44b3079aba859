//! Tasks that do what they should: in a library, so that they have the same path in the tests and
//! in the worker processes.

use std::collections::BTreeMap;

use dask_client::task;

/// Adds one.
#[task]
pub fn inc(x: i64) -> i64 {
    x + 1
}

/// Adds two numbers.
#[task]
pub fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Adds up a list.
#[task]
pub fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

/// Reads a number.
#[task]
pub fn parse(s: &str) -> Result<f64, std::num::ParseFloatError> {
    s.trim().parse()
}

/// A constant.
#[task]
pub fn answer() -> i64 {
    42
}

/// A list of the first numbers.
#[task]
pub fn range(n: i64) -> Vec<i64> {
    (0..n).collect()
}

/// Puts lists one behind the other.
#[task]
pub fn concat(lists: &[Vec<i64>]) -> Vec<i64> {
    lists.concat()
}

/// Repeats a text.
#[task]
pub fn repeat(text: &str, times: usize) -> String {
    text.repeat(times)
}

/// How often each word occurs.
#[task]
pub fn count_words(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// Many bytes that follow from a number.
#[task]
pub fn noise(bytes: usize, start: u8) -> Vec<u8> {
    let mut next = start;
    let step = || {
        next = next.wrapping_mul(5).wrapping_add(3);
        next
    };
    std::iter::repeat_with(step).take(bytes).collect()
}

/// The length and the sum of many bytes.
#[task]
pub fn weigh(bytes: &[u8]) -> (usize, u64) {
    let all = bytes.iter().map(|&byte| u64::from(byte));
    (bytes.len(), all.sum())
}

/// Waits for something else to happen, as async functions do.
#[task]
pub async fn later(x: i64) -> i64 {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move { sender.send(x + 1) });
    receiver.await.unwrap_or_default()
}

/// The id of the process that it runs in, whoever asks.
#[task]
pub fn process(_who: &str) -> u32 {
    std::process::id()
}

/// Adds up many bytes and a number, which takes it so many milliseconds.
#[task]
pub fn labour(bytes: &[u8], millis: u64, x: u64) -> u64 {
    // sleep: it stands for work that takes this long, and nothing waits for it.
    std::thread::sleep(std::time::Duration::from_millis(millis));
    bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>() + x
}
