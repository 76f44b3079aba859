//! What is passed where a task is expected.

use dask_client::__private::TaskFn;
use dask_client::task;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

fn plain(x: i64) -> i64 {
    x + 1
}

fn generic<T: Clone>(x: T) -> T {
    x
}

fn wants_task<F: TaskFn>(_: F) {}

fn main() {
    let y = 1;
    wants_task(inc);
    wants_task(|x: i64| x + y);
    wants_task(plain);
    wants_task(generic::<i64>);
    wants_task(*inc);
    inc("ten");
    let inc = 5;
    let f = |inc: i64| inc;
}
