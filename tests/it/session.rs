//! The session that defines the product, line by line.

use std::collections::HashSet;

use dask_client::{Future, Status, wait};
use support::cluster::{Cluster, TWO_WORKERS};
use support::tasks::{add, inc, parse, sum};

on_every_transport! { TWO_WORKERS: the_defining_session }

async fn the_defining_session(cluster: &Cluster) {
    let client = &cluster.client;
    let x: Future<i64> = client.submit(inc, 10);
    assert_eq!(
        format!("{x:?}").replace(x.key().as_str(), "KEY"),
        "<Future: pending, type: i64, key: KEY>"
    );
    let l: Vec<Future<i64>> = client.map(inc, 0..1000);

    let y = client.submit(inc, &x);
    let z = client.submit(add, (&x, 5));
    let total = client.submit(sum, &l);

    assert_eq!(x.result().await.unwrap(), 11);
    assert_eq!((&y).await.unwrap(), 12);
    assert_eq!(z.await.unwrap(), 16);
    assert_eq!(total.result().await.unwrap(), 500_500);
    assert_eq!(client.gather(&l).await.unwrap(), (1..=1000).collect::<Vec<_>>());
    assert_eq!(x.status(), Status::Finished);
    wait(&l).await.unwrap();
    let keys: HashSet<_> = l.iter().map(Future::key).collect();
    assert_eq!(keys.len(), 1000);

    assert_eq!(client.submit(parse, " 2.5 ").await.unwrap(), 2.5);
    let error = client.submit(parse, "ten").await.unwrap_err();
    assert!(error.is_task_error());
    assert!(error.to_string().contains("invalid float"), "{error}");
    // A task function stays an ordinary function.
    assert_eq!(inc(10), 11);
}
