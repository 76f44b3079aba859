//! The default client of a process. One test, as there is one default.

use dask_client::{
    Client, Collection, Delayed, Graph, Key, Output, Result, blocking, compute, default_client,
    delayed, persist, task,
};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// A collection of two outputs whose value is their sum.
struct Pair(Delayed<i64>, Delayed<i64>);

impl Collection for Pair {
    type Value = i64;

    fn graph(&self) -> Graph {
        let mut graph = self.0.graph();
        graph.extend(self.1.graph());
        graph
    }

    fn outputs(&self) -> Vec<Key> {
        vec![self.0.key().clone(), self.1.key().clone()]
    }

    fn rebuild(&self, outputs: Vec<Output>) -> Self {
        let mut outputs = outputs.into_iter().map(Output::delayed);
        let mut next = || outputs.next().expect("there are two");
        Self(next(), next())
    }

    fn finish(&self) -> Delayed<i64> {
        delayed(add, (&self.0, &self.1))
    }
}

#[tokio::test]
async fn the_client_that_connected_last_is_the_default_until_it_is_closed() -> Result<()> {
    let (a, b) = (delayed(inc, 1), delayed(inc, 2));
    let c: Delayed<i64> = delayed(add, (&a, &b));
    assert_eq!(c.compute().await?, 5, "without a client it is computed in this process");
    assert!(default_client().is_err());

    // So is a collection of one's own, and so are several, in blocking programs too.
    let pair = Pair(delayed(inc, &c), c.clone());
    assert_eq!(pair.compute().await?, 11);
    assert_eq!(pair.persist().await?.compute().await?, 11);
    assert_eq!(compute((&pair, &[a, b])).await?, (11, vec![2, 3]));
    let (kept, one) = persist((&pair, &c)).await?;
    assert_eq!(compute((&kept, &one)).await?, (11, 5));
    let blocked = std::thread::spawn(move || {
        let kept = blocking::persist(&pair)?;
        blocking::compute((&kept, &pair))
    });
    assert_eq!(blocked.join().expect("no panic")?, (11, 11));
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
