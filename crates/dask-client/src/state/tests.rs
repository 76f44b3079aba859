use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::FunctionId;
use dask_proto::message::{Answer, Request};
use dask_proto::{Key, Payload, TaskErrorKind};

use super::*;

/// A state with the instructions of its last event.
#[derive(Default)]
struct Client {
    state: ClientState,
    out: Instructions,
}

impl Client {
    fn on(&mut self, event: Event) -> &Instructions {
        self.out.clear();
        self.state.handle(event, &mut self.out);
        &self.out
    }

    fn submit(&mut self, futures: impl IntoIterator<Item = u64>) -> &Instructions {
        let tasks = futures.into_iter().map(task).collect();
        self.on(Event::Submitted(Submit { options: TaskOptions::default(), tasks }))
    }

    fn lose(&mut self) -> &Instructions {
        self.on(Event::SchedulerLost { reason: "cut".into() })
    }
}

fn task(future: u64) -> TaskSpec {
    TaskSpec {
        future: FutureId(future),
        key: Key::new(format!("inc-{future}")).expect("a short key"),
        function: FunctionId(0),
        content: None,
        dependencies: Vec::new(),
        body: Payload::default(),
    }
}

fn in_memory(future: u64) -> Event {
    let future = FutureId(future);
    Event::Said(SchedulerToClient::InMemory { future, nbytes: 8, value: None })
}

fn finish(future: u64) -> Instruction {
    Instruction::Finish { future: FutureId(future), value: None }
}

fn abandon(future: u64, why: Unanswered) -> Instruction {
    Instruction::Abandon { future: FutureId(future), why }
}

fn cut() -> Unanswered {
    Unanswered::Disconnected("cut".into())
}

#[test]
fn a_large_submission_is_cut_into_messages_in_order() {
    let mut client = Client::default();
    let n = SUBMIT_TASKS as u64 * 2 + 1;
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    for instruction in client.submit(0..n) {
        let Instruction::Send(ClientToScheduler::Submit(submit)) = instruction else {
            panic!("{instruction:?}")
        };
        sizes.push(submit.tasks.len());
        seen.extend(submit.tasks.iter().map(|task| task.future.0));
    }
    assert_eq!(sizes, [SUBMIT_TASKS, SUBMIT_TASKS, 1]);
    assert!(seen.iter().copied().eq(0..n));
}

#[test]
fn a_future_finishes_is_lost_and_finishes_again() {
    let mut client = Client::default();
    client.submit([1]);
    assert_eq!(client.on(in_memory(1)), &[finish(1)]);
    let futures = vec![FutureId(1)];
    let lost = Event::Said(SchedulerToClient::Pending { futures, lost: true });
    assert_eq!(client.on(lost), &[Instruction::Reopen { future: FutureId(1), lost: true }]);
    assert_eq!(client.on(in_memory(1)), &[finish(1)]);
}

#[test]
fn one_error_settles_every_future_that_shares_it() {
    let mut client = Client::default();
    client.submit([1, 2]);
    let key = Key::new("inc-1").expect("a short key");
    let error = Box::new(TaskError::new(TaskErrorKind::Returned, key, "no"));
    let futures = vec![FutureId(1), FutureId(2), FutureId(3)];
    let out = client.on(Event::Said(SchedulerToClient::Erred { futures, error }));
    assert!(matches!(out[..], [Instruction::Fail { .. }, Instruction::Fail { .. }]));
}

#[test]
fn what_the_scheduler_says_of_released_futures_is_ignored() {
    let mut client = Client::default();
    client.submit([1]);
    client.on(Event::Released(FutureId(1)));
    assert!(client.on(in_memory(1)).is_empty());
    assert!(client.on(Event::Released(FutureId(1))).is_empty());
    assert!(client.on(in_memory(99)).is_empty());
}

#[test]
fn releases_of_one_step_share_a_message() {
    let mut client = Client::default();
    client.submit([1, 2, 3]);
    let mut out = Instructions::new();
    for future in [1, 2, 3] {
        client.state.handle(Event::Released(FutureId(future)), &mut out);
    }
    let futures = vec![FutureId(1), FutureId(2), FutureId(3)];
    assert_eq!(out, [Instruction::Send(ClientToScheduler::Release { futures })]);
}

#[test]
fn a_lost_scheduler_ends_everything_that_waits_for_it() {
    let mut client = Client::default();
    client.submit([2, 1]);
    let id = RequestId(7);
    client.on(Event::Asked { id, request: Request::Counts });
    let expected =
        [abandon(1, cut()), abandon(2, cut()), Instruction::Unanswered { id, why: cut() }];
    assert_eq!(client.lose(), &expected);
    assert!(client.lose().is_empty(), "the first end counts");
    assert_eq!(client.submit([3]), &[abandon(3, cut())]);
    let out = client.on(Event::Asked { id, request: Request::Counts });
    assert_eq!(out, &[Instruction::Unanswered { id, why: cut() }]);
}

#[test]
fn a_closed_client_says_so_and_sends_nothing_more() {
    let mut client = Client::default();
    client.submit([1]);
    let expected = [Instruction::Send(ClientToScheduler::Close), abandon(1, Unanswered::Closed)];
    assert_eq!(client.on(Event::Closed), &expected);
    assert_eq!(client.submit([2]), &[abandon(2, Unanswered::Closed)]);
    assert!(client.on(Event::Released(FutureId(2))).is_empty());
}

#[test]
fn an_answer_counts_once_and_not_after_it_was_forgotten() {
    let mut client = Client::default();
    let id = RequestId(7);
    client.on(Event::Asked { id, request: Request::Counts });
    let said = || Event::Said(SchedulerToClient::Answer { id, answer: Answer::Done });
    assert_eq!(client.on(said()), &[Instruction::Answer { id, answer: Answer::Done }]);
    assert!(client.on(said()).is_empty());
    client.on(Event::Asked { id, request: Request::Counts });
    client.on(Event::Forgot(id));
    assert!(client.on(said()).is_empty());
}

#[test]
fn a_cancelled_future_is_over() {
    let mut client = Client::default();
    client.submit([1]);
    let futures = vec![FutureId(1), FutureId(2)];
    let reason = "by its client".to_owned();
    let said = Event::Said(SchedulerToClient::Cancelled { futures, reason });
    assert_eq!(client.on(said), &[abandon(1, Unanswered::Cancelled("by its client".into()))]);
    assert!(client.on(in_memory(1)).is_empty());
    // The scheduler keeps it in mind until then, for what is submitted on it.
    let release = ClientToScheduler::Release { futures: vec![FutureId(1)] };
    assert_eq!(client.on(Event::Released(FutureId(1))), &[Instruction::Send(release)]);
    assert!(client.on(Event::Released(FutureId(1))).is_empty());
}

#[test]
fn a_cancelled_future_does_not_end_again_with_the_connection() {
    let mut client = Client::default();
    client.submit([1, 2]);
    let (futures, reason) = (vec![FutureId(1)], "by its client".to_owned());
    client.on(Event::Said(SchedulerToClient::Cancelled { futures, reason }));
    assert_eq!(client.lose(), &[abandon(2, cut())]);
}

#[test]
fn a_submission_is_cut_by_bytes_too() {
    let mut client = Client::default();
    let wide = |future| TaskSpec { dependencies: vec![FutureId(0); 200_000], ..task(future) };
    let tasks = (1..4).map(wide).collect();
    let out = client.on(Event::Submitted(Submit { options: TaskOptions::default(), tasks }));
    assert_eq!(out.len(), 3, "each of these tasks fills a message");
}
