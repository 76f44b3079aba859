//! Delayed calls, on a scheduler that the test answers for or on none.

use dask_client::testing::MockScheduler;
use dask_client::{Client, Collection, Delayed, Graph, Result, delayed, task};
use dask_proto::message::ClientToScheduler;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};

/// A value that can be neither serialized nor tokenized.
#[derive(Debug, Clone)]
struct Live(i64);

impl Serialize for Live {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("it stays here"))
    }
}

impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn inside(value: &Live) -> i64 {
    value.0
}

#[test]
fn a_chain_longer_than_the_stack_can_be_dropped() {
    let mut last = delayed(inc, 0);
    for _ in 0..200_000 {
        last = delayed(inc, last);
    }
    let other_holder = last.clone();
    drop(last);
    drop(other_holder);
}

#[tokio::test]
async fn arguments_need_no_token() -> Result<()> {
    let client = Client::local().await?;
    assert_eq!(client.compute(&delayed(inside, Live(5))).await?, 5);
    client.close().await
}

/// How often the client of this scheduler subscribes before its tasks arrive.
async fn subscriptions(scheduler: &mut MockScheduler) -> Result<usize> {
    let mut count = 0;
    loop {
        match scheduler.next().await? {
            ClientToScheduler::Subscribe { .. } => count += 1,
            ClientToScheduler::Submit(_) => return Ok(count),
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_on_the_cluster_is_subscribed_to_once_for_a_whole_graph() -> Result<()> {
    let (mut there, mut here) = (MockScheduler::start().await?, MockScheduler::start().await?);
    let (other, client) = (there.client().await?, here.client().await?);
    let future = other.submit(inc, 1);
    let known = Graph::key::<i64>("known")?;
    let sums: Vec<_> = (0..5).map(|_| delayed(add, (&future, &known))).collect();
    let fold = |sum: Delayed<i64>, next| delayed(add, (sum, next));
    let total = sums.into_iter().reduce(fold).expect("five");
    let _total = client.compute(&total);
    assert_eq!(subscriptions(&mut here).await?, 2);
    Ok(())
}

/// A directory for one test, which goes with it.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_graph_is_drawn() -> Result<()> {
    let directory = Directory::new("drawn");
    let chain = delayed(add, (delayed(inc, 1), delayed(inc, 2)));
    let dot = directory.0.join("graph.dot");
    chain.visualize(&dot)?;
    let text = std::fs::read_to_string(dot)?;
    assert_eq!(text.matches("shape=box").count(), 3);
    assert_eq!(text.matches(" -> ").count(), 2);
    let svg = directory.0.join("graph.svg");
    chain.visualize(&svg)?;
    let text = std::fs::read_to_string(svg)?;
    assert!(text.contains("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
    assert_eq!(text.matches(">inc<").count(), 2, "{text}");
    let error = chain.visualize(directory.0.join("graph.png")).unwrap_err();
    assert!(error.to_string().contains(".svg"), "{error}");
    Ok(())
}

#[test]
fn keys_of_every_kind_are_drawn() -> Result<()> {
    let mut graph = Graph::new();
    let odd = graph.insert("a \"key\" \\ <with> & {marks}\n|", inc, 1)?;
    graph.insert("next", inc, odd)?;
    assert!(graph.to_dot().contains("\"a \\\"key\\\" \\\\ <with> & {marks} |\" -> \"next\""));
    assert!(graph.to_svg()?.contains("<svg"));
    assert!(Graph::new().to_svg()?.contains("<svg"));
    for x in 0..1001 {
        graph.insert(format!("x-{x}"), inc, x)?;
    }
    let error = graph.to_svg().unwrap_err();
    assert!(error.to_string().contains("1003 calls"), "{error}");
    Ok(())
}
