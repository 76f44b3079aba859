//! The shell: real connections, over each transport, to clients and workers that the test plays.

mod play;

use std::time::Duration;

use dask_proto::id::{FutureId, RequestId};
use dask_proto::message::{
    Answer, ClientToScheduler, Rejection, Request, SchedulerToClient, SchedulerToWorker,
    WorkerToScheduler,
};
use dask_scheduler::Config;
use dask_transport::ConnectError;
use play::{Cluster, close_reason, finish, on_every_transport, submit};

on_every_transport! {
    a_task_is_computed_and_its_result_announced => |cluster: Cluster| async move {
        let mut client = cluster.client("Client-1").await;
        let mut worker = cluster.worker("alice").await;
        client.say([submit(1, "a", &[])]);
        let compute = worker.until_compute().await;
        assert_eq!(compute.key, "a");
        worker.say([finish(&compute)]);
        let announced = client.next().await;
        assert!(matches!(
            announced,
            SchedulerToClient::InMemory { future: FutureId(1), .. }
        ));
        cluster.stop().await;
        assert!(close_reason(&client.next().await).contains("closing"));
        assert_eq!(client.end().await, None);
    };

    what_a_lost_worker_had_is_computed_by_another => |cluster: Cluster| async move {
        let mut client = cluster.client("Client-1").await;
        let mut first = cluster.worker("alice").await;
        client.say([submit(1, "a", &[])]);
        let compute = first.until_compute().await;
        first.say([finish(&compute)]);
        client.next().await;
        drop(first);
        let lost = client.next().await;
        assert!(matches!(lost, SchedulerToClient::Pending { lost: true, .. }));
        let mut second = cluster.worker("bob").await;
        let again = second.until_compute().await;
        assert_eq!(again.key, "a");
        assert_ne!(again.run, compute.run);
    };

    two_clients_share_a_key_and_one_vanishes => |cluster: Cluster| async move {
        let mut worker = cluster.worker("alice").await;
        let mut first = cluster.client("Client-1").await;
        first.say([submit(1, "a", &[])]);
        let compute = worker.until_compute().await;
        let mut second = cluster.client("Client-2").await;
        second.say([submit(1, "a", &[])]);
        second.sync().await;
        drop(first);
        worker.say([finish(&compute)]);
        let announced = second.next().await;
        assert!(matches!(announced, SchedulerToClient::InMemory { .. }));
        drop(second);
        let freed = worker.next().await;
        assert_eq!(freed, SchedulerToWorker::Free { tasks: vec![compute.task] });
    };

    a_client_can_shut_the_cluster_down => |cluster: Cluster| async move {
        let mut worker = cluster.worker("alice").await;
        let mut client = cluster.client("Client-1").await;
        let id = RequestId(1);
        client.say([ClientToScheduler::Request { id, request: Request::Shutdown }]);
        let answer = Answer::Done;
        assert_eq!(client.next().await, SchedulerToClient::Answer { id, answer });
        assert!(close_reason(&client.next().await).contains("Client-1"));
        assert!(matches!(worker.next().await, SchedulerToWorker::Close { .. }));
        assert_eq!(worker.end().await, None);
        cluster.ended().await;
    };

    a_second_worker_of_the_same_name_is_rejected => |cluster: Cluster| async move {
        let _first = cluster.worker("alice").await;
        let rejected = cluster.try_worker("alice").await;
        let Err(ConnectError::Rejected { rejection, .. }) = rejected else {
            panic!("expected a rejection");
        };
        assert_eq!(rejection, Rejection::NameTaken { name: "alice".to_owned() });
    };

    a_peer_role_is_rejected => |cluster: Cluster| async move {
        let rejected = cluster.try_peer().await;
        let Err(ConnectError::Rejected { rejection, .. }) = rejected else {
            panic!("expected a rejection");
        };
        assert!(rejection.to_string().contains("a scheduler"), "{rejection}");
    };

    silent_and_garbage_connections_disturb_nobody => |cluster: Cluster| async move {
        let _silent = cluster.connect_silently().await;
        let _garbage = cluster.connect_with_garbage().await;
        let mut client = cluster.client("Client-1").await;
        client.sync().await;
    };

    a_client_that_breaks_the_protocol_hears_why => |cluster: Cluster| async move {
        let mut client = cluster.client("Client-1").await;
        let mut other = cluster.client("Client-2").await;
        client.say([submit(1, "a", &[]), submit(1, "b", &[])]);
        let reason = close_reason(&client.next().await);
        assert_eq!(reason, "the client used future f1 twice");
        assert_eq!(client.end().await, None);
        other.sync().await;
    };

    a_worker_that_leaves_is_told_goodbye => |cluster: Cluster| async move {
        let mut worker = cluster.worker("alice").await;
        worker.say([WorkerToScheduler::Leaving]);
        assert!(matches!(worker.next().await, SchedulerToWorker::Close { .. }));
        assert_eq!(worker.end().await, None);
        let _again = cluster.worker("alice").await;
    };
}

#[tokio::test]
async fn a_silent_worker_is_given_up_after_its_time_to_live() {
    let config = Config { worker_ttl: Duration::from_millis(50), ..Config::default() };
    let cluster = Cluster::start("inproc://0", config).await;
    let mut worker = cluster.worker("alice").await;
    let SchedulerToWorker::Close { reason } = worker.next().await else {
        panic!("expected to be closed");
    };
    assert_eq!(reason, "nothing was heard from the worker for 50ms");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let cluster = Cluster::start("tcp://127.0.0.1:0", Config::default()).await;
    let address = cluster.address.clone();
    let transports = dask_transport::Transports::default();
    let second = dask_scheduler::Scheduler::bind(Config::default(), &address, &transports).await;
    let Err(error) = second else {
        panic!("expected an error");
    };
    assert!(error.to_string().contains(address.as_str()), "{error}");
}
