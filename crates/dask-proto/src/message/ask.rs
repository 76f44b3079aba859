//! What a client asks of one process of the cluster, apart from all tasks.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::dump::WorkerTaskDump;
use super::handshake::Program;
use super::log::LogRecord;
use super::manage::Equipment;
use crate::graph::Function;
use crate::id::TaskId;
use crate::{Address, Key, Payload, TaskError};

/// A question for one process of the cluster. [`Answer::Reply`](super::Answer::Reply).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Who is to answer it.
    pub whom: Whom,
    /// The question.
    pub question: Question,
}

/// Who is to answer a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Whom {
    /// The process of the scheduler.
    Scheduler,
    /// The worker at this address, through the scheduler.
    Worker(Address),
}

/// What a process is asked. Each names the [`Reply`] it gets; any can get [`Reply::Refused`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Question {
    /// Call a task function (Dask's `run`). [`Reply::Returned`] or [`Reply::Failed`], or
    /// [`Reply::Started`] where nobody waits for its end.
    Run(RunFunction),
    /// Which versions it has. [`Reply::Versions`].
    Versions,
    /// Which tasks run now, all of them or those with these keys. [`Reply::Running`].
    Running {
        /// The keys; every task when empty.
        keys: Vec<Key>,
    },
    /// What it had to say, oldest first. [`Reply::Logs`]. Of workers the scheduler knows it.
    Logs {
        /// At most the latest so many lines; `None` means all that are remembered.
        n: Option<u32>,
    },
    /// End, to be started again. [`Reply::Restarting`], if something starts it again.
    Restart,
    /// Take what the scheduler keeps under this name, which makes an [`Equip`](Self::Equip) of it.
    Take {
        /// The name.
        name: String,
    },
    /// Take what every worker is to have. [`Reply::Done`].
    Equip(Equipment),
    /// Tell what you [do](super::WorkerToScheduler::Did) from now on, or do no longer.
    /// [`Reply::Done`].
    Record {
        /// Whether to tell.
        on: bool,
    },
    /// Which tasks a worker knows, and how they are. [`Reply::Tasks`].
    Tasks,
    /// Look at the threads that run tasks, again and again. [`Reply::Samples`].
    Sample {
        /// For how long, in nanoseconds.
        duration_ns: u64,
        /// How often, in nanoseconds.
        interval_ns: u64,
    },
    /// Find out how fast this machine is. [`Reply::Moved`].
    Benchmark {
        /// What is measured.
        benchmark: Benchmark,
        /// For how long, in nanoseconds.
        duration_ns: u64,
    },
    /// Give it back. [`Reply::Done`].
    Unequip {
        /// Its name.
        name: String,
    },
    /// Where the tasks are that run now, all of them or those with these keys.
    /// [`Reply::CallStack`].
    CallStack {
        /// The keys; every task when empty.
        keys: Vec<Key>,
    },
}

/// A call apart from all tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFunction {
    /// What to call.
    pub function: Function,
    /// The arguments, none of which is the result of a task.
    pub body: Payload,
    /// Whether the reply is what it returns; otherwise it is that it has begun.
    pub wait: bool,
}

/// What a process replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reply {
    /// What the function returned.
    Returned(Payload),
    /// How the function failed, or why it was not called.
    Failed(Box<TaskError>),
    /// The function has begun.
    Started,
    /// Its versions.
    Versions(Box<Versions>),
    /// The tasks that run now.
    Running(Vec<RunningTask>),
    /// What it had to say.
    Logs(Vec<LogRecord>),
    /// It does not do that; the text says why, for people.
    Refused(String),
    /// It ends, and is started again.
    Restarting,
    /// It is done.
    Done,
    /// The tasks that a worker knows.
    Tasks(Vec<WorkerTaskDump>),
    /// Where threads were found.
    Samples(Vec<Sample>),
    /// How much was moved, and how long that took.
    Moved {
        /// How many bytes.
        nbytes: u64,
        /// How long it took, in nanoseconds.
        took_ns: u64,
    },
    /// The stacks of the tasks that run now.
    CallStack(Vec<CallStack>),
}

/// The versions of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Versions {
    /// The program.
    pub program: Program,
    /// The version of these crates that it was built with.
    pub dask: String,
    /// The newest version of the protocol that it speaks.
    pub protocol: u16,
}

impl Versions {
    /// Those of this build, as a part of this program.
    #[must_use]
    pub fn of(program: Program) -> Self {
        let dask = env!("CARGO_PKG_VERSION").to_owned();
        Self { program, dask, protocol: super::PROTOCOL_VERSION }
    }
}

/// What of a machine is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Benchmark {
    /// Its memory.
    Memory {
        /// Bytes that are copied at a time.
        nbytes: u64,
    },
    /// Its disk.
    Disk {
        /// Bytes that are written and read at a time.
        nbytes: u64,
    },
    /// The way to it from a peer.
    Fetch {
        /// The peer.
        peer: Address,
        /// A result that it holds.
        task: TaskId,
    },
}

/// Where threads that run tasks were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What they were in, outermost first: the path of the task's function, the functions that it
    /// called, and what the system had the thread do. In brackets what is no function.
    pub stack: Vec<String>,
    /// How often.
    pub count: u64,
}

/// A task that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// Its key.
    pub key: Key,
    /// The path of its function, such as `session::inc`.
    pub function: String,
    /// For how long it has been running, in nanoseconds.
    pub elapsed_ns: u64,
    /// Whether it left the pool of threads (Dask's `long-running`).
    pub seceded: bool,
}

/// The stack of a task that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStack {
    /// Its key.
    pub key: Key,
    /// The path of its function, such as `session::inc`.
    pub function: String,
    /// For how long it has been running, in nanoseconds.
    pub elapsed_ns: u64,
    /// Whether it left the pool of threads (Dask's `long-running`).
    pub seceded: bool,
    /// What the system has its thread do: `computing`, `waiting`, `waiting for the disk`, or
    /// `running` where it does not say.
    pub activity: String,
    /// Where it is, outermost first: its function, and the functions that this called.
    pub frames: Vec<StackFrame>,
}

/// One function on a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFrame {
    /// Its path, or in brackets why there are no more.
    pub function: String,
    /// The file of its source, where the program says so.
    pub file: Option<String>,
    /// The line that it is in.
    pub line: Option<u32>,
}

/// One frame a line, outermost first, as Dask writes it, behind a line that says which task it is.
impl fmt::Display for CallStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = std::time::Duration::from_nanos(self.elapsed_ns);
        writeln!(f, "{}: {} for {elapsed:.1?}", self.key, self.activity)?;
        self.frames.iter().try_for_each(|frame| writeln!(f, "  {frame}"))
    }
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            _ => Ok(()),
        }
    }
}
