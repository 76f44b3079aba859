//! Functions of a shape that no task can have.

use dask_client::task;

#[task]
fn generic<T: Clone, const N: usize>(x: [T; N]) -> T
where
    T: Send,
{
    x[0].clone()
}

#[task]
fn bounded<'a, 'b: 'a>(_: &'a str, _: &'b str) -> i64 {
    1
}

#[task]
fn changes(xs: &mut Vec<i64>) {
    xs.push(1);
}

#[task]
fn opaque(x: impl Into<i64>) -> impl Into<i64> {
    x
}

#[task]
fn object(x: &dyn Fn(i64) -> i64) -> i64 {
    x(1)
}

#[task]
fn lends(xs: &[i64]) -> &i64 {
    &xs[0]
}

#[task]
fn lends_inside(xs: &[i64]) -> Option<&i64> {
    xs.first()
}

#[task]
fn borrows_inside(_: &[&str], _: &'static str) -> i64 {
    1
}

#[task]
fn thirteen(
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
    _: i64,
) -> i64 {
    1
}

#[task]
const unsafe extern "C" fn foreign(x: i64) -> i64 {
    x
}

#[task]
struct Thing;

#[task(versoin = 2)]
fn misspelt() {}

#[task(version = 1, version = 2)]
fn twice() {}

struct Model;

impl Model {
    #[task]
    fn predict(&self) -> f64 {
        1.0
    }
}

fn main() {}
