use std::collections::BTreeMap;
use std::time::Duration;

use dask_proto::Address;
use serde::{Deserialize, Serialize};

/// How a scheduler behaves. The defaults and names are Dask's where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Its name, for people: `Scheduler-<uuid>`.
    pub id: String,
    /// What else this process serves, with its ports: clients hear it when they connect.
    pub services: BTreeMap<String, u16>,
    /// The address at which others reach it, where that is another than it listens at
    /// (`contact-address`); `None` unless it is.
    pub contact_address: Option<Address>,
    /// How many workers may die under a task before it errs (`allowed-failures`).
    pub allowed_failures: u32,
    /// How many root tasks a worker is given per thread before the rest waits on the scheduler
    /// (`worker-saturation`); infinity hands them all out at once.
    pub worker_saturation: f64,
    /// How often a worker shall report.
    pub heartbeat: Duration,
    /// After how long a silent worker counts as lost (`worker-ttl`).
    pub worker_ttl: Duration,
    /// How long a task may wait for a worker that may run it before it fails
    /// (`no-workers-timeout`); `None` means for ever.
    pub no_workers_timeout: Option<Duration>,
    /// After how long without a task to run and without a word from a client the scheduler ends
    /// (`idle-timeout`); `None` means never.
    pub idle_timeout: Option<Duration>,
    /// How long a wanted task may make no progress before a warning says why: a task that is
    /// processing also ten times as long as its function usually takes; `None` means for ever.
    pub stuck_after: Option<Duration>,
    /// How long a task may have no possible worker before a warning says why; `None` means for
    /// ever.
    pub unrunnable_after: Option<Duration>,
    /// How long a new connection may take to say who it is.
    pub handshake_timeout: Duration,
    /// The assumed speed between workers, in bytes per second (`bandwidth`).
    pub bandwidth: u64,
    /// Whether tasks move from workers with too much to do to idle ones (`work-stealing`).
    pub work_stealing: WorkStealing,
    /// How long a task is assumed to run while nothing is known (`unknown-task-duration`).
    pub unknown_task_duration: Duration,
    /// Whether copies of results that nobody needs any more are removed
    /// (`active-memory-manager.start`).
    pub active_memory_manager: bool,
    /// How often copies are looked at (`active-memory-manager.interval`).
    pub active_memory_manager_interval: Duration,
    /// How long the workers of a program that agents run outlive its last client, unless results
    /// of theirs are wanted.
    pub program_grace: Duration,
    /// How long an agent that fetches a program may get nothing more of it until another may fetch
    /// it in its place. Longer than it takes any side that still lives to give up.
    pub fetch_patience: Duration,
    /// How many transitions are remembered (`transition-log-length`).
    pub story_len: usize,
    /// How many lines of each worker's log are remembered (`log-length`).
    pub log_length: usize,
    /// How many records of what workers did are remembered while a client is interested
    /// (`dashboard.status.task-stream-length`).
    pub task_stream_length: usize,
    /// Whether every event is followed by a check of all invariants (`validate`): for tests, as
    /// its cost grows with the number of tasks.
    pub validate: bool,
}

/// Whether an idle worker is given tasks that wait on another worker.
///
/// A task moves only before it has started and with the consent of the worker that has it, and only
/// where it is expected to be done earlier in spite of the time that fetching its dependencies
/// takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WorkStealing {
    /// Tasks move.
    #[default]
    On,
    /// A task stays where it was first placed, for as long as that worker lives.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            id: "Scheduler".to_owned(),
            services: BTreeMap::new(),
            contact_address: None,
            allowed_failures: 3,
            worker_saturation: 1.1,
            heartbeat: Duration::from_secs(1),
            worker_ttl: Duration::from_secs(300),
            no_workers_timeout: None,
            idle_timeout: None,
            stuck_after: Some(Duration::from_secs(300)),
            unrunnable_after: Some(Duration::from_secs(10)),
            handshake_timeout: Duration::from_secs(10),
            bandwidth: 100_000_000,
            work_stealing: WorkStealing::On,
            unknown_task_duration: Duration::from_millis(500),
            active_memory_manager: true,
            active_memory_manager_interval: Duration::from_secs(2),
            program_grace: Duration::from_secs(30),
            fetch_patience: Duration::from_secs(90),
            story_len: 100_000,
            log_length: 10_000,
            task_stream_length: 100_000,
            validate: false,
        }
    }
}
