//! Processes that a test starts, and clusters of them.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dask_client::{Client, Future, LocalCluster};
use support::fault_tasks::double;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The program of `tests/fixture`.
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_fixture");

/// Long past what any step of a test takes: what takes longer hangs.
pub(crate) const SECONDS: Duration = Duration::from_secs(30);

/// A process of the fixture; it does not outlive its test.
pub(crate) struct Program {
    child: Child,
    /// The end of its input would end it, and waiting for a child closes that.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A scheduler and two workers with a thread each, all processes of their own.
pub(crate) struct Processes {
    pub(crate) scheduler: Program,
    pub(crate) address: String,
    pub(crate) workers: [Program; 2],
}

impl Program {
    /// Starts it with an argument and the variables of a role.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(FIXTURE).args(arguments), variables)
    }

    /// Starts another program with an argument.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(program: &std::path::Path, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(arguments), &[])
    }

    /// Says a line to it.
    #[cfg(target_os = "linux")]
    pub(crate) async fn tell(&mut self, line: &str) {
        use tokio::io::AsyncWriteExt as _;
        let input = self.input.as_mut().expect("it listens");
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        input.flush().await.unwrap();
    }

    /// Says a line to it; the rest of the line with which it answers.
    #[cfg(target_os = "linux")]
    pub(crate) async fn asked(&mut self, line: &str, start: &str) -> String {
        self.tell(line).await;
        self.says(start).await
    }

    fn spawn(command: &mut Command, variables: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        Self { input: child.stdin.take(), child, lines: BufReader::new(output).lines() }
    }

    /// A scheduler, and its address.
    pub(crate) async fn scheduler() -> (Self, String) {
        let mut scheduler = Self::start(&["scheduler"], &[]);
        let address = scheduler.says("Scheduler at: ").await;
        (scheduler, address)
    }

    /// A scheduler that gives up workers which are silent for so long.
    pub(crate) async fn scheduler_with_ttl(ttl: Duration) -> (Self, String) {
        let mut scheduler = Self::start(&["scheduler", &ttl.as_millis().to_string()], &[]);
        let address = scheduler.says("Scheduler at: ").await;
        (scheduler, address)
    }

    /// A scheduler that records what happens to it, and its address.
    pub(crate) async fn recording(file: &std::path::Path) -> (Self, String) {
        let mut scheduler = Self::start(&["recording", file.to_str().unwrap()], &[]);
        let address = scheduler.says("Scheduler at: ").await;
        (scheduler, address)
    }

    /// Workers of these names that have joined.
    pub(crate) async fn workers<const N: usize>(scheduler: &str, names: [&str; N]) -> [Self; N] {
        let mut workers = names.map(|name| Self::worker(scheduler, name));
        for worker in &mut workers {
            worker.says("Worker at: ").await;
        }
        workers
    }

    /// A worker that may not have joined yet.
    pub(crate) fn worker(scheduler: &str, name: &str) -> Self {
        Self::worker_with(scheduler, name, &[])
    }

    /// The same with more variables.
    pub(crate) fn worker_with(scheduler: &str, name: &str, more: &[(&str, &str)]) -> Self {
        let child = [("DASK_EXIT_ON_STDIN_CLOSE", "1")];
        Self::start(&[], &[&Self::worker_variables(scheduler, name)[..], &child, more].concat())
    }

    /// The same, as somebody starts it from a shell.
    pub(crate) fn worker_of_its_own(scheduler: &str, name: &str) -> Self {
        Self::start(&[], &Self::worker_variables(scheduler, name))
    }

    /// A worker with so much memory, whose every write of a file fails.
    #[cfg(target_os = "linux")]
    pub(crate) fn worker_with_full_disk(
        scheduler: &str,
        name: &str,
        (memory, directory): (u64, &std::path::Path),
    ) -> Self {
        let memory = memory.to_string();
        let more = [
            ("DASK_WORKER_MEMORY_LIMIT", memory.as_str()),
            ("DASK_WORKER_LOCAL_DIRECTORY", directory.to_str().unwrap()),
            ("DASK_EXIT_ON_STDIN_CLOSE", "1"),
        ];
        let variables = [&Self::worker_variables(scheduler, name)[..], &more].concat();
        Self::spawn(&mut Self::on_a_full_disk(), &variables)
    }

    /// The fixture with arguments, whose every write of a file fails.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_full_disk(arguments: &[&str]) -> Self {
        Self::spawn(Self::on_a_full_disk().args(arguments), &[])
    }

    #[cfg(target_os = "linux")]
    fn on_a_full_disk() -> Command {
        let mut command = Command::new(FIXTURE);
        let limit = || {
            // SAFETY: both are mere system calls, which a forked process may make.
            let is_set = unsafe {
                // The error, and not the signal, is what a full disk looks like.
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                let none = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
                libc::setrlimit(libc::RLIMIT_FSIZE, &raw const none) == 0
            };
            is_set.then_some(()).ok_or_else(std::io::Error::last_os_error)
        };
        // SAFETY: it allocates nothing and takes no lock.
        unsafe { command.pre_exec(limit) };
        command
    }

    /// Lets a worker with a full disk write.
    #[cfg(target_os = "linux")]
    pub(crate) fn free_its_disk(&self) {
        let most = libc::RLIM_INFINITY;
        let all = libc::rlimit { rlim_cur: most, rlim_max: most };
        let pid = libc::pid_t::try_from(self.pid()).unwrap();
        let resource = libc::RLIMIT_FSIZE;
        // SAFETY: it reads one limit and changes that of a child.
        let set = unsafe { libc::prlimit(pid, resource, &raw const all, std::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }

    fn worker_variables<'a>(scheduler: &'a str, name: &'a str) -> [(&'static str, &'a str); 4] {
        [
            ("DASK_ROLE", "worker"),
            ("DASK_SCHEDULER_ADDRESS", scheduler),
            ("DASK_WORKER_NTHREADS", "1"),
            ("DASK_WORKER_NAME", name),
        ]
    }

    /// The rest of the first line that starts like this.
    pub(crate) async fn says(&mut self, start: &str) -> String {
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
            said.push(line);
        }
        panic!("it ended without {start:?}: {said:?}");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn kill(&self) {
        signal(self.pid(), libc::SIGKILL);
    }

    /// Closes its input, as the end of whoever started it does.
    pub(crate) fn orphan(&mut self) {
        self.input = None;
    }

    /// Waits until it has ended; how, and what it said on standard error.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, String) {
        let mut errors = String::new();
        let mut output = self.child.stderr.take().unwrap();
        output.read_to_string(&mut errors).await.unwrap();
        (self.child.wait().await.unwrap(), errors)
    }
}

impl Processes {
    pub(crate) async fn start() -> Self {
        let (scheduler, address) = Program::scheduler().await;
        let workers = Program::workers(&address, ["one", "two"]).await;
        Self { scheduler, address, workers }
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.address).await.unwrap()
    }
}

/// A client that leaves the default client alone.
pub(crate) async fn connect(address: &str) -> dask_client::Result<Client> {
    let builder = Client::builder().address(address).set_as_default(false);
    builder.connect().await
}

/// Two worker processes with a thread each, which are replaced when they die.
pub(crate) async fn cluster() -> (LocalCluster, Client) {
    let builder = LocalCluster::builder().workers(2).threads_per_worker(1);
    let cluster = builder.program(FIXTURE).build().await.unwrap();
    let client = connect(cluster.address().as_str()).await.unwrap();
    (cluster, client)
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, signal: i32) {
    let pid = libc::pid_t::try_from(pid).unwrap();
    assert!(pid > 1);
    // SAFETY: `kill` takes numbers, and the process is a child of this one or of its cluster.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

/// Whatever happened, the cluster computes.
pub(crate) async fn goes_on(client: &Client) {
    let futures: Vec<Future<i64>> = client.options().pure(false).map(double, 0..20);
    let expected: Vec<i64> = (0..20).map(|x| 2 * x).collect();
    assert_eq!(client.gather(&futures).await.unwrap(), expected);
}

/// Runs a test, which must not hang.
pub(crate) async fn bounded(test: impl std::future::Future<Output = ()>) {
    let ended = tokio::time::timeout(Duration::from_secs(180), test).await;
    ended.expect("the test hangs");
}

/// Checks that an error, with its causes, has these words.
#[track_caller]
pub(crate) fn says(error: &dask_client::Error, words: &[&str]) {
    let text = format!("{error:?}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}
