//! The threads that run tasks, and the queue in front of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dask_proto::codec::Carriage;
use dask_proto::graph::Priority;
use dask_proto::id::{RunId, TaskId};
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::message::Compute;
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind, ValueError};
use dask_task::context::Context;
use dask_task::registry::RegistryError;
use dask_task::{Inputs, Panic, TaskDef, catch};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::overflow;
use crate::state::{Outcome, RunEnded};
use crate::store::{Store, discard};

/// A task on its way to a thread.
pub(crate) struct Job {
    pub(crate) compute: Box<Compute>,
    pub(crate) def: Result<&'static TaskDef, RegistryError>,
    /// The results of its dependencies, in the order of the assignment.
    pub(crate) inputs: Vec<Payload>,
    /// Set when its result will be dropped.
    pub(crate) cancelled: Arc<AtomicBool>,
}

impl Job {
    fn place(&self) -> Reverse<(Priority, TaskId, RunId)> {
        Reverse((self.compute.priority, self.compute.task, self.compute.run))
    }
}

impl Ord for Job {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Job {}

/// How the threads are set up.
pub(crate) struct Setup {
    pub(crate) nthreads: u32,
    pub(crate) stack_bytes: usize,
    pub(crate) worker: Address,
    /// What the link to the scheduler carries.
    pub(crate) carriage: Carriage,
    pub(crate) store: Arc<Store>,
    pub(crate) overflow: Option<overflow::Reporter>,
}

/// A pool of threads. When it is dropped, idle threads end at once and the others after their
/// task: nobody waits for a task that may never end.
pub(crate) struct Executor {
    shared: Arc<Shared>,
}

impl Executor {
    /// Starts the threads, inside this runtime: async tasks use its timers and IO.
    pub(crate) fn start(setup: Setup, runtime: &Handle) -> io::Result<Self> {
        let nthreads = setup.nthreads.max(1);
        let stack = setup.stack_bytes;
        let executor = Self {
            shared: Arc::new(Shared {
                setup,
                queue: Mutex::default(),
                wake: Condvar::new(),
                ended: Mutex::default(),
                news: Notify::new(),
            }),
        };
        for i in 0..nthreads {
            let shared = Arc::clone(&executor.shared);
            let runtime = runtime.clone();
            let builder = std::thread::Builder::new().name(format!("task-{i}")).stack_size(stack);
            builder.spawn(move || {
                let _runtime = runtime.enter();
                shared.run();
            })?;
        }
        Ok(executor)
    }

    /// Queues jobs for the threads.
    pub(crate) fn submit(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        let wanted = jobs.len().min(queue.idle);
        queue.jobs.extend(jobs);
        drop(queue);
        for _ in 0..wanted {
            self.shared.wake.notify_one();
        }
    }

    /// Runs that ended since the last time; empty when there are none.
    pub(crate) fn take_ended(&self) -> Vec<RunEnded> {
        std::mem::take(&mut *self.shared.ended())
    }

    /// Resolves when there are runs that ended. Cancel safe.
    pub(crate) async fn news(&self) {
        self.shared.news.notified().await;
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_closed = true;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        discard(jobs);
        self.shared.wake.notify_all();
    }
}

struct Shared {
    setup: Setup,
    queue: Mutex<Queue>,
    wake: Condvar,
    ended: Mutex<Vec<RunEnded>>,
    news: Notify,
}

#[derive(Default)]
struct Queue {
    /// The most urgent first: a job may be handed over behind others that have not started.
    jobs: BinaryHeap<Job>,
    idle: usize,
    is_closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<RunEnded>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread, from start to end.
    fn run(&self) {
        if let Some(reporter) = &self.setup.overflow {
            reporter.watch_thread();
        }
        while let Some(job) = self.next() {
            let ended = self.run_job(job);
            let mut all = self.ended();
            all.push(ended);
            // Whoever finds the list empty rings; the others are found with it.
            let is_first = all.len() == 1;
            drop(all);
            if is_first {
                self.news.notify_one();
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop() {
                return Some(job);
            }
            queue.idle += 1;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn run_job(&self, job: Job) -> RunEnded {
        let (task, run) = (job.compute.task, job.compute.run);
        let (key, def) = (job.compute.key.clone(), job.def.as_ref().ok().copied());
        let cancelled = Arc::clone(&job.cancelled);
        let started = Instant::now();
        let mut outcome = if cancelled.load(Ordering::Relaxed) {
            discard(job);
            Outcome::Skipped
        } else {
            overflow::enter_task(task, run);
            // The call itself catches panics. What is around it also runs code of the user: the
            // value's `Serialize`, and the `Drop` of its arguments.
            let outcome = catch(|| self.call(job));
            overflow::leave_task();
            outcome.unwrap_or_else(|panic| Outcome::Failed(self.error(around(panic, key), def)))
        };
        if cancelled.load(Ordering::Relaxed) {
            // Nobody wants it: its `drop` runs here, where it may panic or take its time.
            discard(std::mem::replace(&mut outcome, Outcome::Skipped));
        }
        let duration = started.elapsed().as_nanos();
        RunEnded { task, run, duration_ns: u64::try_from(duration).unwrap_or(u64::MAX), outcome }
    }

    fn call(&self, job: Job) -> Outcome {
        let key = job.compute.key.clone();
        let worker = self.setup.worker.clone();
        let def = match job.def {
            Ok(def) => def,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::NoFunction, key, &error);
                return Outcome::Failed(self.error(error, None));
            }
        };
        let mut inputs = match Inputs::new(&job.compute.body, &job.inputs) {
            Ok(inputs) => inputs,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::Serialization, key, &error);
                return Outcome::Failed(self.error(error, Some(def)));
            }
        };
        // From here on the arguments are the call's alone: what nobody else holds is moved in.
        let dependencies: Vec<_> = job.compute.dependencies.iter().map(|d| d.task).collect();
        drop((job.inputs, job.compute));
        let context =
            Context { key: key.clone(), worker: worker.clone(), cancelled: job.cancelled };
        let entered = context.enter();
        let result = def.run(&mut inputs);
        drop(entered);
        self.keep_decoded(&dependencies, &mut inputs);
        let measured = match result {
            Ok(value) => self.measure(value),
            Err(failure) => {
                let error = failure.into_task_error(key, def, Some(worker));
                return Outcome::Failed(Box::new(error));
            }
        };
        measured.unwrap_or_else(|error| {
            let kind = TaskErrorKind::Serialization;
            let mut error = TaskError::from_error(kind, key, &error);
            error.message = format!("its result cannot leave the worker: {}", error.message);
            Outcome::Failed(self.error(error, Some(def)))
        })
    }

    /// The next task that needs these need not decode them again.
    fn keep_decoded(&self, dependencies: &[TaskId], inputs: &mut Inputs) {
        for (index, value) in inputs.decoded() {
            if let Some(task) = dependencies.get(index as usize) {
                self.setup.store.decoded(*task, value);
            }
        }
    }

    /// The size of a result, and the result itself where it goes to the scheduler at once. Sizes
    /// are zero for values that cannot be encoded, so only those are tried out.
    fn measure(&self, value: Payload) -> Result<Outcome, ValueError> {
        let nbytes = value.nbytes();
        let inline = match self.setup.carriage {
            Carriage::Objects => Some(value.clone()),
            Carriage::Bytes if nbytes <= INLINE_RESULT_BYTES => {
                Some(Payload::Bytes(value.to_bytes()?))
            }
            Carriage::Bytes => None,
        };
        Ok(Outcome::Done { value, nbytes, inline })
    }

    fn error(&self, error: TaskError, def: Option<&TaskDef>) -> Box<TaskError> {
        Box::new(TaskError {
            function: def.map_or_else(String::new, |def| def.path.to_owned()),
            worker: Some(self.setup.worker.clone()),
            ..error
        })
    }
}

/// The failure of a task whose values panicked.
fn around(panic: Panic, key: Key) -> TaskError {
    let message = panic.message;
    let what = format!("it panicked while its values were serialized or dropped: {message}");
    TaskError {
        location: panic.location,
        backtrace: panic.backtrace,
        ..TaskError::new(TaskErrorKind::Serialization, key, what)
    }
}
