//! The threads that run tasks, and the queue in front of them.
//!
//! As many threads are in the pool as tasks run at once. A thread whose task leaves the pool is
//! replaced by a new one, and ends with its task; for one that comes back another ends.
//!
//! A lone short task is run by the *volunteer* where there is one: the thread that drives the
//! connections, so that none has to be woken.

mod look;
mod run;
mod seat;
#[cfg(test)]
mod tests;
mod volunteer;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dask_proto::Key;
use dask_proto::codec::Carriage;
use dask_proto::id::{FunctionId, RunId, TaskId};
use dask_proto::map::{Map, Set};
use dask_proto::message::{Activity, Compute, RunningTask};
use dask_task::context::{CurrentWorker, PoolError};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::locker::Locker;
use crate::log::Log;
use crate::overflow;
use crate::plugins::Plugins;
use crate::state::{Event, RunEnded};
use crate::store::{Store, discard};

pub(crate) use look::{Sampler, Seen};
use run::{Ended, Thread};
pub(crate) use run::{Job, activity};
use seat::Seat;
pub(crate) use volunteer::Volunteer;

/// How the threads are set up.
pub(crate) struct Setup {
    pub(crate) nthreads: u32,
    pub(crate) stack_bytes: usize,
    /// How many tasks may be outside of the pool at once.
    pub(crate) seceded_limit: usize,
    /// The worker, as its tasks see it.
    pub(crate) worker: Arc<CurrentWorker>,
    /// What the link to the scheduler carries.
    pub(crate) carriage: Carriage,
    pub(crate) store: Arc<Store>,
    /// Where files for tasks are.
    pub(crate) locker: Arc<Locker>,
    pub(crate) plugins: Arc<Plugins>,
    /// Where tasks say something.
    pub(crate) log: Log,
    pub(crate) overflow: Option<overflow::Reporter>,
    pub(crate) volunteer: Option<Volunteer>,
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
                records: AtomicBool::new(false),
                threads: AtomicU32::new(0),
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
        jobs.into_iter().for_each(|job| queue.line_up(job));
        if self.shared.call_volunteer(&mut queue) {
            return;
        }
        let wanted = queue.jobs.len().min(queue.idle);
        drop(queue);
        for _ in 0..wanted {
            self.shared.wake.notify_one();
        }
    }

    /// What happened to runs since the last time.
    pub(crate) fn take_reports(&self) -> Reports {
        let mut all = self.shared.reports();
        let next = Reports::with_room(all.ended.len().min(REPORTS));
        let reports = std::mem::replace(&mut *all, next);
        drop(all);
        let cancelled = &mut self.shared.queue().cancelled;
        if !cancelled.is_empty() {
            for run in &reports.ended {
                cancelled.remove(&(run.task, run.run));
            }
        }
        reports
    }

    /// Lets a run that waits to come back into the pool go on.
    pub(crate) fn readmit(&self, run: (TaskId, RunId)) {
        let mut queue = self.shared.queue();
        queue.busy += 1;
        queue.seceded -= 1;
        if queue.lent != Some(run) {
            queue.in_pool += 1;
        }
        queue.readmitted.insert(run);
        drop(queue);
        self.shared.readmission.notify_all();
        // There is a thread too many now: one that is idle ends.
        self.shared.wake.notify_one();
    }

    /// Tells a run whose end was not reported that its result will be dropped.
    pub(crate) fn cancel(&self, run: (TaskId, RunId)) {
        let mut queue = self.shared.queue();
        match queue.running.get(&run) {
            Some(seat) => seat.cancelled().store(true, Ordering::Relaxed),
            // It came to its end.
            None if queue.jobs.is_empty() => {}
            None => drop(queue.cancelled.insert(run)),
        }
        drop(queue);
        self.shared.readmission.notify_all();
    }

    /// The tasks with these keys that run now, or all, those first that have run for longest.
    pub(crate) fn running(&self, keys: &[Key]) -> Vec<RunningTask> {
        let seats: Vec<_> = self.shared.queue().running.values().cloned().collect();
        let running = seats.iter().filter_map(|seat| seat.running());
        let is_asked = |task: &RunningTask| keys.is_empty() || keys.contains(&task.key);
        let mut running: Vec<_> = running.filter(is_asked).collect();
        running.sort_by(|a, b| (b.elapsed_ns, &a.key).cmp(&(a.elapsed_ns, &b.key)));
        running
    }

    /// Whether the threads record what they do: set by whoever asks for it.
    pub(crate) fn records(&self) -> &AtomicBool {
        &self.shared.records
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
    /// What the runs were made of, to be dropped where it was made: memory that changes threads is
    /// what allocators are slow with.
    #[expect(clippy::vec_box, reason = "they are in boxes already")]
    pub(crate) spent: Vec<Box<Compute>>,
    /// What the threads did, while that is recorded.
    pub(crate) activities: Vec<Activity>,
}

/// For how many reports there is room from the start, after as many or more.
const REPORTS: usize = 1024;

impl Reports {
    /// Room that is made by whoever will give it back.
    fn with_room(runs: usize) -> Self {
        let (ended, spent) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
        Self { moves: Vec::new(), ended, spent, activities: Vec::new() }
    }
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
    /// Whether what the threads do is recorded.
    records: AtomicBool,
    /// How many threads there ever were.
    threads: AtomicU32,
}

#[derive(Default)]
struct Queue {
    /// The most urgent first: a job may be handed over behind others that have not started.
    jobs: VecDeque<Job>,
    idle: usize,
    /// Runs that did not leave the pool: at most as many at once as the worker has threads.
    busy: usize,
    /// The run that the volunteer has, and not a thread of the pool.
    lent: Option<(TaskId, RunId)>,
    /// Functions whose last run was short.
    quick: Set<FunctionId>,
    /// Threads that take jobs or run one that did not leave.
    in_pool: usize,
    /// Threads whose tasks left the pool.
    seceded: usize,
    /// Runs that may come back into the pool and have not noticed.
    readmitted: BTreeSet<(TaskId, RunId)>,
    /// The runs on threads, and where: each is told when its result will be dropped.
    running: Map<(TaskId, RunId), Arc<Seat>>,
    /// Runs that were cancelled before they were on a thread, as far as is known.
    cancelled: Set<(TaskId, RunId)>,
    is_closed: bool,
}

impl Queue {
    /// Puts a job in its place, which is nearly always the last.
    fn line_up(&mut self, job: Job) {
        match self.jobs.back() {
            Some(last) if job < *last => {
                let place = self.jobs.partition_point(|other| *other < job);
                self.jobs.insert(place, job);
            }
            _ => self.jobs.push_back(job),
        }
    }

    /// The next job, which from now on runs.
    fn begin(&mut self, seat: &Arc<Seat>) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        seat.begin(job.run());
        seat.cancelled().store(self.cancelled.remove(&job.run()), Ordering::Relaxed);
        self.running.insert(job.run(), Arc::clone(seat));
        self.busy += 1;
        Some(job)
    }

    /// A run came to its end.
    fn leave(&mut self, done: &Done, seat: &Seat) {
        self.running.remove(&done.run);
        let pool = if seat.is_outside() { &mut self.seceded } else { &mut self.busy };
        *pool -= 1;
        if done.is_quick {
            self.quick.insert(done.function);
        } else {
            self.quick.remove(&done.function);
        }
    }
}

/// What is kept of a run that came to its end.
struct Done {
    run: (TaskId, RunId),
    function: FunctionId,
    is_quick: bool,
}

/// A run that takes less is worth less than to wake a thread for it.
const QUICK: Duration = Duration::from_micros(50);

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locker(&self) -> &Locker {
        &self.setup.locker
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
        let mut thread = Thread::new(Arc::clone(self));
        let mut last = None;
        while let Some(job) = self.next(&thread.seat, last.take()) {
            let ended = self.run_and_report(&mut thread, job);
            if thread.seat.is_outside() {
                // Another has taken its place.
                return self.queue().leave(&ended, &thread.seat);
            }
            last = Some(ended);
        }
    }

    fn run_and_report(&self, thread: &mut Thread, job: Job) -> Done {
        let Ended { run, compute, elapsed, activity } = thread.run(job);
        let done = Done {
            run: (run.task, run.run),
            function: compute.function,
            is_quick: elapsed <= QUICK,
        };
        self.report(|all| {
            all.ended.push(run);
            all.spent.push(compute);
            all.activities.extend(activity.map(|activity| *activity));
        });
        done
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
        queue.busy -= 1;
        let is_lent = queue.lent == Some(run);
        drop(queue);
        if is_lent {
            // All threads of the pool are there, and one of them may go on with what waits.
            self.wake.notify_one();
        } else if let Err(error) = self.spawn() {
            let mut queue = self.queue();
            queue.seceded -= 1;
            queue.busy += 1;
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

    /// The next job for a thread, which is done with the last.
    fn next(&self, seat: &Arc<Seat>, last: Option<Done>) -> Option<Job> {
        let mut queue = self.queue();
        if let Some(last) = last {
            queue.leave(&last, seat);
        }
        let nthreads = self.setup.nthreads.max(1) as usize;
        loop {
            if queue.is_closed {
                return None;
            }
            if queue.in_pool > nthreads {
                queue.in_pool -= 1;
                let is_work_left = !queue.jobs.is_empty();
                drop(queue);
                if is_work_left {
                    // It may have been woken for that.
                    self.wake.notify_one();
                }
                return None;
            }
            if queue.busy < nthreads
                && let Some(job) = queue.begin(seat)
            {
                return Some(job);
            }
            if queue.jobs.is_empty() {
                // What was cancelled just as it came to its end is no job either.
                queue.cancelled.clear();
            }
            queue.idle += 1;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}
