//! What tasks and the worker say, on its way to the scheduler.

use dask_proto::message::{LogLevel, LogRecord, WorkerToScheduler};
use dask_task::context::{print, warn};
use dask_task::{Failure, Inputs, TaskDef, live};
use dask_worker::Log;

use crate::fake::{FakeScheduler, Fleet, SCHEMES, call, key};

dask_task::inventory::submit! {
    &TaskDef { path: "log::speak", signature: "fn()", body: speak }
}

fn speak(_: &mut Inputs) -> Result<dask_proto::Payload, Failure> {
    print("a word");
    warn(format_args!("{} words", 2));
    Ok(live(()))
}

async fn hear_lines(worker: &mut Fleet) -> Vec<LogRecord> {
    loop {
        if let WorkerToScheduler::Logged { records } = worker.hear().await {
            return records;
        }
    }
}

#[tokio::test]
async fn what_a_task_says_goes_to_the_scheduler_with_its_key() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|_| {}).await;
        worker.compute(1, "log::speak", call(&[]), &[]);
        let lines = hear_lines(&mut worker).await;
        let lines: Vec<_> = lines.into_iter().map(|r| (r.level, r.key, r.message)).collect();
        let print = (LogLevel::Print, Some(key(1)), "a word".to_owned());
        let warn = (LogLevel::Warn, Some(key(1)), "2 words".to_owned());
        assert_eq!(lines, [print, warn], "{scheme}");
    }
}

#[tokio::test]
async fn a_line_of_an_idle_worker_arrives_and_a_flood_is_cut() {
    let log = Log::new();
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.log = log.clone()).await;
    log.record(LogLevel::Info, None, "first".to_owned());
    let lines = hear_lines(&mut worker).await;
    assert_eq!((lines.len(), lines[0].message.as_str()), (1, "first"));
    assert!(lines[0].unix_ns > 0 && lines[0].key.is_none());

    for i in 0..30_000 {
        log.record(LogLevel::Info, None, format!("line {i} of a great many"));
    }
    let (mut heard, mut dropped) = (0, 0);
    while heard + dropped < 30_000 {
        for line in hear_lines(&mut worker).await {
            match line.message.split_once(" lines were dropped") {
                Some((count, _)) => dropped += count.parse::<usize>().expect("a number"),
                None => heard += 1,
            }
        }
    }
    assert_eq!(heard + dropped, 30_000);
    assert!(heard > 5_000 && dropped > 5_000, "{heard} heard, {dropped} dropped");
}

#[tokio::test]
async fn a_line_is_not_lost_when_the_worker_ends() {
    let log = Log::new();
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.log = log.clone()).await;
    log.record(LogLevel::Info, None, "last words".to_owned());
    worker.shut_down();
    assert_eq!(hear_lines(&mut worker).await[0].message, "last words");
    assert_eq!(worker.hear().await, WorkerToScheduler::Leaving);
}
