//! Parameters and results that cannot travel.

use dask_client::task;

struct Plain;

#[derive(Clone, serde::Deserialize)]
struct OnlyClone;

#[derive(Clone, serde::Serialize)]
struct OnlyWritten;

#[derive(Debug)]
struct NoError;

#[task]
fn takes(_: Plain) -> i64 {
    1
}

#[task]
fn borrows(_: &[OnlyWritten]) -> i64 {
    1
}

#[task]
fn returns() -> Vec<OnlyClone> {
    Vec::new()
}

#[task]
fn fails() -> Result<i64, NoError> {
    Err(NoError)
}

#[task]
fn shares(x: std::rc::Rc<i64>) -> i64 {
    *x
}

#[task]
async fn holds(x: i64) -> i64 {
    let shared = std::rc::Rc::new(x);
    std::future::ready(()).await;
    *shared
}

#[task]
fn unserializable() -> OnlyClone {
    OnlyClone
}

#[task]
fn unreadable(_: &(i64, OnlyWritten)) {}

fn main() {}
