//! The default client of a process. One test, as there is one default.

use dask_client::{Client, Delayed, Result, default_client, delayed, task};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tokio::test]
async fn the_client_that_connected_last_is_the_default_until_it_is_closed() -> Result<()> {
    let (a, b) = (delayed(inc, 1), delayed(inc, 2));
    let c: Delayed<i64> = delayed(add, (&a, &b));
    assert_eq!(c.compute().await?, 5, "without a client it is computed in this process");
    assert!(default_client().is_err());

    let first = Client::local().await?;
    let second = Client::local().await?;
    assert_eq!(default_client()?.name(), second.name());
    let quiet = Client::builder().address(first.address()).set_as_default(false);
    let quiet = quiet.connect().await?;
    assert_eq!(default_client()?.name(), second.name());
    assert_eq!(delayed(add, (&c, 1)).compute().await?, 6);

    second.close().await?;
    assert_eq!(default_client()?.name(), first.name());
    let persisted = c.persist().await?;
    assert_eq!(first.who_has(&quiet.compute(&persisted)).await?.len(), 1);
    drop((persisted, quiet));
    first.close().await?;
    assert!(default_client().is_err());
    assert_eq!(c.compute().await?, 5);
    Ok(())
}
