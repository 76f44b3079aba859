//! `dask scheduler`, `dask worker` and `dask info` as processes, and programs that travel to them:
//! this one, so it has a main function in place of the test harness.

// Clippy knows tests by their attribute; here all code is test code.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dask_client::{Client, Future, Result, WorkerInfo, task};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

/// The program that this runs in, as an agent keeps it.
#[task]
fn program(_call: u32) -> std::io::Result<String> {
    let path = std::env::current_exe()?;
    Ok(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

#[task]
fn zeros(n: usize) -> Vec<u8> {
    vec![0; n]
}

#[task]
fn length(bytes: &[u8]) -> usize {
    bytes.len()
}

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    /// Starts it and waits for a line that begins like this; the rest of that line.
    fn start(command: &mut Command, ready: &str) -> (Self, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let rest = line.trim_end().strip_prefix(ready).expect(&line).to_owned();
        (Self(child), rest)
    }

    /// Asks it to end; whether that went well.
    fn terminate(mut self) -> bool {
        let killed = Command::new("kill").arg(self.0.id().to_string()).status();
        killed.unwrap().success() && self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn dask(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dask"));
    command.args(args).env_remove("DASK_LOG").env_remove("RUST_LOG");
    command
}

/// A scheduler and two workers that know no user code.
struct Cluster {
    directory: tempfile::TempDir,
    address: String,
    scheduler: Process,
    workers: [Process; 2],
}

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scheduler.json");
        let config = directory.path().join("config");
        std::fs::create_dir(&config).unwrap();
        let yaml = "distributed:\n  worker:\n    resources: {GPU: 2}\n";
        std::fs::write(config.join("dask.yaml"), yaml).unwrap();
        let mut scheduler = dask(&["scheduler", "--port", "0", "--scheduler-file"]);
        let ready = "Scheduler at: tcp://";
        let (scheduler, address) = Process::start(scheduler.arg(&file), ready);
        let workers = ["alice", "bob"].map(|name| {
            let mut worker =
                dask(&["worker", "--name", name, "--nthreads", "1", "--scheduler-file"]);
            worker.arg(&file).env("DASK_CONFIG", &config);
            worker.arg("--program-cache").arg(directory.path().join(name));
            if name == "bob" {
                worker.args(["--contact-address", "localhost"]);
            }
            worker.arg("--pid-file").arg(directory.path().join(format!("{name}.pid")));
            Process::start(&mut worker, "Agent at: ").0
        });
        Self { directory, address, scheduler, workers }
    }

    fn stop(self) {
        let Self { directory, scheduler, workers, .. } = self;
        let pid = std::fs::read_to_string(directory.path().join("alice.pid")).unwrap();
        assert_eq!(pid, workers[0].0.id().to_string());
        for worker in workers {
            assert!(worker.terminate());
        }
        assert!(scheduler.terminate());
        let left = |name: &str| directory.path().join(name).exists();
        assert!(!left("alice.pid") && !left("bob.pid") && !left("scheduler.json"));
    }
}

#[dask_client::main]
async fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("another") {
        return another().await;
    }
    let cluster = Cluster::start();
    info_tells_of_agents_that_have_no_workers_yet(&cluster);
    let client = Client::connect(&cluster.address).await?;
    the_program_runs_on_workers_that_have_never_seen_it(&client).await?;
    a_worker_is_reached_at_its_contact_address(&client).await?;
    another_program_runs_at_the_same_time(&cluster, &client).await?;
    info_tells_who_works(&cluster);
    keys_can_tell_builds_apart(&cluster).await?;
    client.close().await?;
    cluster.stop();
    nobody_waits_for_ever_for_a_scheduler();
    what_makes_no_sense_is_said();
    println!("worker: ok");
    Ok(())
}

/// This program, or a copy of it with other bytes, as a client whose address is in the environment.
async fn another() -> Result<()> {
    let client = Client::builder().connect().await?;
    let programs = programs(&client).await?;
    println!("programs: {}", Vec::from_iter(programs).join(" "));
    client.close().await
}

/// The programs that the tasks of a client run in.
async fn programs(client: &Client) -> Result<BTreeSet<String>> {
    let futures: Vec<Future<String>> = client.options().pure(false).map(program, 0..20);
    Ok(client.gather(&futures).await?.into_iter().collect())
}

async fn the_program_runs_on_workers_that_have_never_seen_it(client: &Client) -> Result<()> {
    let futures: Vec<Future<i64>> = client.map(inc, 0..100);
    assert_eq!(client.gather(&futures).await?, (1..=100).collect::<Vec<_>>());
    client.options().timeout(Duration::from_secs(30)).wait_for_workers(2).await?;
    let workers = client.scheduler_info().await?.workers;
    let names: BTreeSet<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["alice", "bob"]));
    // As the configuration says.
    let gpus = BTreeMap::from([("GPU".to_owned(), 2.0)]);
    assert!(workers.iter().all(|worker| worker.resources == gpus && worker.nthreads == 1));
    assert!(workers.iter().all(|worker| worker.memory_limit.is_some()));
    assert_eq!(programs(client).await?.len(), 1);
    Ok(())
}

async fn a_worker_is_reached_at_its_contact_address(client: &Client) -> Result<()> {
    let workers = client.scheduler_info().await?.workers.into_iter();
    let address = |worker: WorkerInfo| (worker.name, worker.address.host().to_owned());
    let hosts: BTreeMap<String, String> = workers.map(address).collect();
    assert_eq!((&*hosts["alice"], &*hosts["bob"]), ("127.0.0.1", "localhost"));
    // From bob to alice and to this client, both of which ask for it there.
    let on = |worker: &str| client.options().workers([worker]);
    let block: Future<Vec<u8>> = on("bob").submit(zeros, 1 << 20);
    assert_eq!(on("alice").submit(length, &block).await?, 1 << 20);
    assert_eq!(block.await?.len(), 1 << 20);
    Ok(())
}

async fn another_program_runs_at_the_same_time(cluster: &Cluster, client: &Client) -> Result<()> {
    let copy = copy_of_this(cluster.directory.path());
    let mut another = Command::new(&copy);
    another.arg("another").env("DASK_SCHEDULER_ADDRESS", &cluster.address);
    let (mut another, theirs) = Process::start(&mut another, "programs: ");
    assert!(another.0.wait()?.success());
    let ours = programs(client).await?;
    assert_eq!(theirs.split(' ').count(), 1);
    assert!(!ours.contains(&theirs), "{theirs}");
    Ok(())
}

/// The same functions in another file.
fn copy_of_this(directory: &Path) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let copy = directory.join("copy");
    let mut bytes = std::fs::read(&this).unwrap();
    bytes.push(1);
    std::fs::write(&copy, bytes).unwrap();
    std::fs::set_permissions(&copy, std::fs::metadata(&this).unwrap().permissions()).unwrap();
    copy
}

fn info_tells_of_agents_that_have_no_workers_yet(cluster: &Cluster) {
    let offers = "offers each program 1 x 1 threads";
    info_has(cluster, &["workers: 0", "agents: 2", "agent alice", "bob", offers, "runs none yet"]);
}

fn info_tells_who_works(cluster: &Cluster) {
    let worker = format!("{}-", env!("CARGO_CRATE_NAME"));
    let runs = format!("runs {worker}");
    info_has(cluster, &[&cluster.address, "alice", "bob", "1 threads", "agents: 2", &runs]);
}

fn info_has(cluster: &Cluster, words: &[&str]) {
    let told = dask(&["info", &cluster.address]).output().unwrap();
    assert!(told.status.success());
    let text = String::from_utf8(told.stdout).unwrap();
    for word in words {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

async fn keys_can_tell_builds_apart(cluster: &Cluster) -> Result<()> {
    let key = async |in_keys: bool| {
        let builder = Client::builder().address(&cluster.address).set_as_default(false);
        let client = builder.program_in_keys(in_keys).connect().await?;
        let future = client.submit(inc, 1);
        assert_eq!(future.result().await?, 2);
        let key = future.key().to_string();
        client.close().await?;
        Ok::<_, dask_client::Error>(key)
    };
    assert_eq!(key(false).await?, key(false).await?);
    assert_eq!(key(true).await?, key(true).await?);
    assert_ne!(key(true).await?, key(false).await?);
    Ok(())
}

fn nobody_waits_for_ever_for_a_scheduler() {
    let directory = tempfile::tempdir().unwrap();
    let mut worker = dask(&["worker", "127.0.0.1:1", "--death-timeout", "10ms"]);
    let ended = worker.arg("--program-cache").arg(directory.path()).output().unwrap();
    assert!(!ended.status.success());
    let text = String::from_utf8(ended.stderr).unwrap();
    for word in ["error: ", "127.0.0.1:1", "--death-timeout"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

fn what_makes_no_sense_is_said() {
    for (args, word) in [
        (&["worker"][..], "DASK_SCHEDULER_ADDRESS"),
        (&["worker", "127.0.0.1:1", "--memory-limit", "much"], "auto"),
        (&["worker", "127.0.0.1:1", "--worker-port", "9:1"], "4000:4010"),
        (&["worker", "127.0.0.1:1", "--resources", "GPU"], "GPU=1"),
        (&["worker", "127.0.0.1:1", "--program", "/nowhere"], "/nowhere"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = dask(args);
        command.env_remove("DASK_SCHEDULER_ADDRESS").env("XDG_CACHE_HOME", directory.path());
        let ended = command.env("DASK_CONFIG", directory.path()).output().unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && text.contains(word), "{word} is not in {text}");
    }
}
