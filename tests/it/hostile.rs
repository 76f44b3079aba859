//! Strangers, and peers that talk nonsense: what they get to hear, and that nobody else notices.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use dask_client::{Client, Error, Future, TaskFn, wait};
use dask_proto::graph::{Function, TaskSpec};
use dask_proto::id::{FunctionId, FutureId, RunId, TaskId};
use dask_proto::limits::MAX_HANDSHAKE_BYTES;
use dask_proto::message::{
    ClientToScheduler, Compute, Hello, PROTOCOL_VERSION, Program as About, Rejection, Role,
    SchedulerToClient, SchedulerToWorker, Submit, VersionRange, Welcome, WorkerJoin,
    WorkerToScheduler, decode_welcome, encode_hello, encode_welcome,
};
use dask_proto::{Address, Frames, Key, Payload, wire};
use dask_transport::{Inbox, Outbox, Transports, channel};
use support::fault_tasks::{double, gated};
use support::gate::Gate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::child::{Processes, Program, SECONDS, bounded, connect, goes_on, says};

/// A port at which nobody listens any more.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A server that answers whatever it is told with these bytes, and closes.
async fn foreign(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    address
}

async fn refused(address: &str, timeout: Duration) -> Error {
    let builder = Client::builder().address(address).set_as_default(false);
    builder.timeout(timeout).connect().await.unwrap_err()
}

/// What a worker prints that cannot join.
async fn worker_refused(address: &str) -> String {
    let mut worker = Program::worker(address, "stray");
    let (status, errors) = worker.ended().await;
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains(address), "{errors}");
    errors
}

fn bytes_of(frames: &Frames) -> Vec<u8> {
    let mut chunks = wire::encode(frames).unwrap();
    chunks.copy_to_bytes(chunks.remaining()).to_vec()
}

fn client_hello() -> Hello {
    hello(Role::Client { name: "stranger".to_owned() })
}

fn hello(role: Role) -> Hello {
    Hello { role, program: About::default() }
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_within_the_timeout() {
    bounded(async {
        let address = nobody().await;
        let started = Instant::now();
        let error = refused(&address, Duration::from_millis(300)).await;
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(error.is_timeout() && error.is_disconnected(), "{error:?}");
        says(&error, &["nobody answers at", &address, "300ms"]);
    })
    .await;
}

#[tokio::test]
async fn another_server_at_the_address_is_quoted_to_clients_and_workers() {
    bounded(async {
        let address = foreign(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
        let error = refused(&address, SECONDS).await;
        assert!(error.is_disconnected() && !error.is_timeout(), "{error:?}");
        says(&error, &[&address, "is no scheduler", "HTTP/1.1 400 Bad Request"]);
        let errors = worker_refused(&address).await;
        assert!(errors.contains("HTTP/1.1 400 Bad Request"), "{errors}");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_up_or_says_nothing_is_named() {
    bounded(async {
        let address = foreign(Vec::new()).await;
        let error = refused(&address, SECONDS).await;
        says(&error, &[&address, "closed the connection without an answer"]);
        worker_refused(&address).await;

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let error = refused(&address, Duration::from_millis(300)).await;
        assert!(error.is_timeout(), "{error:?}");
        says(&error, &[&address, "said nothing within 300ms"]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_is_no_scheduler_and_says_so() {
    bounded(async {
        let (_scheduler, address) = Program::scheduler().await;
        let mut worker = Program::worker(&address, "one");
        let said = worker.says("Worker at: ").await;
        let at = said.split_whitespace().next().unwrap();
        let error = refused(at, SECONDS).await;
        says(&error, &[at, "it is a worker", "does not accept a client"]);
        goes_on(&connect(&address).await.unwrap()).await;
    })
    .await;
}

const FUTURE: VersionRange = VersionRange { oldest: 7000, newest: 7001 };

/// The versions that this build speaks, in words.
fn ours() -> String {
    format!("{PROTOCOL_VERSION} to {PROTOCOL_VERSION}")
}

#[tokio::test]
async fn a_scheduler_of_another_version_is_named_with_both_versions() {
    bounded(async {
        let answer = encode_welcome(FUTURE, &Welcome::Peer).unwrap();
        let address = foreign(bytes_of(&answer)).await;
        let error = refused(&address, SECONDS).await;
        says(&error, &[&address, "versions 7000 to 7001", &ours(), "update"]);
        let errors = worker_refused(&address).await;
        assert!(errors.contains("versions 7000 to 7001"), "{errors}");
    })
    .await;
}

#[tokio::test]
async fn a_client_of_another_version_is_told_both_versions() {
    bounded(async {
        let processes = Processes::start().await;
        let address: Address = processes.address.parse().unwrap();
        let mut connection = Transports::default().connect(&address).await.unwrap();
        let hello = encode_hello(FUTURE, &client_hello()).unwrap();
        connection.sender.send(hello).await.unwrap();
        let answer = connection.receiver.receive().await.unwrap().unwrap();
        let (_, welcome) = decode_welcome(&answer).unwrap();
        let Welcome::Rejected(rejection @ Rejection::Version { .. }) = welcome else {
            panic!("{welcome:?}");
        };
        let text = rejection.to_string();
        assert!(text.contains(&ours()) && text.contains("7000 to 7001"), "{text}");
        assert!(connection.receiver.receive().await.unwrap().is_none());
        goes_on(&processes.client().await).await;
    })
    .await;
}

/// What strangers may throw at a port. Whoever is at the other end hangs up.
fn attacks() -> Vec<Vec<u8>> {
    let whole = bytes_of(&encode_hello(VersionRange::OURS, &client_hello()).unwrap());
    let peer = bytes_of(&encode_hello(VersionRange::OURS, &hello(Role::Peer)).unwrap());
    let mut over = whole[..8].to_vec();
    over.extend_from_slice(&(MAX_HANDSHAKE_BYTES as u64 + 1).to_le_bytes());
    let mut crowd = whole[..4].to_vec();
    crowd.extend_from_slice(&u32::MAX.to_le_bytes());
    let mut attacks = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        vec![0; 100_000],
        whole[..whole.len() / 2].to_vec(),
        over,
        crowd,
    ];
    // Behind a proper hello: garbage, half a batch, a frame over the limit, messages of no kind.
    let batch = bytes_of(&Frames::new(vec![Bytes::from_static(&[7; 100])]));
    let mut huge = bytes_of(&Frames::new(vec![Bytes::new()]));
    huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    for hello in [whole, peer] {
        for rest in [&[0xee; 5000], &batch[..batch.len() / 2], &huge, &batch] {
            attacks.push([&hello[..], rest].concat());
        }
    }
    attacks
}

/// Throws bytes at a port and waits until the other end hangs up.
async fn throw(address: &str, bytes: &[u8]) {
    let address = address.strip_prefix("tcp://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The other end may hang up before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(SECONDS, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection stays open behind {bytes:?}");
}

#[tokio::test]
async fn garbage_and_half_frames_disturb_nobody() {
    bounded(async {
        let processes = Processes::start().await;
        let client = processes.client().await;
        let gate = Gate::new().await;
        let running: Future<i64> = client.submit(gated, (gate.address(), 5));
        let waiting = gate.arrival().await;
        let info = client.scheduler_info().await.unwrap();
        let workers = info.workers.into_iter().map(|worker| worker.address.to_string());
        let mut silent = Vec::new();
        for address in workers.chain([processes.address.clone()]) {
            for attack in attacks() {
                throw(&address, &attack).await;
            }
            // And some that stay, half way through their hello.
            let at = address.strip_prefix("tcp://").unwrap();
            for _ in 0..20 {
                let mut stream = TcpStream::connect(at).await.unwrap();
                stream.write_all(b"dask").await.unwrap();
                silent.push(stream);
            }
        }
        assert_eq!(client.nthreads().await.unwrap().len(), 2);
        waiting.release().await;
        assert_eq!(running.result().await.unwrap(), 5);
        goes_on(&client).await;
        goes_on(&processes.client().await).await;
    })
    .await;
}

/// A peer of the scheduler that says what a proper one would not.
async fn impostor<Out, In>(address: &str, role: Role) -> (Outbox<Out>, Inbox<In>)
where
    Out: serde::Serialize + Send + 'static,
    In: serde::de::DeserializeOwned,
{
    let transports = Transports::default();
    let address = address.parse().unwrap();
    let connected = dask_transport::connect(&transports, &address, &hello(role), SECONDS).await;
    channel(connected.unwrap().0)
}

/// The reason that the scheduler gives when it closes.
async fn farewell(mut inbox: Inbox<SchedulerToClient>) -> String {
    let mut reason = None;
    while let Some(messages) = inbox.receive().await.unwrap() {
        for message in messages {
            if let SchedulerToClient::Close { reason: given } = message {
                reason = Some(given);
            }
        }
    }
    reason.expect("it says why")
}

fn nonsense_task(key: &str) -> ClientToScheduler {
    ClientToScheduler::Submit(Submit {
        tasks: vec![TaskSpec {
            future: FutureId(1),
            key: Key::new(key.to_owned()).unwrap(),
            function: FunctionId(77),
            content: None,
            dependencies: vec![FutureId(99)],
            body: Payload::default(),
        }],
        ..Submit::default()
    })
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_is_told_which_and_cut_off() {
    bounded(async {
        let processes = Processes::start().await;
        let role = || Role::Client { name: "impostor".to_owned() };
        let (outbox, inbox) = impostor(&processes.address, role()).await;
        outbox.send([nonsense_task("nonsense")]).unwrap();
        let reason = farewell(inbox).await;
        assert!(reason.contains("function fn77 without defining it"), "{reason}");
        goes_on(&processes.client().await).await;
    })
    .await;
}

/// A worker at an address where nobody is.
fn worker_role(functions: Vec<Function>) -> Role {
    Role::Worker(Box::new(WorkerJoin {
        address: "tcp://127.0.0.1:1".parse().unwrap(),
        name: "impostor".to_owned(),
        nthreads: 1,
        memory_limit: None,
        resources: std::collections::BTreeMap::new(),
        functions,
        pid: 0,
        program: None,
    }))
}

async fn computed(inbox: &mut Inbox<SchedulerToWorker>) -> Compute {
    loop {
        for message in inbox.receive().await.unwrap().expect("it is not cut off") {
            if let SchedulerToWorker::Compute(compute) = message {
                return *compute;
            }
        }
    }
}

fn finished(task: &Compute, nbytes: u64, value: Option<Payload>) -> WorkerToScheduler {
    WorkerToScheduler::Finished { task: task.task, run: task.run, nbytes, duration_ns: 1, value }
}

#[tokio::test]
async fn a_worker_that_lies_about_results_is_found_out_by_who_asks_for_them() {
    bounded(async {
        let processes = Processes::start().await;
        let client = processes.client().await;
        let mut role = worker_role(vec![double.def().function()]);
        // Whoever asks it asks an honest worker, by another of its names.
        let honest = client.nthreads().await.unwrap().into_keys().next().unwrap();
        if let Role::Worker(join) = &mut role {
            let alias = honest.as_str().replace("127.0.0.1", "localhost");
            join.address = alias.parse().unwrap();
        }
        let (outbox, mut inbox) = impostor(&processes.address, role).await;
        let on_it = || client.options().workers(["impostor"]).pure(false);

        // Results of attempts that never were are not taken, garbage is found out here.
        let garbage = on_it().submit(double, 1);
        let task = computed(&mut inbox).await;
        let never = RunId(task.run.0 + 1);
        let stray = Compute { run: never, ..task.clone() };
        let value = |bytes: &'static [u8]| Some(Payload::from(Bytes::from_static(bytes)));
        outbox.send([finished(&stray, 8, value(&[9; 8]))]).unwrap();
        outbox.send([finished(&task, 3, value(b"???"))]).unwrap();
        outbox.send([finished(&task, 8, value(&[8; 8]))]).unwrap();
        let error = garbage.result().await.unwrap_err();
        says(&error, &["could not be had", "3 bytes", "i64"]);

        // A result that is not where it says is computed again, where it can be.
        let nowhere = client.options().pure(false).workers(["impostor"]);
        let nowhere = nowhere.allow_other_workers(true).submit(double, 21);
        let task = computed(&mut inbox).await;
        outbox.send([finished(&task, u64::MAX, None)]).unwrap();
        wait(&nowhere).await.unwrap();
        let reading = nowhere.result();
        let leaving = async {
            computed(&mut inbox).await;
            outbox.close();
        };
        let (value, ()) = tokio::join!(reading, leaving);
        assert_eq!(value.unwrap(), 42);
        goes_on(&client).await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_talks_of_unknown_tasks_disturbs_nobody() {
    bounded(async {
        let processes = Processes::start().await;
        let role = worker_role(Vec::new());
        let (outbox, _inbox): (Outbox<WorkerToScheduler>, Inbox<SchedulerToWorker>) =
            impostor(&processes.address, role).await;
        let (task, run) = (TaskId(u64::MAX), RunId(7));
        outbox
            .send([
                WorkerToScheduler::Finished {
                    task,
                    run,
                    nbytes: u64::MAX,
                    duration_ns: u64::MAX,
                    value: None,
                },
                WorkerToScheduler::Added { tasks: vec![(task, u64::MAX)] },
                WorkerToScheduler::LongRunning { task, run },
            ])
            .unwrap();
        let client = processes.client().await;
        client.wait_for_workers(3).await.unwrap();
        goes_on(&client).await;
        outbox.close();
        outbox.closed().await;
        goes_on(&client).await;
    })
    .await;
}
