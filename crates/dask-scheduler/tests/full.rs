//! Tables that are full: what others wait for can still be done, and no client fills them alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use dask_proto::graph::{Function, TaskOptions, TaskSpec};
use dask_proto::id::{ClientId, FunctionId, FutureId, RequestId, WorkerId};
use dask_proto::limits::{
    KEPT_ENTRY_BYTES, LOCKS_AT_ONCE, MAX_AWAITED_WORKERS, MAX_FUNCTIONS_OF_CLIENT,
    MAX_KEPT_BYTES_OF_CLIENT, MAX_KEPT_NAMES_OF_CLIENT, MAX_KEPT_REQUESTS,
    MAX_KEPT_REQUESTS_OF_CLIENT, MAX_KEPT_VALUE_BYTES, MAX_KEY_BYTES, MAX_LOCK_NAMES_BYTES,
    MAX_TOPICS, MAX_TOPICS_OF_CLIENT, MAX_WAITS,
};
use dask_proto::message::{
    Answer, ClientToScheduler, Code, Coordination, CoordinationAnswer, CoordinationRefusal,
    DatasetAction, EventAction, Kept, KeptValue, Manage, MetadataAction, Patience, QueueAction,
    Refusal, Request, SchedulerToClient, SchedulerToWorker, Submit, TopicAction, VariableAction,
    WorkerJoin,
};
use dask_proto::{Address, Key, Moment, Payload};
use dask_scheduler::Config;
use dask_scheduler::state::{Event, Instruction, Instructions, SchedulerState};

const CLIENT: ClientId = ClientId(1);

/// A state with so many clients.
fn state(clients: u32) -> SchedulerState {
    let address = "tcp://scheduler:8786".parse().expect("an address");
    let mut state = SchedulerState::new(Config::default(), address);
    for client in 1..=clients {
        let (client, name) = (ClientId(client), format!("Client-{client}"));
        let joined = Event::ClientJoined { client, name, code: Code::Withheld };
        state.handle(Moment::default(), joined, &mut Instructions::new());
    }
    state
}

fn says(
    state: &mut SchedulerState,
    client: ClientId,
    message: ClientToScheduler,
) -> Vec<(RequestId, Answer)> {
    let mut out = Instructions::new();
    let said = Event::ClientSaid { client, messages: vec![message] };
    state.handle(Moment::default(), said, &mut out);
    let mut answers = Vec::new();
    for instruction in out.drain() {
        if let Instruction::ToClient { messages, .. } = instruction {
            answers.extend(messages.into_iter().filter_map(|message| match message {
                SchedulerToClient::Answer { id, answer } => Some((id, answer)),
                _ => None,
            }));
        }
    }
    answers
}

fn asks(
    state: &mut SchedulerState,
    (client, id): (ClientId, u64),
    request: Request,
) -> Option<Answer> {
    let message = ClientToScheduler::Request { id: RequestId(id), request };
    says(state, client, message).into_iter().next().map(|(_, answer)| answer)
}

fn key(name: impl AsRef<str>) -> Key {
    Key::new(name.as_ref()).expect("a short name")
}

fn event(action: EventAction) -> Request {
    Request::Coordinate(Coordination::Event { name: key("all"), action })
}

fn put(queue: &str, payload: Bytes) -> Request {
    let value = KeptValue { payload: payload.into(), futures: Vec::new() };
    let action = QueueAction::Put { value, patience: Patience::Forever };
    Request::Coordinate(Coordination::Queue { name: key(queue), maxsize: 0, action })
}

fn refused(refusal: CoordinationRefusal) -> Option<Answer> {
    Some(Answer::Refused(Refusal::Coordination(refusal)))
}

#[test]
fn an_event_is_set_however_many_wait_and_no_client_takes_all_places() {
    let clients = (MAX_KEPT_REQUESTS / MAX_KEPT_REQUESTS_OF_CLIENT) as u32;
    let mut state = state(clients + 1);
    for client in 1..=clients {
        let client = ClientId(client);
        for id in 0..MAX_KEPT_REQUESTS_OF_CLIENT as u64 {
            assert_eq!(asks(&mut state, (client, id), event(EventAction::Wait)), None);
        }
        let answer = asks(&mut state, (client, u64::MAX), event(EventAction::Wait));
        let is_last = client.0 == clients;
        let share = CoordinationRefusal::Share(Kept::Requests);
        let full = CoordinationRefusal::Full(Kept::Requests);
        assert_eq!(answer, refused(if is_last { full } else { share }));
    }
    let last = ClientId(clients + 1);
    let answer = asks(&mut state, (last, 0), event(EventAction::Wait));
    assert_eq!(answer, refused(CoordinationRefusal::Full(Kept::Requests)));
    // What is given up is free for others.
    says(&mut state, CLIENT, ClientToScheduler::Forget { id: RequestId(0) });
    assert_eq!(asks(&mut state, (last, 1), event(EventAction::Wait)), None);
    let set = ClientToScheduler::Request { id: RequestId(2), request: event(EventAction::Set) };
    let answers = says(&mut state, last, set);
    assert_eq!(answers.len(), MAX_KEPT_REQUESTS + 1);
    assert!(answers.iter().all(|(_, answer)| *answer == Answer::Done));
}

#[test]
fn no_client_has_all_names() {
    let mut state = state(3);
    let set = |name: u64| {
        let (name, action) = (key(name.to_string()), EventAction::Set);
        Request::Coordinate(Coordination::Event { name, action })
    };
    let most = MAX_KEPT_NAMES_OF_CLIENT as u64;
    for name in 0..most {
        assert_eq!(asks(&mut state, (CLIENT, name), set(name)), Some(Answer::Done));
    }
    let share = refused(CoordinationRefusal::Share(Kept::Names));
    assert_eq!(asks(&mut state, (CLIENT, most), set(most)), share);
    let small = Bytes::from_static(b"a value");
    assert_eq!(asks(&mut state, (CLIENT, most), put("queue", small.clone())), share);
    let value = || KeptValue { payload: small.clone().into(), futures: Vec::new() };
    let (path, action) = (vec![key("where")], MetadataAction::Set(value()));
    let metadata = Request::Coordinate(Coordination::Metadata { path, action });
    assert_eq!(asks(&mut state, (CLIENT, most), metadata.clone()), share);
    let action = VariableAction::Set(value());
    let variable = Request::Coordinate(Coordination::Variable { name: key("v"), action });
    assert_eq!(asks(&mut state, (CLIENT, most), variable), share);
    let publish = DatasetAction::Publish { name: key("data"), value: value(), overwrite: false };
    let publish = Request::Coordinate(Coordination::Dataset(publish));
    assert_eq!(asks(&mut state, (CLIENT, most), publish.clone()), share);
    // What is there it can use, and what it gives up it can have again.
    assert_eq!(asks(&mut state, (CLIENT, most), set(0)), Some(Answer::Done));
    let clear = Coordination::Event { name: key("0"), action: EventAction::Clear };
    let cleared = asks(&mut state, (CLIENT, most), Request::Coordinate(clear));
    assert_eq!(cleared, Some(Answer::Done));
    assert_eq!(asks(&mut state, (CLIENT, most), publish), Some(Answer::Done));
    // Others have shares of their own.
    assert_eq!(asks(&mut state, (ClientId(2), 0), metadata), Some(Answer::Done));
    assert_eq!(asks(&mut state, (ClientId(2), 1), set(most)), Some(Answer::Done));
    state.check_invariants().expect("they hold");
}

#[test]
fn values_count_for_what_they_take_and_no_client_has_all_the_room() {
    let mut state = state(2);
    let large = Bytes::from(vec![0; usize::try_from(MAX_KEPT_VALUE_BYTES).expect("it fits")]);
    let most = MAX_KEPT_BYTES_OF_CLIENT / (MAX_KEPT_VALUE_BYTES + KEPT_ENTRY_BYTES);
    for id in 0..most {
        let answer = asks(&mut state, (CLIENT, id), put("large", large.clone()));
        assert_eq!(answer, Some(Answer::Done));
    }
    let answer = asks(&mut state, (CLIENT, most), put("large", large.clone()));
    assert_eq!(answer, refused(CoordinationRefusal::Share(Kept::Bytes)));
    // Nothing at all takes something too.
    let left = MAX_KEPT_BYTES_OF_CLIENT - most * (MAX_KEPT_VALUE_BYTES + KEPT_ENTRY_BYTES);
    let many = left / KEPT_ENTRY_BYTES;
    for id in 0..many {
        let answer = asks(&mut state, (CLIENT, id), put("nothing", Bytes::new()));
        assert_eq!(answer, Some(Answer::Done));
    }
    let answer = asks(&mut state, (CLIENT, many), put("nothing", Bytes::new()));
    assert_eq!(answer, refused(CoordinationRefusal::Share(Kept::Bytes)));
    assert_eq!(asks(&mut state, (ClientId(2), 0), put("large", large)), Some(Answer::Done));
}

#[test]
fn a_small_value_does_not_keep_the_batch_that_it_came_with() {
    let mut state = state(1);
    let batch = Bytes::from(vec![7; 1 << 20]);
    let value = batch.slice(100..200);
    let bytes = |payload: &Payload| payload.to_bytes().expect("it is encoded");
    assert_eq!(asks(&mut state, (CLIENT, 1), put("q", value.clone())), Some(Answer::Done));
    let topic = |action| Request::Coordinate(Coordination::Topic { name: key("t"), action });
    let log = topic(TopicAction::Log(value.clone().into()));
    assert_eq!(asks(&mut state, (CLIENT, 2), log), Some(Answer::Done));
    let (action, name) = (QueueAction::Drain, key("q"));
    let drain = Request::Coordinate(Coordination::Queue { name, maxsize: 0, action });
    let Some(Answer::Coordination(CoordinationAnswer::Values(values))) =
        asks(&mut state, (CLIENT, 3), drain)
    else {
        panic!("expected values");
    };
    let Some(Answer::Coordination(CoordinationAnswer::Events(events))) =
        asks(&mut state, (CLIENT, 4), topic(TopicAction::Events))
    else {
        panic!("expected events");
    };
    for kept in [bytes(&values[0].payload), bytes(&events[0].message)] {
        assert_eq!(kept, value);
        assert_ne!(kept.as_ptr(), value.as_ptr(), "it is a part of the batch");
    }
}

#[test]
fn names_are_bounded_together() {
    let clients = (MAX_KEPT_REQUESTS / MAX_KEPT_REQUESTS_OF_CLIENT) as u64;
    let mut state = state(clients as u32);
    let locks = |names: Vec<Key>| {
        let patience = Patience::Now;
        Request::Coordinate(Coordination::MultiLock { names, count: u32::MAX, patience })
    };
    let long = |i: usize| key(format!("{i:-<0$}", MAX_KEY_BYTES));
    let most = MAX_LOCK_NAMES_BYTES / MAX_KEY_BYTES;
    let answer = asks(&mut state, (CLIENT, 1), locks((0..=most).map(long).collect()));
    assert_eq!(answer, Some(Answer::Refused(Refusal::TooLarge)));
    let answer = asks(&mut state, (CLIENT, 2), locks((0..most).map(long).collect()));
    assert_eq!(answer, Some(Answer::Done));
    // A request stands in each of its lines.
    let many: Vec<Key> = (0..LOCKS_AT_ONCE).map(|i| key(i.to_string())).collect();
    let waits = || {
        let (names, patience) = (many.clone(), Patience::Forever);
        Request::Coordinate(Coordination::MultiLock { names, count: u32::MAX, patience })
    };
    let its_own = |client: u64| {
        let taken = if client == 1 { most } else { 0 };
        ((MAX_KEPT_REQUESTS_OF_CLIENT - taken) / LOCKS_AT_ONCE) as u64
    };
    for client in 1..=clients {
        let asked = |id| (ClientId(client as u32), 1000 + id);
        for id in 0..its_own(client) {
            let answer = (client == 1 && id == 0).then_some(Answer::Done);
            assert_eq!(asks(&mut state, asked(id), waits()), answer);
        }
        let answer = asks(&mut state, asked(5000), waits());
        let is_full = client == clients;
        let share = CoordinationRefusal::Share(Kept::Requests);
        let full = CoordinationRefusal::Full(Kept::Requests);
        assert_eq!(answer, refused(if is_full { full } else { share }));
    }
    // Those that were the first of all give way to one request, which stood behind them.
    let message = ClientToScheduler::Forget { id: RequestId(1000) };
    assert_eq!(says(&mut state, CLIENT, message), [(RequestId(1001), Answer::Done)]);

    let value = KeptValue { payload: Bytes::new().into(), futures: Vec::new() };
    let metadata = |path| {
        let action = MetadataAction::Set(value.clone());
        Request::Coordinate(Coordination::Metadata { path, action })
    };
    let answer = asks(&mut state, (CLIENT, 3), metadata(vec![long(1), key("x")]));
    assert_eq!(answer, Some(Answer::Refused(Refusal::TooLarge)));
    assert_eq!(asks(&mut state, (CLIENT, 4), metadata(vec![long(1)])), Some(Answer::Done));
}

#[test]
fn the_oldest_topics_go_to_which_nobody_subscribed() {
    let mut state = state(5);
    let topic =
        |name: &str, action| Request::Coordinate(Coordination::Topic { name: key(name), action });
    let log = |name: &str| topic(name, TopicAction::Log(Bytes::from_static(b"news").into()));
    let mut id = 0;
    let mut ask = |state: &mut SchedulerState, request| {
        id += 1;
        asks(state, (CLIENT, id), request).expect("an answer")
    };
    assert_eq!(ask(&mut state, topic("heard", TopicAction::Subscribe)), Answer::Done);
    // With that and the one of the scheduler itself.
    for i in 0..MAX_TOPICS - 2 {
        assert_eq!(ask(&mut state, log(&i.to_string())), Answer::Done);
    }
    // The scheduler's own was the oldest, and the first of these are so after that.
    for name in ["0", "new", "newer"] {
        assert_eq!(ask(&mut state, log(name)), Answer::Done);
    }
    for (name, n) in [("all", 0), ("1", 0), ("0", 2), ("2", 1), ("new", 1), ("newer", 1)] {
        let answer = ask(&mut state, topic(name, TopicAction::Events));
        let Answer::Coordination(CoordinationAnswer::Events(events)) = answer else {
            panic!("expected events");
        };
        assert_eq!(events.len(), n, "{name}");
    }
    // Where somebody listens to each of them, there is no room. It takes several.
    let names = (2..MAX_TOPICS - 2).map(|i| i.to_string());
    let names = names.chain(["0", "new", "newer"].map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    let share = refused(CoordinationRefusal::Share(Kept::Names));
    for client in 1..=4 {
        let its_own = names.split_off(names.len().saturating_sub(MAX_TOPICS_OF_CLIENT));
        for (id, name) in its_own.iter().enumerate() {
            let asked = (ClientId(client), 10_000 + id as u64);
            let is_over = client == 1 && id == MAX_TOPICS_OF_CLIENT - 1;
            let answer = asks(&mut state, asked, topic(name, TopicAction::Subscribe));
            assert_eq!(answer, if is_over { share.clone() } else { Some(Answer::Done) });
            if is_over {
                names.push(name.clone());
            }
        }
    }
    let full = refused(CoordinationRefusal::Full(Kept::Names));
    let answer = asks(&mut state, (ClientId(5), 1), log("newest"));
    assert_eq!(answer, full);
}

#[test]
fn a_client_waits_for_workers_a_limited_number_of_times() {
    let mut state = state(2);
    let wait = || Request::WaitForWorkers { n: 1 };
    for id in 0..MAX_WAITS as u64 {
        assert_eq!(asks(&mut state, (CLIENT, id), wait()), None);
    }
    let limit = u32::try_from(MAX_WAITS).expect("it fits");
    let answer = asks(&mut state, (CLIENT, u64::MAX), wait());
    assert_eq!(answer, Some(Answer::Refused(Refusal::TooManyQuestions { limit })));
    assert_eq!(asks(&mut state, (ClientId(2), 0), wait()), None);

    let named = |n: usize| {
        let workers = (0..n).map(|i| (i.to_string(), None)).collect();
        Request::Manage(Manage::AwaitWorkers { workers })
    };
    let other = ClientId(2);
    assert_eq!(asks(&mut state, (other, 1), named(MAX_AWAITED_WORKERS)), None);
    let answer = asks(&mut state, (other, 2), named(1));
    assert_eq!(answer, Some(Answer::Refused(Refusal::TooLarge)));
    says(&mut state, other, ClientToScheduler::Forget { id: RequestId(1) });
    assert_eq!(asks(&mut state, (other, 3), named(1)), None);
}

fn function(name: &str) -> Function {
    Function { path: format!("app::{name}"), signature: "fn()".to_owned() }
}

fn define(id: u32, name: &str) -> ClientToScheduler {
    ClientToScheduler::Define { id: FunctionId(id), function: function(name) }
}

fn submit(function: u32, (future, name): (u64, &str)) -> ClientToScheduler {
    let spec = TaskSpec {
        future: FutureId(future),
        key: key(name),
        function: FunctionId(function),
        content: None,
        dependencies: Vec::new(),
        body: Payload::default(),
    };
    ClientToScheduler::Submit(Submit { options: TaskOptions::default(), tasks: vec![spec] })
}

/// What a worker is told of functions by this message of a client.
fn told(
    state: &mut SchedulerState,
    client: ClientId,
    message: ClientToScheduler,
) -> Vec<(FunctionId, Function)> {
    let mut out = Instructions::new();
    let said = Event::ClientSaid { client, messages: vec![message] };
    state.handle(Moment::default(), said, &mut out);
    let messages = out.drain().filter_map(|instruction| match instruction {
        Instruction::ToWorker { messages, .. } => Some(messages),
        _ => None,
    });
    let defined = messages.flatten().filter_map(|message| match message {
        SchedulerToWorker::Define { id, function } => Some((id, function)),
        _ => None,
    });
    defined.collect()
}

#[test]
fn functions_that_nobody_names_any_more_are_forgotten_and_the_others_are_not() {
    const CLIENTS: u32 = 10;
    const EACH: u32 = 1000;
    let mut state = state(1);
    let join = |port: u32, names: &[&str]| {
        let address: Address = format!("tcp://10.0.0.1:{port}").parse().expect("an address");
        let join = WorkerJoin {
            name: address.to_string(),
            address,
            nthreads: 1,
            memory_limit: None,
            resources: BTreeMap::new(),
            functions: names.iter().map(|name| function(name)).collect(),
            pid: 1,
            program: None,
        };
        Event::WorkerJoined { worker: WorkerId(port), join: Box::new(join) }
    };
    state.handle(Moment::default(), join(1, &["kept"]), &mut Instructions::new());
    told(&mut state, CLIENT, define(0, "kept"));
    let first = told(&mut state, CLIENT, submit(0, (1, "a")));
    assert_eq!(first, [(FunctionId(0), function("kept"))]);
    for client in 2..2 + CLIENTS {
        let (client, name, code) = (ClientId(client), String::new(), Code::Withheld);
        let joined = Event::ClientJoined { client, name, code };
        state.handle(Moment::default(), joined, &mut Instructions::new());
        for i in 0..EACH {
            told(&mut state, client, define(i, &format!("of-{client}-{i}")));
        }
        state.handle(Moment::default(), Event::ClientLost { client }, &mut Instructions::new());
    }
    state.handle(Moment::default(), join(2, &["late"]), &mut Instructions::new());
    told(&mut state, CLIENT, define(1, "late"));
    let late = told(&mut state, CLIENT, submit(1, (2, "b")));
    let [(id, defined)] = &late[..] else { panic!("expected one function: {late:?}") };
    assert_eq!(*defined, function("late"));
    assert!(id.0 < CLIENTS * EACH / 2, "{id} is the number of a function");
    // The first worker knows what it knew.
    let again = told(&mut state, CLIENT, submit(0, (3, "c")));
    assert_eq!(again, []);
}

#[test]
fn a_client_that_names_too_many_functions_is_cut_off() {
    let mut state = state(1);
    for i in 0..MAX_FUNCTIONS_OF_CLIENT {
        told(&mut state, CLIENT, define(u32::try_from(i).expect("it fits"), &i.to_string()));
    }
    let mut out = Instructions::new();
    let said = Event::ClientSaid { client: CLIENT, messages: vec![define(u32::MAX, "one more")] };
    state.handle(Moment::default(), said, &mut out);
    let is_cut_off = |instruction: &Instruction| match instruction {
        Instruction::Disconnect { reason, .. } => reason.contains("more than 16384 functions"),
        _ => false,
    };
    assert!(out.drain().any(|instruction| is_cut_off(&instruction)));
}
