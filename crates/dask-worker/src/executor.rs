//! The threads that run tasks, and the queue in front of them.
//!
//! As many threads are in the pool as tasks run at once. A thread whose task leaves the pool is
//! replaced by a new one, and ends with its task; for one that comes back another ends.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dask_proto::codec::Carriage;
use dask_proto::graph::Priority;
use dask_proto::id::{RunId, TaskId};
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::message::{Compute, Dependency};
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind, ValueError};
use dask_task::context::{Context, PoolError};
use dask_task::registry::RegistryError;
use dask_task::{Inputs, Panic, TaskDef, catch};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::log::Log;
use crate::overflow;
use crate::seat::Seat;
use crate::state::{Event, Outcome, RunEnded};
use crate::store::{Found, OnDisk, Store, discard};

/// A task on its way to a thread.
pub(crate) struct Job {
    place: Place,
    compute: Box<Compute>,
    def: Result<&'static TaskDef, RegistryError>,
    /// The results of its dependencies, in the order of the assignment.
    inputs: Vec<Found>,
    /// Set when its result will be dropped.
    cancelled: Arc<AtomicBool>,
}

/// What is more urgent is greater.
type Place = Reverse<(Priority, TaskId, RunId)>;

impl Job {
    pub(crate) fn new(
        compute: Box<Compute>,
        def: Result<&'static TaskDef, RegistryError>,
        inputs: Vec<Found>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let place = Reverse((compute.priority, compute.task, compute.run));
        Self { place, compute, def, inputs, cancelled }
    }
}

impl Ord for Job {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Job {}

/// How the threads are set up.
pub(crate) struct Setup {
    pub(crate) nthreads: u32,
    pub(crate) stack_bytes: usize,
    /// How many tasks may be outside of the pool at once.
    pub(crate) seceded_limit: usize,
    pub(crate) worker: Address,
    /// What the link to the scheduler carries.
    pub(crate) carriage: Carriage,
    pub(crate) store: Arc<Store>,
    /// Where tasks say something.
    pub(crate) log: Log,
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
        let in_pool = setup.nthreads.max(1) as usize;
        let executor = Self {
            shared: Arc::new(Shared {
                setup,
                runtime: runtime.clone(),
                queue: Mutex::new(Queue { in_pool, ..Queue::default() }),
                wake: Condvar::new(),
                readmission: Condvar::new(),
                reports: Mutex::default(),
                news: Notify::new(),
            }),
        };
        for _ in 0..in_pool {
            executor.shared.spawn()?;
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

    /// What happened to runs since the last time.
    pub(crate) fn take_reports(&self) -> Reports {
        std::mem::take(&mut *self.shared.reports())
    }

    /// Lets a run that waits to come back into the pool go on.
    pub(crate) fn readmit(&self, run: (TaskId, RunId)) {
        let mut queue = self.shared.queue();
        queue.in_pool += 1;
        queue.seceded -= 1;
        queue.readmitted.insert(run);
        drop(queue);
        self.shared.readmission.notify_all();
        // There is a thread too many now: one that is idle ends.
        self.shared.wake.notify_one();
    }

    /// Tells a run that its result will be dropped.
    pub(crate) fn cancel(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Relaxed);
        // Whoever saw the flag before it was set waits by now, and is woken.
        drop(self.shared.queue());
        self.shared.readmission.notify_all();
    }

    /// Where the tasks say something.
    pub(crate) fn log(&self) -> &Log {
        &self.shared.setup.log
    }

    /// Resolves when there are reports. Cancel safe.
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
        self.shared.readmission.notify_all();
    }
}

/// What happened to runs.
#[derive(Default)]
pub(crate) struct Reports {
    /// Runs that left the pool, and runs that want to come back. All of it was before the same runs
    /// ended.
    pub(crate) moves: Vec<Event>,
    pub(crate) ended: Vec<RunEnded>,
}

/// What the threads share.
pub(crate) struct Shared {
    setup: Setup,
    runtime: Handle,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Somebody who waits to come back into the pool is to look around.
    readmission: Condvar,
    reports: Mutex<Reports>,
    news: Notify,
}

#[derive(Default)]
struct Queue {
    /// The most urgent first: a job may be handed over behind others that have not started.
    jobs: BinaryHeap<Job>,
    idle: usize,
    /// Threads that take jobs or run one that did not leave.
    in_pool: usize,
    /// Threads whose tasks left the pool.
    seceded: usize,
    /// Runs that may come back into the pool and have not noticed.
    readmitted: BTreeSet<(TaskId, RunId)>,
    is_closed: bool,
}

/// The results that a call needs, in memory.
struct Loaded {
    inputs: Vec<Payload>,
    origins: Vec<Origin>,
}

/// Where a result was.
enum Origin {
    Memory(TaskId),
    Disk(OnDisk),
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.setup.log
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, report: impl FnOnce(&mut Reports)) {
        let mut all = self.reports();
        // Whoever finds nothing there rings; what others report is found with it.
        let is_first = all.moves.is_empty() && all.ended.is_empty();
        report(&mut all);
        drop(all);
        if is_first {
            self.news.notify_one();
        }
    }

    /// Starts a thread of the pool.
    fn spawn(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let builder = std::thread::Builder::new().name("task".to_owned());
        let thread = builder.stack_size(self.setup.stack_bytes).spawn(move || {
            let _runtime = shared.runtime.enter();
            shared.run();
        });
        thread.map(drop)
    }

    /// One thread, from start to end.
    fn run(self: &Arc<Self>) {
        if let Some(reporter) = &self.setup.overflow {
            reporter.watch_thread();
        }
        let seat = Arc::new(Seat::new(Arc::clone(self)));
        while let Some(job) = self.next() {
            let ended = self.run_job(job, &seat);
            self.report(|all| all.ended.push(ended));
            if seat.is_outside() {
                // Another has taken its place.
                self.queue().seceded -= 1;
                return;
            }
        }
    }

    /// Puts another thread in the place of the one whose task leaves the pool.
    pub(crate) fn replace_thread(self: &Arc<Self>, run: (TaskId, RunId)) -> Result<(), PoolError> {
        let limit = self.setup.seceded_limit;
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(PoolError::Ended);
        }
        if queue.seceded >= limit {
            return Err(PoolError::TooMany { limit });
        }
        queue.seceded += 1;
        drop(queue);
        if let Err(error) = self.spawn() {
            self.queue().seceded -= 1;
            return Err(PoolError::Thread(error));
        }
        let (task, run) = run;
        self.report(|all| all.moves.push(Event::Seceded { task, run }));
        Ok(())
    }

    /// Waits until a run may come back into the pool.
    pub(crate) fn await_readmission(
        &self,
        run: (TaskId, RunId),
        cancelled: &AtomicBool,
    ) -> Result<(), PoolError> {
        if cancelled.load(Ordering::Relaxed) {
            return Err(PoolError::Cancelled);
        }
        let event = Event::Rejoining { task: run.0, run: run.1 };
        self.report(|all| all.moves.push(event));
        let mut queue = self.queue();
        loop {
            if queue.readmitted.remove(&run) {
                return Ok(());
            }
            if queue.is_closed {
                return Err(PoolError::Ended);
            }
            if cancelled.load(Ordering::Relaxed) {
                return Err(PoolError::Cancelled);
            }
            queue = self.readmission.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if queue.in_pool > self.setup.nthreads.max(1) as usize {
                queue.in_pool -= 1;
                let is_work_left = !queue.jobs.is_empty();
                drop(queue);
                if is_work_left {
                    // It may have been woken for that.
                    self.wake.notify_one();
                }
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

    fn run_job(&self, job: Job, seat: &Arc<Seat>) -> RunEnded {
        let (task, run) = (job.compute.task, job.compute.run);
        let (key, def) = (job.compute.key.clone(), job.def.as_ref().ok().copied());
        let cancelled = Arc::clone(&job.cancelled);
        seat.begin((task, run), Arc::clone(&cancelled));
        let started = Instant::now();
        let mut outcome = if cancelled.load(Ordering::Relaxed) {
            discard(job);
            Outcome::Skipped
        } else {
            overflow::enter_task(task, run);
            // The call itself catches panics. What is around it also runs code of the user: the
            // value's `Serialize`, and the `Drop` of its arguments.
            let outcome = catch(|| self.call(job, seat));
            overflow::leave_task();
            outcome.unwrap_or_else(|panic| Outcome::Failed(self.error(around(panic, key), def)))
        };
        if cancelled.load(Ordering::Relaxed) {
            // Nobody wants it: its `drop` runs here, where it may panic or take its time.
            discard(std::mem::replace(&mut outcome, Outcome::Skipped));
        }
        let duration = started.elapsed().saturating_sub(seat.time_outside()).as_nanos();
        RunEnded { task, run, duration_ns: u64::try_from(duration).unwrap_or(u64::MAX), outcome }
    }

    fn call(&self, job: Job, seat: &Arc<Seat>) -> Outcome {
        let key = job.compute.key.clone();
        let worker = self.setup.worker.clone();
        let def = match job.def {
            Ok(def) => def,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::NoFunction, key, &error);
                return Outcome::Failed(self.error(error, None));
            }
        };
        let Loaded { inputs, origins } = match self.load(&job.compute.dependencies, job.inputs) {
            Ok(loaded) => loaded,
            Err(lost) => return Outcome::InputsLost(lost),
        };
        let mut arguments = match Inputs::new(&job.compute.body, &inputs) {
            Ok(arguments) => arguments,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::Serialization, key, &error);
                return Outcome::Failed(self.error(error, Some(def)));
            }
        };
        // From here on the arguments are the call's alone: what nobody else holds is moved in.
        drop((inputs, job.compute));
        let (key_here, worker_here) = (key.clone(), worker.clone());
        let host = Arc::clone(seat) as _;
        let cancelled = job.cancelled;
        let context = Context { key: key_here, worker: worker_here, cancelled, host };
        let entered = context.enter();
        let result = def.run(&mut arguments);
        drop(entered);
        self.keep_decoded(&origins, &mut arguments);
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

    /// Reads from disk what is there only; which results cannot be read any more. It is done here,
    /// by the task that needs them, as it takes its time.
    fn load(&self, of: &[Dependency], found: Vec<Found>) -> Result<Loaded, Vec<TaskId>> {
        let mut loaded = Loaded { inputs: Vec::new(), origins: Vec::new() };
        let mut lost = Vec::new();
        for (dependency, found) in of.iter().zip(found) {
            let (value, origin) = match found {
                Found::Here(value) => (Some(value), Origin::Memory(dependency.task)),
                Found::OnDisk(result) => (self.setup.store.read(&result), Origin::Disk(result)),
            };
            match value {
                Some(value) => loaded.inputs.push(value),
                None => lost.push(dependency.task),
            }
            loaded.origins.push(origin);
        }
        if lost.is_empty() { Ok(loaded) } else { Err(lost) }
    }

    /// The next task that needs these need not decode them again.
    fn keep_decoded(&self, origins: &[Origin], arguments: &mut Inputs) {
        for (index, value) in arguments.decoded() {
            match origins.get(index as usize) {
                Some(Origin::Memory(task)) => self.setup.store.decoded(*task, value),
                Some(Origin::Disk(result)) => self.setup.store.unspilled(result, value),
                None => {}
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
