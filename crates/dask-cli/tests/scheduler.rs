//! `dask scheduler` as a process: what it prints, and how it ends.

// Clippy knows tests by their attribute; here all code is test code.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use dask_client::{Client, task};
use dask_transport::Transports;
use dask_worker::{Ended, Worker};

/// A scheduler process that does not outlive its test.
struct Scheduler {
    child: Child,
    /// Its `host:port`.
    address: String,
    /// What it still prints after the first line.
    stdout: BufReader<std::process::ChildStdout>,
}

impl Scheduler {
    fn start(options: &[&str]) -> Scheduler {
        Self::spawn(dask(&["scheduler", "--port", "0"]).args(options))
    }

    fn spawn(command: &mut Command) -> Scheduler {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Scheduler at: tcp://");
        let address = address.expect(&line).to_owned();
        Scheduler { child, address, stdout }
    }

    /// Waits for its end; tells whether that was a success, and the rest of its output.
    fn ended(&mut self) -> (bool, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().success(), rest)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dask(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dask"));
    command.args(args).env_remove("DASK_LOG").env_remove("RUST_LOG");
    command
}

fn error_of(output: &Output) -> &str {
    assert!(!output.status.success());
    let text = std::str::from_utf8(&output.stderr).unwrap();
    let line = text.lines().find(|line| line.starts_with("error: "));
    line.expect(text)
}

#[test]
fn it_listens_at_the_address_that_it_prints() {
    let scheduler = Scheduler::start(&[]);
    assert!(scheduler.address.starts_with("127.0.0.1:"));
    assert!(!scheduler.address.ends_with(":0"));
    TcpStream::connect(&scheduler.address).unwrap();
}

#[test]
fn signals_end_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let mut scheduler = Scheduler::start(&[]);
        scheduler.signal(signal);
        assert_eq!(scheduler.ended(), (true, String::new()), "{signal}");
    }
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[tokio::test]
async fn a_signal_ends_its_whole_cluster_cleanly() {
    let mut scheduler = Scheduler::start(&[]);
    let address = format!("tcp://{}", scheduler.address);
    let config = dask_worker::Config::new(address.parse().unwrap());
    let worker = Worker::connect(config, Transports::default()).await.unwrap();
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let builder = Client::builder().address(&address).set_as_default(false);
    let client = builder.connect().await.unwrap();
    assert_eq!(client.submit(inc, 1).result().await.unwrap(), 2);
    let pending = client.options().workers(["nobody"]).submit(inc, 1);
    client.scheduler_info().await.unwrap();
    scheduler.signal("TERM");
    let error = pending.result().await.unwrap_err();
    assert!(error.is_disconnected() && error.to_string().contains(&address), "{error:?}");
    let Ended::Closed { reason } = worker.await.unwrap().unwrap() else {
        panic!("it was not told");
    };
    assert_eq!(reason, "the scheduler is closing");
    assert_eq!(scheduler.ended(), (true, String::new()));
}

/// The processor time that a process has taken, in hundredths of a second.
#[cfg(target_os = "linux")]
fn ticks(scheduler: &Scheduler) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", scheduler.child.id())).unwrap();
    // Behind the name, which may have spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let mut times = fields.split(' ').skip(11).map(|field| field.parse::<u64>().unwrap());
    times.next().unwrap() + times.next().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_rests_between_messages_where_it_is_told_to() {
    // With one processor nobody looks.
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) {
        return;
    }
    let minute = "60000000";
    let looks = Scheduler::start(&["--busy-poll", minute]);
    let rests = Scheduler::start(&["--busy-poll", "0"]);
    let mut told = dask(&["scheduler", "--port", "0"]);
    let rests_too = Scheduler::spawn(told.env("DASK_BUSY_POLL", "0"));
    let mut clients = Vec::new();
    for scheduler in [&looks, &rests, &rests_too] {
        let builder = Client::builder().address(&scheduler.address).set_as_default(false);
        let client = builder.connect().await.unwrap();
        for _ in 0..100 {
            client.nthreads().await.unwrap();
        }
        clients.push(client);
    }
    // Now nothing comes, and the first of them goes on looking for it.
    let before = [&looks, &rests, &rests_too].map(ticks);
    while ticks(&looks) < before[0] + 30 {
        std::thread::yield_now();
    }
    for (scheduler, before) in [&rests, &rests_too].into_iter().zip(&before[1..]) {
        let took = ticks(scheduler) - before;
        assert!(took < 10, "{took} hundredths of a second");
    }
}

#[test]
fn the_end_of_its_input_ends_it_when_asked_for() {
    let mut scheduler = Scheduler::start(&["--exit-on-stdin-close"]);
    assert!(scheduler.child.try_wait().unwrap().is_none());
    drop(scheduler.child.stdin.take());
    assert_eq!(scheduler.ended(), (true, String::new()));
}

#[test]
fn the_end_of_its_input_means_nothing_otherwise() {
    let mut scheduler = Scheduler::start(&[]);
    drop(scheduler.child.stdin.take());
    TcpStream::connect(&scheduler.address).unwrap();
    assert!(scheduler.child.try_wait().unwrap().is_none());
}

#[test]
fn an_open_connection_does_not_keep_it_from_ending() {
    let mut scheduler = Scheduler::start(&[]);
    let _open = TcpStream::connect(&scheduler.address).unwrap();
    scheduler.signal("TERM");
    assert!(scheduler.ended().0);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let output = dask(&["scheduler", "--port", &port.to_string()]).output().unwrap();
    assert!(output.stdout.is_empty());
    let error = error_of(&output);
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn a_filter_that_is_none_is_an_error_that_shows_it() {
    let output = dask(&["scheduler", "--port", "0", "--log", "dask=loud"]).output().unwrap();
    assert!(error_of(&output).contains("\"dask=loud\""));
}

#[test]
fn it_ends_of_itself_when_it_was_idle_for_long_enough() {
    let mut scheduler = Scheduler::start(&["--idle-timeout", "100ms"]);
    assert_eq!(scheduler.ended(), (true, String::new()));
}

#[test]
fn a_duration_that_is_none_is_an_error_that_says_what_is_expected() {
    let output = dask(&["scheduler", "--idle-timeout", "soon"]).output().unwrap();
    assert!(error_of(&output).contains("'soon'"));
    assert!(error_of(&output).contains("such as `5 min`"));
}

#[tokio::test]
async fn a_task_that_no_worker_may_run_is_explained_logged_and_failed() {
    let options = ["--unrunnable-after", "50ms", "--no-workers-timeout", "1s"];
    let mut command = dask(&["scheduler", "--port", "0"]);
    let mut scheduler = Scheduler::spawn(command.args(options).stderr(Stdio::piped()));
    let mut log = BufReader::new(scheduler.child.stderr.take().unwrap());
    let address = format!("tcp://{}", scheduler.address);
    let mut config = dask_worker::Config::new(address.parse().unwrap());
    config.name = Some("alice".to_owned());
    let worker = Worker::connect(config, Transports::default()).await.unwrap();
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let builder = Client::builder().address(&address).set_as_default(false);
    let client = builder.connect().await.unwrap();
    let future = client.options().resources([("GPU", 1.0)]).submit(inc, 1);
    let why = client.explain(&future).await.unwrap().to_string();
    let excluded = |text: &str| text.contains("alice") && text.contains("lacks resource GPU");
    assert!(why.contains("in state no-worker") && excluded(&why), "{why}");
    let error = future.result().await.unwrap_err().to_string();
    assert!(error.contains("waited too long for a worker") && excluded(&error), "{error}");
    scheduler.signal("TERM");
    worker.await.unwrap().unwrap();
    let mut logged = String::new();
    log.read_to_string(&mut logged).unwrap();
    let warning =
        logged.split_once("a task makes no progress").unwrap_or_else(|| panic!("{logged}"));
    assert!(warning.0.lines().last().is_some_and(|line| line.contains("WARN")), "{logged}");
    assert!(warning.1.contains(&format!("task {} is in state", future.key())), "{logged}");
    assert!(excluded(warning.1), "{logged}");
}

#[tokio::test]
async fn what_listens_on_all_interfaces_is_announced_where_it_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scheduler.json");
    let options = ["--host", "0.0.0.0", "--scheduler-file", file.to_str().unwrap()];
    let scheduler = Scheduler::start(&options);
    assert!(!scheduler.address.starts_with("0.0.0.0"), "{}", scheduler.address);
    assert!(std::fs::read_to_string(&file).unwrap().contains(&scheduler.address));
    let client = Client::connect(&scheduler.address).await.unwrap();
    let cache = directory.path().join("cache");
    let mut worker = dask(&["worker", &scheduler.address, "--host", "0.0.0.0"]);
    worker.arg("--program-cache").arg(&cache).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = worker.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(worker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let agent = line.strip_prefix("Agent at: tcp://").expect(&line);
    let agent = agent.split(' ').next().unwrap();
    assert!(!agent.starts_with("0.0.0.0"), "{line}");
    TcpStream::connect(agent).unwrap();
    client.close().await.unwrap();
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_contact_address_is_announced() {
    let mut command = dask(&["scheduler", "--port", "0"]);
    let command = command.env("DASK_DISTRIBUTED__SCHEDULER__CONTACT_ADDRESS", "tcp://gate:8786");
    assert_eq!(Scheduler::spawn(command).address, "gate:8786");
}
