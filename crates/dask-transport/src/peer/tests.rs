use super::*;
use crate::{Connection, Listener, receive_hello, send_welcome};

const TIMEOUT: Duration = Duration::from_secs(10);

fn peers() -> Peers {
    Peers::new(Transports::default(), Program::default(), TIMEOUT)
}

async fn listen(address: &str) -> Box<dyn Listener> {
    let address = address.parse().expect("an address");
    let listening = Transports::default().listen(&address).await;
    listening.expect("a free address")
}

async fn accept(listener: &mut Box<dyn Listener>) -> Connection {
    let mut connection = listener.accept().await.expect("a connection");
    let hello = receive_hello(&mut connection, TIMEOUT).await;
    assert_eq!(hello.expect("a hello").role, Role::Peer);
    let welcomed = send_welcome(&mut connection, &Welcome::Peer).await;
    welcomed.expect("it waits for it");
    connection
}

type Worker = (Outbox<PeerReply>, Inbox<PeerRequest>);

/// A worker that answers one question, as told.
async fn answer((outbox, inbox): &mut Worker, answer: impl FnOnce(RequestId) -> Vec<PeerReply>) {
    let questions = inbox.receive().await.expect("a good link");
    let id = match questions.expect("a question").remove(0) {
        PeerRequest::Get { id, .. } | PeerRequest::Put { id, .. } => id,
        other => panic!("an unknown question: {other:?}"),
    };
    outbox.send(answer(id)).expect("somebody waits");
}

/// A part of an answer, and the last part.
fn part(id: RequestId, tasks: &[u64]) -> PeerReply {
    let values = tasks.iter().map(|task| (TaskId(*task), ValueAt::Missing));
    let values = values.collect();
    let last = false;
    PeerReply::Values { id, values, last }
}

fn last(id: RequestId, tasks: &[u64]) -> PeerReply {
    let PeerReply::Values { id, values, .. } = part(id, tasks) else {
        unreachable!("a part is values")
    };
    let last = true;
    PeerReply::Values { id, values, last }
}

#[tokio::test]
async fn an_answer_in_parts_is_put_together_after_a_busy_worker_was_asked_again() {
    let mut listener = listen("tcp://127.0.0.1:0").await;
    let address = listener.address().clone();
    let worker = tokio::spawn(async move {
        let mut worker = channel(accept(&mut listener).await);
        answer(&mut worker, |id| vec![PeerReply::Busy { id }]).await;
        answer(&mut worker, |id| vec![part(id, &[3, 1]), last(id, &[2])]).await;
        worker
    });
    let tasks = vec![TaskId(3), TaskId(1), TaskId(2)];
    let got = peers().get(&address, tasks).await.expect("an answer");
    let got: Vec<_> = got.into_iter().map(|(task, _)| task.0).collect();
    assert_eq!(got, [3, 1, 2]);
    worker.await.expect("no panic");
}

#[tokio::test]
async fn an_answer_to_another_question_is_an_error_and_ends_the_connection() {
    type Wrong = fn(RequestId) -> Vec<PeerReply>;
    let wrong: [Wrong; 5] = [
        |id| vec![last(id, &[9])],
        |id| vec![last(id, &[])],
        |id| vec![last(id, &[1, 1])],
        |id| vec![PeerReply::Stored { id }],
        |id| vec![last(RequestId(id.0 + 1), &[1])],
    ];
    let mut listener = listen("tcp://127.0.0.1:0").await;
    let address = listener.address().clone();
    let worker = tokio::spawn(async move {
        let mut workers = Vec::new();
        for wrong in wrong {
            let mut worker = channel(accept(&mut listener).await);
            answer(&mut worker, wrong).await;
            workers.push(worker);
        }
    });
    let peers = peers();
    for _ in wrong {
        let error = peers.get(&address, vec![TaskId(1)]).await;
        let error = error.expect_err("nonsense");
        assert!(matches!(error, PeerError::Protocol { .. }), "{error}");
    }
    worker.await.expect("no panic");
}

#[tokio::test]
async fn a_worker_that_goes_away_is_lost_and_found_again() {
    let mut listener = listen("tcp://127.0.0.1:0").await;
    let address = listener.address().clone();
    let worker = tokio::spawn(async move {
        drop(accept(&mut listener).await);
        let mut worker = channel(accept(&mut listener).await);
        answer(&mut worker, |id| vec![last(id, &[1])]).await;
        worker
    });
    let peers = peers();
    let lost = peers.get(&address, vec![TaskId(1)]).await;
    assert!(matches!(lost, Err(PeerError::Lost { .. })), "{lost:?}");
    let found = peers.get(&address, vec![TaskId(1)]).await;
    assert_eq!(found.expect("an answer").len(), 1);
    worker.await.expect("no panic");
}

#[tokio::test]
async fn a_forgotten_worker_answers_nobody() {
    let mut listener = listen("inproc://0").await;
    let address = listener.address().clone();
    let peers = peers();
    let asking = tokio::spawn({
        let (peers, address) = (peers.clone(), address.clone());
        async move { peers.get(&address, vec![TaskId(1)]).await }
    });
    let connection = accept(&mut listener).await;
    let (_outbox, mut inbox) = channel::<PeerReply, PeerRequest>(connection);
    inbox.receive().await.expect("a good link");
    peers.forget(&address);
    let outcome = asking.await.expect("no panic");
    assert!(matches!(outcome, Err(PeerError::Lost { .. })), "{outcome:?}");
}

#[tokio::test]
async fn all_who_want_a_worker_share_one_connection() {
    let mut listener = listen("inproc://0").await;
    let address = listener.address().clone();
    let worker = tokio::spawn(async move {
        let mut worker = channel(accept(&mut listener).await);
        let mut answered = 0;
        while answered < 5 {
            let questions = worker.1.receive().await.expect("a good link");
            for question in questions.expect("a question") {
                let PeerRequest::Get { id, tasks } = question else {
                    panic!("another question");
                };
                let sent: Result<(), _> = worker.0.send([last(id, &[tasks[0].0])]);
                sent.expect("somebody waits");
                answered += 1;
            }
        }
        worker
    });
    let peers = peers();
    let asking = (0..5).map(|task| {
        let (peers, address) = (peers.clone(), address.clone());
        tokio::spawn(async move { peers.get(&address, vec![TaskId(task)]).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        let answer = asked.await.expect("no panic");
        assert_eq!(answer.expect("an answer").len(), 1);
    }
    worker.await.expect("no panic");
}
