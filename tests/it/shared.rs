//! What clients share by way of the scheduler: datasets, metadata, events, and what tasks print.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use dask_client::{Future, TopicEvent, blocking, print};
use support::cluster::{Cluster, TWO_WORKERS, within};
use support::running_tasks::count_aloud;
use support::tasks::inc;
use tokio::sync::mpsc;

use crate::child::{Program, bounded};

on_every_transport! {
    TWO_WORKERS:
    a_dataset_outlives_its_client_and_keeps_its_results,
    datasets_are_named_once,
    metadata_are_nested,
    events_are_remembered_and_told,
    a_handler_that_panics_is_called_again,
    the_scheduler_says_who_comes_and_goes,
    what_tasks_print_is_told_under_its_topic,
}

async fn a_dataset_outlives_its_client_and_keeps_its_results(cluster: &Cluster) {
    let client = &cluster.client;
    let other = cluster.another_client().await;
    let parts: Vec<Future<i64>> = other.map(inc, 0..3);
    let keys: Vec<_> = parts.iter().map(|part| part.key().clone()).collect();
    other.publish_dataset("parts", &("three".to_owned(), parts.clone())).await.unwrap();
    drop(parts);
    other.close().await.unwrap();
    assert_eq!(client.list_datasets().await.unwrap(), ["parts"]);
    let (name, parts): (String, Vec<Future<i64>>) = client.get_dataset("parts").await.unwrap();
    client.unpublish_dataset("parts").await.unwrap();
    assert_eq!((name.as_str(), client.gather(&parts).await.unwrap()), ("three", vec![1, 2, 3]));
    drop(parts);
    cluster.forgotten(&keys).await;
}

async fn datasets_are_named_once(cluster: &Cluster) {
    let client = &cluster.client;
    client.publish_dataset("x", &1).await.unwrap();
    let error = client.publish_dataset("x", &2).await.unwrap_err();
    assert!(error.to_string().contains("a dataset x is published already"), "{error}");
    client.publish_dataset("x", &"two".to_owned()).overwrite(true).await.unwrap();
    assert_eq!(client.get_dataset::<String>("x").await.unwrap(), "two");
    let error = client.get_dataset::<i32>("x").await.unwrap_err();
    assert!(format!("{error:?}").contains("could not be deserialized as i32"), "{error:?}");
    client.unpublish_dataset("x").await.unwrap();
    for error in [
        client.get_dataset::<i32>("x").await.unwrap_err(),
        client.unpublish_dataset("x").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("no dataset x is published"), "{error}");
    }
    let future = client.submit(inc, 1);
    future.cancel().await.unwrap();
    let error = client.publish_dataset("cancelled", &future).await.unwrap_err();
    assert!(error.to_string().contains("which is not on the cluster"), "{error}");
}

async fn metadata_are_nested(cluster: &Cluster) {
    let client = &cluster.client;
    client.set_metadata(["job", "a", "tries"], &1).await.unwrap();
    client.set_metadata(["job", "b", "tries"], &2).await.unwrap();
    let tries = client.get_metadata::<i32>(["job", "b", "tries"]).await.unwrap();
    assert_eq!(tries, Some(2));
    type Jobs = BTreeMap<String, BTreeMap<String, i32>>;
    let jobs = client.get_metadata::<Jobs>(["job"]).await.unwrap().unwrap();
    let expected = ["a", "b"].into_iter().zip([1, 2]);
    let expected = expected.map(|(name, n)| (name.to_owned(), [("tries".to_owned(), n)].into()));
    assert_eq!(jobs, expected.collect::<Jobs>());
    let error = client.set_metadata(["job", "a", "tries", "more"], &1).await.unwrap_err();
    assert!(error.to_string().contains("nothing can be below them"), "{error}");
    client.set_metadata(["job"], &"over".to_owned()).await.unwrap();
    assert_eq!(client.get_metadata::<i32>(["job", "b", "tries"]).await.unwrap(), None);
    assert_eq!(client.get_metadata::<String>(["job"]).await.unwrap().unwrap(), "over");
}

fn listener() -> (impl Fn(TopicEvent) + Send + Sync, mpsc::UnboundedReceiver<TopicEvent>) {
    let (sender, heard) = mpsc::unbounded_channel();
    (move |event| drop(sender.send(event)), heard)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<TopicEvent>) -> TopicEvent {
    within("an event", heard.recv()).await.unwrap()
}

async fn events_are_remembered_and_told(cluster: &Cluster) {
    let client = &cluster.client;
    let other = cluster.another_client().await;
    let (handler, mut heard) = listener();
    let start = SystemTime::now() - Duration::from_secs(1);
    client.log_event("news", &0).await.unwrap();
    other.subscribe_topic("news", handler).await.unwrap();
    for number in 1..100 {
        client.log_event("news", &number).await.unwrap();
        assert_eq!(next(&mut heard).await.message::<i32>().unwrap(), number);
    }
    let events = client.get_events("news").await.unwrap();
    let numbers = events.iter().map(|event| event.message::<i32>().unwrap());
    assert!(numbers.eq(0..100));
    let end = SystemTime::now();
    assert!(events.iter().all(|event| event.topic() == "news"));
    assert!(events.iter().all(|event| event.when() >= start && event.when() <= end));
    assert!(events[0].message::<String>().is_err());
    assert!(client.get_events("other").await.unwrap().is_empty());
    other.unsubscribe_topic("news").await.unwrap();
    client.log_event("news", &100).await.unwrap();
    // The handler is gone, and with it what it would tell.
    assert!(within("the end of the events", heard.recv()).await.is_none());
    let error = client.log_event("news", &vec![0_u8; 1 << 17]).await.unwrap_err();
    assert!(error.to_string().contains("is over the limit"), "{error}");
    other.close().await.unwrap();
    let (handler, _heard) = listener();
    assert!(other.subscribe_topic("news", handler).await.unwrap_err().is_closed());
}

async fn a_handler_that_panics_is_called_again(cluster: &Cluster) {
    let client = &cluster.client;
    let (handler, mut heard) = listener();
    let panics = move |event: TopicEvent| {
        let number = event.message::<i32>().unwrap();
        handler(event);
        assert_ne!(number, 1, "a panic of the test's own");
    };
    client.subscribe_topic("odd", panics).await.unwrap();
    for number in [1, 2] {
        client.log_event("odd", &number).await.unwrap();
        assert_eq!(next(&mut heard).await.message::<i32>().unwrap(), number);
    }
}

async fn the_scheduler_says_who_comes_and_goes(cluster: &Cluster) {
    let client = &cluster.client;
    let (handler, mut heard) = listener();
    client.subscribe_topic("all", handler).await.unwrap();
    let other = cluster.another_client().await;
    let (came, left) =
        (format!("add-client {}", other.name()), format!("remove-client {}", other.name()));
    // Other connections come and go at will, such as those with which the cluster started.
    while next(&mut heard).await.message::<String>().unwrap() != came {}
    other.close().await.unwrap();
    while next(&mut heard).await.message::<String>().unwrap() != left {}
    let events = client.get_events("all").await.unwrap();
    let texts: Vec<String> = events.iter().map(|event| event.message().unwrap()).collect();
    for worker in cluster.workers().await {
        assert!(texts.contains(&format!("add-worker {worker}")), "{texts:?}");
    }
}

async fn what_tasks_print_is_told_under_its_topic(cluster: &Cluster) {
    let client = &cluster.client;
    let ((printed, mut prints), (warned, mut warnings)) = (listener(), listener());
    client.subscribe_topic("print", printed).await.unwrap();
    client.subscribe_topic("warn", warned).await.unwrap();
    client.submit(count_aloud, 2).await.unwrap();
    for i in 0..2 {
        let text = next(&mut prints).await.message::<String>().unwrap();
        assert_eq!(text, format!("{i} of 2"));
    }
    assert_eq!(next(&mut warnings).await.message::<String>().unwrap(), "that was all");
    // Outside of tasks it only prints.
    print("nobody is told");
}

#[tokio::test]
async fn a_client_prints_what_its_tasks_print_in_other_processes() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let _workers = Program::workers(&address, ["0"]).await;
        let mut client = Program::start(&["noisy", &address], &[]);
        client.says("0 of 2").await;
        client.says("1 of 2").await;
        // Also what tasks print that its tasks submitted.
        client.says("0 of 3").await;
        client.says("2 of 3").await;
        client.ended().await;
    })
    .await;
}

#[test]
fn what_is_shared_is_there_without_async_too() {
    let client = blocking::Client::local().unwrap();
    client.publish_dataset("x", &client.submit(inc, 1)).unwrap();
    assert_eq!(client.list_datasets().unwrap(), ["x"]);
    let x: blocking::Future<i64> = client.get_dataset("x").unwrap();
    assert_eq!(x.result().unwrap(), 2);
    client.unpublish_dataset("x").unwrap();
    client.set_metadata(["a"], &1).unwrap();
    assert_eq!(client.get_metadata::<i32>(["a"]).unwrap(), Some(1));
    let (sender, heard) = std::sync::mpsc::channel();
    let handler = move |event: TopicEvent| sender.send(event.message::<i32>().unwrap()).unwrap();
    client.subscribe_topic("news", handler).unwrap();
    client.log_event("news", &7).unwrap();
    assert_eq!(heard.recv().unwrap(), 7);
    client.unsubscribe_topic("news").unwrap();
    assert_eq!(client.get_events("news").unwrap().len(), 1);
    client.close().unwrap();
}
