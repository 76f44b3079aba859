//! One run of a task, on a thread of the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dask_proto::codec::Carriage;
use dask_proto::graph::Priority;
use dask_proto::id::{FunctionId, RunId, TaskId};
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::message::{Activity, ActivityKind, Compute, Dependency};
use dask_proto::{Key, Payload, TaskError, TaskErrorKind, ValueError};
use dask_task::context::Context;
use dask_task::registry::RegistryError;
use dask_task::{Inputs, Panic, TaskDef, catch};

use super::Shared;
use super::seat::{Now, Seat};
use crate::encoder::Encoder;
use crate::overflow;
use crate::sample::{this_thread, watch_thread};
use crate::state::{Outcome, RunEnded};
use crate::store::{Found, OnDisk, discard};

/// A task on its way to a thread.
pub(crate) struct Job {
    place: Place,
    compute: Box<Compute>,
    def: Result<&'static TaskDef, Arc<RegistryError>>,
    /// The results of its dependencies, in the order of the assignment.
    inputs: Vec<Found>,
}

/// What is more urgent is less.
type Place = (Priority, TaskId, RunId);

impl Job {
    pub(crate) fn new(
        compute: Box<Compute>,
        def: Result<&'static TaskDef, Arc<RegistryError>>,
        inputs: Vec<Found>,
    ) -> Self {
        let place = (compute.priority, compute.task, compute.run);
        Self { place, compute, def, inputs }
    }

    pub(super) fn run(&self) -> (TaskId, RunId) {
        (self.compute.task, self.compute.run)
    }

    pub(super) fn function(&self) -> FunctionId {
        self.compute.function
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

/// A run that came to its end.
pub(super) struct Ended {
    pub(super) run: RunEnded,
    /// What it was made of, without its arguments.
    pub(super) compute: Box<Compute>,
    /// For how long it had the thread, also while it was outside of the pool.
    pub(super) elapsed: Duration,
    /// The run for those who want to know, if somebody does.
    pub(super) activity: Option<Box<Activity>>,
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

/// One thread of the pool.
pub(crate) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) seat: Arc<Seat>,
    /// Tells it from the others of the worker.
    number: u32,
    /// The number by which the system knows it.
    thread: Option<u32>,
    encoder: Encoder,
}

impl Thread {
    /// The thread that calls this.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let seat = Arc::new(Seat::new(Arc::clone(&shared)));
        let number = shared.threads.fetch_add(1, Ordering::Relaxed);
        watch_thread();
        Self { shared, seat, number, thread: this_thread(), encoder: Encoder::default() }
    }

    /// Runs a job whose turn it is.
    pub(super) fn run(&mut self, job: Job) -> Ended {
        let Job { mut compute, def, inputs, .. } = job;
        let (task, run) = (compute.task, compute.run);
        let arguments = (std::mem::take(&mut compute.body), inputs);
        let name = def.as_ref().ok().copied();
        let started = Instant::now();
        let mut outcome = if self.is_cancelled() {
            discard(arguments);
            Outcome::Skipped
        } else {
            overflow::enter_task(task, run);
            let (key, thread) = (compute.key.clone(), self.thread);
            let top = std::ptr::from_ref(&started).addr();
            self.seat.calls(Now { key, def: name, since: started, thread, top });
            self.shared.setup.plugins.transition(&compute.key, "ready", "executing");
            // The call itself catches panics. What is around it also runs code of the user: the
            // value's `Serialize`, and the `Drop` of its arguments.
            let outcome = catch(|| self.call(&compute, def, arguments));
            self.seat.called();
            overflow::leave_task();
            outcome.unwrap_or_else(|panic| {
                Outcome::Failed(self.error(around(panic, compute.key.clone()), name))
            })
        };
        if self.is_cancelled() {
            // Nobody wants it: its `drop` runs here, where it may panic or take its time.
            discard(std::mem::replace(&mut outcome, Outcome::Skipped));
        }
        let elapsed = started.elapsed();
        let duration = elapsed.saturating_sub(self.seat.time_outside()).as_nanos();
        let duration_ns = u64::try_from(duration).unwrap_or(u64::MAX);
        self.tell_end(&compute.key, &outcome);
        let records = self.shared.records.load(Ordering::Relaxed);
        let activity = records.then(|| {
            let prefix = name.map_or_else(String::new, |def| def.name().to_owned());
            let ok = matches!(outcome, Outcome::Done { .. });
            let (key, thread) = (compute.key.clone(), self.number);
            Box::new(activity(started, ActivityKind::Run { key, prefix, thread, ok }))
        });
        Ended { run: RunEnded { task, run, duration_ns, outcome }, compute, elapsed, activity }
    }

    /// Tells plugins what came of a run.
    fn tell_end(&self, key: &Key, outcome: &Outcome) {
        let finish = match outcome {
            Outcome::Done { .. } => "memory",
            Outcome::Skipped => "cancelled",
            _ => "error",
        };
        self.shared.setup.plugins.transition(key, "executing", finish);
    }

    fn is_cancelled(&self) -> bool {
        self.seat.cancelled().load(Ordering::Relaxed)
    }

    fn call(
        &mut self,
        compute: &Compute,
        def: Result<&'static TaskDef, Arc<RegistryError>>,
        (body, inputs): (Payload, Vec<Found>),
    ) -> Outcome {
        let key = || compute.key.clone();
        let def = match def {
            Ok(def) => def,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::NoFunction, key(), &error);
                return Outcome::Failed(self.error(error, None));
            }
        };
        let Loaded { inputs, origins } = match self.load(&compute.dependencies, inputs) {
            Ok(loaded) => loaded,
            Err(lost) => return Outcome::InputsLost(lost),
        };
        let mut arguments = match Inputs::new(&body, &inputs) {
            Ok(arguments) => arguments,
            Err(error) => {
                let error = TaskError::from_error(TaskErrorKind::Serialization, key(), &error);
                return Outcome::Failed(self.error(error, Some(def)));
            }
        };
        // From here on the arguments are the call's alone: what nobody else holds is moved in.
        drop((inputs, body));
        let worker = Arc::clone(&self.shared.setup.worker);
        let (cancelled, host) = (Arc::clone(self.seat.cancelled()), Arc::clone(&self.seat) as _);
        let entered = Context { key: key(), worker, cancelled, host }.enter();
        let result = def.run(&mut arguments);
        drop(entered);
        self.keep_decoded(&origins, &mut arguments);
        let value = match result {
            Ok(value) => value,
            Err(failure) if failure.is_reschedule() => return Outcome::Rescheduled,
            Err(failure) => {
                let worker = Some(self.shared.setup.worker.address.clone());
                return Outcome::Failed(Box::new(failure.into_task_error(key(), def, worker)));
            }
        };
        self.measure(value).unwrap_or_else(|error| {
            let kind = TaskErrorKind::Serialization;
            let mut error = TaskError::from_error(kind, key(), &error);
            error.message = format!("its result cannot leave the worker: {}", error.message);
            Outcome::Failed(self.error(error, Some(def)))
        })
    }

    /// Reads from disk what is there only; which results cannot be read any more. It is done here,
    /// by the task that needs them, as it takes its time.
    fn load(&self, of: &[Dependency], found: Vec<Found>) -> Result<Loaded, Vec<TaskId>> {
        let room = Vec::with_capacity(of.len());
        let mut loaded = Loaded { inputs: room, origins: Vec::with_capacity(of.len()) };
        let mut lost = Vec::new();
        for (dependency, found) in of.iter().zip(found) {
            let (value, origin) = match found {
                Found::Here(value) => (Some(value), Origin::Memory(dependency.task)),
                Found::OnDisk(result) => {
                    (self.shared.setup.store.read(&result), Origin::Disk(result))
                }
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
                Some(Origin::Memory(task)) => self.shared.setup.store.decoded(*task, value),
                Some(Origin::Disk(result)) => self.shared.setup.store.unspilled(result, value),
                None => {}
            }
        }
    }

    /// The size of a result, and the result itself where it goes to the scheduler at once. Sizes
    /// are zero for values that cannot be encoded, so only those are tried out.
    fn measure(&mut self, value: Payload) -> Result<Outcome, ValueError> {
        let nbytes = value.nbytes();
        let inline = match self.shared.setup.carriage {
            Carriage::Objects => Some(value.clone()),
            Carriage::Bytes if value.is_bound() => None,
            Carriage::Bytes if nbytes <= INLINE_RESULT_BYTES => Some(self.encoder.encode(&value)?),
            Carriage::Bytes => None,
        };
        Ok(Outcome::Done { value, nbytes, inline })
    }

    /// An error of a function that could not be called, or whose result could not be kept.
    fn error(&self, error: TaskError, def: Option<&TaskDef>) -> Box<TaskError> {
        Box::new(TaskError {
            function: def.map_or_else(String::new, |def| def.path.to_owned()),
            worker: Some(self.shared.setup.worker.address.clone()),
            ..error
        })
    }
}

/// Something that began then and ends now.
pub(crate) fn activity(started: Instant, kind: ActivityKind) -> Activity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let stop_unix_ns = nanos(now);
    let start_unix_ns = stop_unix_ns.saturating_sub(nanos(started.elapsed()));
    Activity { start_unix_ns, stop_unix_ns, kind }
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
