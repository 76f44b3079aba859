//! What can be passed to a task, and in which shapes futures are gathered.

#![allow(
    clippy::needless_borrows_for_generic_args,
    reason = "references are among the forms that are tested"
)]

use std::collections::{BTreeMap, HashMap, HashSet};

use dask_client::serde::{Deserialize, Serialize};
use dask_client::{Client, Future, Result, Skip, delayed, task};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "dask_client::serde")]
struct Point {
    x: f64,
    y: f64,
    label: Option<String>,
}

#[task]
fn one(x: i64) -> i64 {
    x
}

#[task]
fn two(a: i64, b: u8) -> i64 {
    a + i64::from(b)
}

#[task]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

#[task]
fn length(text: String) -> usize {
    text.len()
}

#[task]
fn join(texts: &[String], separator: &str) -> String {
    texts.join(separator)
}

#[task]
fn mean(xs: &[f64]) -> f64 {
    xs.iter().sum::<f64>() / f64::from(u32::try_from(xs.len()).expect("a short list"))
}

#[task]
fn bytes(bytes: &[u8]) -> usize {
    bytes.len()
}

#[task]
fn triple(xs: [i64; 3]) -> i64 {
    xs.iter().sum()
}

#[task]
fn total(counts: &HashMap<String, i64>, more: BTreeMap<String, i64>, set: HashSet<i64>) -> i64 {
    counts.values().chain(more.values()).chain(&set).sum()
}

#[task]
fn or(x: Option<i64>, (a, b): (i64, i64)) -> i64 {
    x.unwrap_or(a - b)
}

#[task]
fn nothing() {}

#[task]
fn after(_nothing: ()) -> bool {
    true
}

#[task]
fn repeat(x: i64, n: usize) -> Vec<i64> {
    vec![x; n]
}

#[task]
fn flat(lists: &[Vec<i64>]) -> Vec<i64> {
    lists.concat()
}

#[task]
fn scale(point: Point, by: f64) -> Point {
    let Point { x, y, label } = point;
    let (x, y) = (x * by, y * by);
    Point { x, y, label }
}

#[task]
fn norm(point: &Point) -> f64 {
    point.x.hypot(point.y)
}

#[task]
async fn positive(x: i64) -> Result<i64, String> {
    if x > 0 { Ok(x) } else { Err(format!("{x} is not positive")) }
}

#[tokio::test]
async fn text_is_passed_in_every_form() -> Result<()> {
    let client = Client::local().await?;
    let name = String::from("ann");
    let future = client.submit(shout, "bob");
    assert_eq!(client.submit(shout, &name).await?, "ANN");
    assert_eq!(client.submit(shout, name.clone()).await?, "ANN");
    assert_eq!(client.submit(length, "four").await?, 4);
    assert_eq!(client.submit(length, &future).await?, 3);
    let list = vec!["a", "b"];
    assert_eq!(client.submit(join, (&list, "-")).await?, "a-b");
    assert_eq!(client.submit(join, (&list[..], "-")).await?, "a-b");
    assert_eq!(client.submit(join, (list, "-")).await?, "a-b");
    assert_eq!(client.submit(join, (["a", "b"], "-")).await?, "a-b");
    assert_eq!(client.submit(join, (&["a", "b"], "-")).await?, "a-b");
    assert_eq!(
        client.submit(join, (vec![name], &future)).await?,
        "ann",
        "a list of one needs no separator"
    );
    client.close().await
}

#[tokio::test]
async fn the_same_list_in_another_form_is_the_same_call() -> Result<()> {
    let client = Client::local().await?;
    let list = vec![1.0, 2.0];
    let key = client.submit(mean, &list).key().clone();
    assert_eq!(client.submit(mean, [1.0, 2.0]).key(), &key);
    assert_eq!(client.submit(mean, &[1.0, 2.0]).key(), &key);
    assert_eq!(client.submit(mean, &list[..]).key(), &key);
    let future = client.submit(mean, list);
    assert_eq!(future.key(), &key);
    assert!((future.await? - 1.5).abs() < f64::EPSILON);
    assert_eq!(client.submit(bytes, b"abc").await?, 3);
    assert_eq!(client.submit(triple, [1, 2, 3]).await?, 6);
    client.close().await
}

#[tokio::test]
async fn lists_of_futures_are_passed_by_value_and_by_reference() -> Result<()> {
    let client = Client::local().await?;
    let (a, b) = (client.submit(shout, "a"), client.submit(shout, "b"));
    let list = vec![a.clone(), b.clone()];
    let calls = [
        client.submit(join, (&list, "+")),
        client.submit(join, (&list[..], "+")),
        client.submit(join, (vec![&a, &b], "+")),
        client.submit(join, (&[&a, &b][..], "+")),
        client.submit(join, ([&a, &b], "+")),
        client.submit(join, ([a, b], "+")),
        client.submit(join, (list, "+")),
    ];
    for call in &calls {
        assert_eq!(call.result().await?, "A+B");
        assert_eq!(call.key(), calls[0].key());
    }
    let lists = client.map(repeat, [(1, 2), (5, 1)]);
    assert_eq!(client.submit(flat, &lists).await?, [1, 1, 5]);
    client.close().await
}

#[tokio::test]
async fn collections_options_tuples_and_structs_are_values() -> Result<()> {
    let client = Client::local().await?;
    let counts = HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    let sorted: BTreeMap<_, _> = counts.clone().into_iter().collect();
    let sum = client.submit(total, (&counts, sorted, HashSet::from([10])));
    assert_eq!(sum.await?, 16);
    assert_eq!(client.submit(or, (Some(1), (5, 3))).await?, 1);
    assert_eq!(client.submit(or, (None, (5, 3))).await?, 2);
    let unit = client.submit(nothing, ());
    assert!(client.submit(after, &unit).await?);
    assert!(client.submit(after, ()).await?);

    let point = Point { x: 3.0, y: 4.0, label: None };
    let scaled = client.map(scale, (1..4).map(|by| (point.clone(), f64::from(by))));
    let norms = client.gather(client.map(norm, &scaled)).await?;
    assert_eq!(norms, [5.0, 10.0, 15.0]);
    let data = client.scatter(point.clone()).await?;
    assert_eq!(client.submit(scale, (&data, 1.0)).await?, point);
    client.close().await
}

#[tokio::test]
async fn map_takes_whatever_can_be_iterated() -> Result<()> {
    let client = Client::local().await?;
    let xs = vec![1_i64, 2, 3];
    let maps = [
        client.map(one, &xs),
        client.map(one, xs.clone()),
        client.map(one, xs.iter().copied()),
        client.map(one, [1, 2, 3]),
        client.map(one, &[1, 2, 3]),
        client.map(one, 1..4),
        client.map(one, client.map(one, 1..4)),
        client.map(one, &client.map(one, 1..4)),
        client.map(two, (1..4).zip([0; 3])),
        client.map(two, client.map(one, 1..4).iter().zip([0; 3])),
    ];
    for futures in &maps {
        assert_eq!(client.gather(futures).await?, xs);
    }
    let words = client.map(shout, "a b".split(' '));
    assert_eq!(client.gather(words).await?, ["A", "B"]);
    let none = client.map(one, std::iter::empty::<i64>());
    assert!(client.gather(none).await?.is_empty());
    client.close().await
}

#[tokio::test]
async fn values_come_back_in_the_nesting_of_their_futures() -> Result<()> {
    let client = Client::local().await?;
    let (a, b) = (client.submit(one, 1), client.submit(shout, "x"));
    let list = client.map(one, 0..3);
    let (x, y, z) = client.gather((&a, &b, &list)).await?;
    assert_eq!((x, y.as_str(), z), (1, "X", vec![0, 1, 2]));
    assert_eq!(client.gather([&a, &a]).await?, [1, 1]);
    assert_eq!(client.gather(&list[1..]).await?, [1, 2]);
    assert_eq!(client.gather(&a).await?, 1);
    let nested = vec![client.map(one, 0..2), client.map(one, 2..4)];
    assert_eq!(client.gather(&nested).await?, [[0, 1], [2, 3]]);
    let by_name: HashMap<&str, Future<i64>> = HashMap::from([("a", a.clone())]);
    assert_eq!(client.gather(&by_name).await?, HashMap::from([("a", 1)]));
    let by_number = BTreeMap::from([(7, a)]);
    assert_eq!(client.gather(by_number).await?, BTreeMap::from([(7, 1)]));
    client.close().await
}

#[tokio::test]
async fn failed_futures_are_skipped_on_demand() -> Result<()> {
    let client = Client::local().await?;
    let futures = client.map(positive, [-1, 1]);
    let error = client.gather(&futures).await.expect_err("one fails");
    let task = error.task_error().expect("a task failed");
    assert_eq!((&task.key, task.message.as_str()), (futures[0].key(), "-1 is not positive"));
    assert_eq!(client.gather(&futures).errors(Skip).await?, [1]);
    client.close().await
}

#[tokio::test]
async fn delayed_calls_take_values_futures_and_delayed_calls() -> Result<()> {
    let client = Client::local().await?;
    let x = client.submit(one, 1);
    let (a, b) = (delayed(one, 10), delayed(one, &x));
    let lists = [delayed(repeat, (&a, 1)), delayed(repeat, (&b, 2))];
    let all = delayed(flat, &lists);
    assert_eq!(client.compute(&all).await?, [10, 1, 1]);
    let persisted = client.persist(&all);
    assert_eq!(client.compute(&persisted).await?, [10, 1, 1]);
    let texts = delayed(join, (["a", "b"], "-"));
    assert_eq!(client.compute(&texts).await?, "a-b");
    client.close().await
}
