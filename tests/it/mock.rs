//! A client alone with a scheduler that the test answers for.

use std::future::IntoFuture;

use dask_client::testing::MockScheduler;
use dask_client::transport::Transports;
use dask_client::{Address, Status, wait};
use dask_proto::id::RequestId;
use dask_proto::message::{
    Answer, ClientToScheduler, Inspected, Manage, NamedWorker, Refusal, Reply, Request,
    SchedulerToClient, Whom,
};
use support::cluster::within;
use support::tasks::{add, inc};

async fn mocks() -> [MockScheduler; 2] {
    let tcp = MockScheduler::listen("tcp://127.0.0.1:0", Transports::default()).await;
    [MockScheduler::start().await.unwrap(), tcp.unwrap()]
}

#[tokio::test]
async fn a_task_is_answered_by_the_test() {
    for mut scheduler in mocks().await {
        let client = scheduler.client().await.unwrap();
        let x = client.options().priority(7).retries(2).submit(inc, 10);
        let y = client.submit(add, (&x, 5));
        let first = scheduler.task().await.unwrap();
        assert_eq!((first.function(), first.arg::<i64>(0).unwrap()), ("inc", 10));
        assert_eq!((first.options().priority, first.options().retries), (7, 2));
        assert_eq!(first.key(), x.key());
        let second = scheduler.task().await.unwrap();
        assert_eq!(second.dependencies(), [first.future()]);
        assert_eq!(second.arg::<i64>(1).unwrap(), 5);

        scheduler.finish(&first, 99_i64).unwrap();
        scheduler.fail(&second, "as the test wants it").unwrap();
        assert_eq!(x.result().await.unwrap(), 99);
        let error = y.result().await.unwrap_err();
        assert_eq!(error.task_error().unwrap().message, "as the test wants it");
        client.close().await.unwrap();
        let gone = within("the client to leave", async {
            while scheduler.next().await.is_ok() {}
            scheduler.next().await.unwrap_err()
        });
        assert!(gone.await.is_disconnected());
    }
}

#[tokio::test]
async fn a_scheduler_that_goes_away_midway_cancels_what_is_pending() {
    for mut scheduler in mocks().await {
        let client = scheduler.client().await.unwrap();
        let [finished, pending] = [1, 2].map(|x| client.submit(inc, x));
        let task = scheduler.task().await.unwrap();
        scheduler.task().await.unwrap();
        scheduler.finish(&task, 2_i64).unwrap();
        assert_eq!(finished.result().await.unwrap(), 2);
        let asking = {
            let client = client.clone();
            tokio::spawn(async move { client.has_what().await })
        };
        loop {
            let heard = within("the question", scheduler.next()).await.unwrap();
            let has_what = |request: &Request| matches!(request, Request::HasWhat { .. });
            if matches!(heard, ClientToScheduler::Request { request, .. } if has_what(&request)) {
                break;
            }
        }
        scheduler.disconnect();
        let error = within("an error", pending.result()).await.unwrap_err();
        assert!(error.is_disconnected(), "{error}");
        assert!(error.to_string().contains(scheduler.address().as_str()));
        assert_eq!(pending.status(), Status::Cancelled);
        let answer = within("an answer", asking).await.unwrap();
        assert!(answer.unwrap_err().is_disconnected());
        let late = client.submit(inc, 3);
        assert!(late.result().await.unwrap_err().is_disconnected());
        assert!(client.nthreads().await.unwrap_err().is_disconnected());
    }
}

#[tokio::test]
async fn a_lost_result_is_pending_until_it_is_there_again() {
    let mut scheduler = MockScheduler::start().await.unwrap();
    let client = scheduler.client().await.unwrap();
    let future = client.submit(inc, 1);
    let task = scheduler.task().await.unwrap();
    scheduler.finish(&task, 2_i64).unwrap();
    future.wait().await;
    let other = client.submit(inc, 2);
    let other_task = scheduler.task().await.unwrap();
    scheduler.cancel(&other_task, "the test says so").unwrap();
    let error = other.result().await.unwrap_err();
    assert!(error.is_cancelled());
    assert!(error.to_string().contains("the test says so"), "{error}");
    assert_eq!(future.status(), Status::Finished);
    assert!(wait([&future, &other]).await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn nonsense_from_a_scheduler_harms_nobody() {
    let mut scheduler = MockScheduler::start().await.unwrap();
    let client = scheduler.client().await.unwrap();
    let future = client.submit(inc, 1);
    let task = scheduler.task().await.unwrap();
    let mut ghost = task.clone();
    client.submit(inc, 2);
    ghost = scheduler.task().await.unwrap_or(ghost);
    // Of a future that was released, and results of the wrong type.
    scheduler.finish(&ghost, 5_i64).unwrap();
    let nobody =
        SchedulerToClient::Cancelled { futures: vec![ghost.future()], reason: "nobody".to_owned() };
    scheduler.send(nobody).unwrap();
    scheduler.finish(&task, "text".to_owned()).unwrap();
    let error = future.result().await.unwrap_err();
    assert!(!error.is_task_error(), "{error}");
    assert!(error.to_string().contains(future.key().as_str()), "{error}");
}

#[tokio::test]
async fn a_worker_that_leaves_meanwhile_is_none_of_those_who_are_asked() {
    for mut scheduler in mocks().await {
        let client = scheduler.client().await.unwrap();
        let asking = {
            let client = client.clone();
            tokio::spawn(async move { client.remove_file("towns.csv").await })
        };
        let workers: Vec<Address> =
            (1..4).map(|port| format!("tcp://10.0.0.1:{port}").parse().unwrap()).collect();
        // One does it, one leaves before it replies, and one before it is asked.
        let mut answers = vec![
            Answer::Refused(Refusal::UnknownWorker(workers[2].to_string())),
            Answer::Refused(Refusal::WorkerLeft { worker: workers[1].clone() }),
            Answer::Reply(Box::new(Reply::Done)),
            Answer::Workers(workers),
            Answer::Done,
        ];
        while let Some(answer) = answers.pop() {
            let id = loop {
                let heard = within("a request", scheduler.next()).await.unwrap();
                if let ClientToScheduler::Request { id, .. } = heard {
                    break id;
                }
            };
            scheduler.send(SchedulerToClient::Answer { id, answer }).unwrap();
        }
        within("the answer", asking).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_link_to_a_dashboard_is_there_where_the_scheduler_serves_one() {
    for mut scheduler in mocks().await {
        let client = scheduler.client().await.unwrap();
        assert_eq!(client.dashboard_link(), None);
        client.close().await.unwrap();
        scheduler.serve("health", 1);
        scheduler.serve("dashboard", 8787);
        let client = scheduler.client().await.unwrap();
        let is_local = scheduler.address().scheme() == "inproc";
        let host = if is_local { "localhost" } else { "127.0.0.1" };
        assert_eq!(client.dashboard_link(), Some(format!("http://{host}:8787/status")));
    }
}

/// The next question of the client.
async fn question(scheduler: &mut MockScheduler) -> (RequestId, Request) {
    loop {
        if let ClientToScheduler::Request { id, request } =
            within("a question", scheduler.next()).await.unwrap()
        {
            return (id, request);
        }
    }
}

#[tokio::test]
async fn workers_that_left_before_they_were_asked_to_restart_are_awaited_as_well() {
    for mut scheduler in mocks().await {
        let client = scheduler.client().await.unwrap();
        let restarting = tokio::spawn(client.restart_workers(["a", "b", "c", "d"]).into_future());
        let (id, _) = question(&mut scheduler).await;
        let worker = |(name, port): (&str, u16)| NamedWorker {
            address: format!("tcp://10.0.0.1:{port}").parse().unwrap(),
            name: name.to_owned(),
            program: None,
        };
        let workers = [("a", 1), ("b", 2), ("c", 3), ("d", 4)].map(worker);
        let answer = Answer::Inspected(Box::new(Inspected::Named(workers.to_vec())));
        scheduler.send(SchedulerToClient::Answer { id, answer }).unwrap();
        for _ in &workers {
            let (id, request) = question(&mut scheduler).await;
            let Request::Ask(ask) = request else { panic!("{request:?}") };
            let Whom::Worker(worker) = ask.whom else { panic!("{:?}", ask.whom) };
            let reply = |reply| Answer::Reply(Box::new(reply));
            let answer = match worker.as_str() {
                "tcp://10.0.0.1:1" => reply(Reply::Restarting),
                "tcp://10.0.0.1:2" => Answer::Refused(Refusal::UnknownWorker("it".to_owned())),
                "tcp://10.0.0.1:3" => Answer::Refused(Refusal::WorkerLeft { worker }),
                _ => reply(Reply::Refused("nothing starts it".to_owned())),
            };
            scheduler.send(SchedulerToClient::Answer { id, answer }).unwrap();
        }
        let (id, request) = question(&mut scheduler).await;
        let names = ["a", "b", "c"].map(|name| (name.to_owned(), None)).to_vec();
        assert_eq!(request, Request::Manage(Manage::AwaitWorkers { workers: names }));
        scheduler.send(SchedulerToClient::Answer { id, answer: Answer::Done }).unwrap();
        let error = within("the end", restarting).await.unwrap().unwrap_err();
        assert!(error.to_string().contains("nothing starts it"), "{error}");
        client.close().await.unwrap();
    }
}
