//! What a worker does that has too much to send, and what one does that asks it.

use std::time::Duration;

use dask_proto::Payload;
use dask_proto::codec;
use dask_proto::id::{RequestId, RunId, TaskId, WorkerId};
use dask_proto::map::SmallList;
use dask_proto::message::{
    Dependency, Hello, PeerReply, PeerRequest, Program, Role, SchedulerToWorker, StoredValue,
    ValueAt, Welcome, WorkerToScheduler,
};
use dask_task::encode;
use dask_transport::{Inbox, PeerError, Peers, channel, connect, receive_hello, send_welcome};

use crate::fake::{self, FakeScheduler, SCHEMES, call_on, key, within};
use crate::finished;

const TIMEOUT: Duration = Duration::from_secs(60);

async fn question(inbox: &mut Inbox<PeerRequest>) -> RequestId {
    let questions = within(inbox.receive()).await.expect("a good link");
    match questions.expect("the worker is there").remove(0) {
        PeerRequest::Get { id, tasks } if tasks == [TaskId(1)] => id,
        other => panic!("another question: {other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_is_busy_is_asked_again() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|_| {}).await;
        let address = fake::any_address(scheme);
        let mut peer = scheduler.transports.listen(&address).await.expect("it listens");
        let (id, address) = (WorkerId(77), peer.address().clone());
        worker.say(SchedulerToWorker::Peer { id, address });
        let dependency =
            Dependency { task: TaskId(1), nbytes: 8, holders: SmallList::One(id), value: None };
        worker.compute(2, "shell::add", call_on(&[0, 0]), &[dependency]);

        let mut asked = within(peer.accept()).await.expect("it connects");
        receive_hello(&mut asked, TIMEOUT).await.expect("a hello");
        send_welcome(&mut asked, &Welcome::Peer).await.expect("it is there");
        let (outbox, mut inbox) = channel::<PeerReply, PeerRequest>(asked);
        let id = question(&mut inbox).await;
        outbox.send([PeerReply::Busy { id }]).expect("it waits");
        let id = question(&mut inbox).await;
        let value = ValueAt::Found(Payload::Bytes(encode(&2_i64).expect("it encodes")));
        let values = vec![(TaskId(1), value)];
        outbox.send([PeerReply::Values { id, values, last: true }]).expect("it waits");

        let added = WorkerToScheduler::Added { tasks: vec![(TaskId(1), 8)] };
        assert_eq!(worker.hear().await, added, "{scheme}");
        assert_eq!(finished(&worker.hear().await), Some((TaskId(2), RunId(0))), "{scheme}");
    }
}

#[tokio::test]
async fn a_worker_that_sends_as_much_as_it_may_says_that_it_is_busy() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.transfers = 1).await;
    let address = worker.address.clone();
    let peers = Peers::new(worker.transports.clone(), Program::default(), TIMEOUT);
    // More than fits into the buffers of a socket.
    let value = Payload::Bytes(vec![7; 64 << 20].into());
    let stored = StoredValue { task: TaskId(1), key: key(1), value };
    within(peers.put(&address, vec![stored])).await.expect("it holds it");
    assert!(matches!(worker.hear().await, WorkerToScheduler::Added { .. }));

    let hello = Hello { role: Role::Peer, program: Program::default() };
    let connected = connect(&worker.transports, &address, &hello, TIMEOUT).await;
    let (mut idler, _) = connected.expect("it is let in");
    let question = PeerRequest::Get { id: RequestId(0), tasks: vec![TaskId(1)] };
    let frames = codec::encode(&[question], idler.carriage).expect("it encodes");
    idler.sender.send(frames).await.expect("it is there");

    // The idler does not read: from the moment in which its question is answered others are not.
    let refused = within(async {
        loop {
            match peers.try_get(&address, vec![TaskId(2)]).await {
                Ok(values) => assert_eq!(values, [(TaskId(2), ValueAt::Missing)]),
                Err(error) => return error,
            }
        }
    });
    let refused = refused.await;
    assert!(matches!(refused, PeerError::Busy { .. }), "{refused}");

    drop(idler);
    let answered = within(peers.get(&address, vec![TaskId(2)])).await;
    assert_eq!(answered.expect("it is asked again"), [(TaskId(2), ValueAt::Missing)]);
}
