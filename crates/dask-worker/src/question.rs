//! What clients ask of this process, apart from all tasks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dask_proto::Key;
use dask_proto::id::RequestId;
use dask_proto::limits::MAX_CALLS;
use dask_proto::message::{
    Benchmark, Equipment, Item, LogLevel, Program, Question, Reply, RunFunction, Versions,
    WorkerToScheduler,
};
use dask_task::apart;
use dask_task::context::{Context, CurrentWorker, Host, PoolError};
use dask_transport::{Outbox, Peers};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::executor::Executor;
use crate::locker::Locker;
use crate::plugins::Plugins;
use crate::{Config, Log, benchmark, sample};

/// What answers for the process.
pub(crate) struct Desk {
    pub(crate) scheduler: Outbox<WorkerToScheduler>,
    pub(crate) worker: Arc<CurrentWorker>,
    pub(crate) program: Program,
    pub(crate) stack_bytes: usize,
    pub(crate) locker: Arc<Locker>,
    pub(crate) plugins: Arc<Plugins>,
    peers: Peers,
    /// Whether something starts the worker again when it ends.
    pub(crate) restarts: bool,
    calls: Arc<Semaphore>,
    /// Apart from the calls: which of them are stuck is what one looks for.
    looks: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(
        scheduler: Outbox<WorkerToScheduler>,
        worker: Arc<CurrentWorker>,
        (locker, plugins, peers): (Arc<Locker>, Arc<Plugins>, Peers),
        config: &Config,
    ) -> Self {
        Self {
            scheduler,
            worker,
            program: config.program.clone(),
            stack_bytes: config.stack_bytes,
            locker,
            plugins,
            peers,
            // Without a name of its own nobody would know its successor.
            restarts: config.restarts && config.name.is_some(),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            looks: Arc::new(Semaphore::new(MAX_CALLS)),
        }
    }

    /// Answers, now or when a function has returned; what that means for the worker.
    pub(crate) fn answer(
        &self,
        id: RequestId,
        question: &Question,
        executor: &Executor,
    ) -> Consequence {
        let reply = match question {
            Question::Run(call) => {
                self.run(id, call.clone(), executor.log().clone());
                return Consequence::None;
            }
            Question::Restart if self.restarts => Reply::Restarting,
            Question::Restart => {
                let text =
                    "nothing starts this worker again: whatever started it does not watch it";
                Reply::Refused(text.to_owned())
            }
            Question::Record { on } => {
                executor.records().store(*on, Ordering::Relaxed);
                Reply::Done
            }
            Question::Equip(equipment) => self.equip(equipment),
            Question::Unequip { name } if self.plugins.remove(name) => Reply::Done,
            Question::Unequip { name } => done(self.locker.remove(name), name),
            Question::Sample { duration_ns, interval_ns } => {
                let (duration, interval) =
                    (Duration::from_nanos(*duration_ns), Duration::from_nanos(*interval_ns));
                let sampler = executor.sampler();
                let take = move || Reply::Samples(sample::profile(&sampler, duration, interval));
                self.aside(id, &self.looks, take);
                return Consequence::None;
            }
            Question::Benchmark { benchmark, duration_ns } => {
                self.measure(id, benchmark.clone(), Duration::from_nanos(*duration_ns));
                return Consequence::None;
            }
            Question::CallStack { keys } => {
                let (sampler, keys) = (executor.sampler(), keys.clone());
                let look = move || Reply::CallStack(sample::call_stacks(&sampler, &keys));
                self.aside(id, &self.looks, look);
                return Consequence::None;
            }
            Question::Versions => Reply::Versions(Box::new(Versions::of(self.program.clone()))),
            Question::Running { keys } => Reply::Running(executor.running(keys)),
            _ => Reply::Refused("this worker does not know the question".to_owned()),
        };
        let restarts = reply == Reply::Restarting;
        self.reply(id, reply);
        if restarts { Consequence::Restart } else { Consequence::None }
    }

    pub(crate) fn reply(&self, id: RequestId, reply: Reply) {
        say(&self.scheduler, id, reply);
    }

    /// Takes what every worker is to have.
    fn equip(&self, equipment: &Equipment) -> Reply {
        let name = &equipment.name;
        match &equipment.item {
            Item::File(content) => {
                // It was encoded by the client.
                let content = content.to_bytes().unwrap_or_default();
                done(self.locker.put(name, &content), name)
            }
            Item::Plugin { path, value } => {
                // It was encoded by the client.
                let value = value.to_bytes().unwrap_or_default();
                match self.plugins.add(name, path, &value) {
                    Ok(()) => Reply::Done,
                    Err(error) => {
                        tracing::warn!(error, name, "a plugin could not be set up");
                        Reply::Refused(format!("plugin {name}: {error}"))
                    }
                }
            }
            _ => Reply::Refused(format!("this worker does not know what {name} is")),
        }
    }

    /// Does what takes its time on a thread of its own.
    fn aside(
        &self,
        id: RequestId,
        bound: &Arc<Semaphore>,
        work: impl FnOnce() -> Reply + Send + 'static,
    ) {
        let Ok(permit) = Arc::clone(bound).try_acquire_owned() else {
            let text = format!("{MAX_CALLS} functions and measurements run there already");
            return say(&self.scheduler, id, Reply::Refused(text));
        };
        let scheduler = self.scheduler.clone();
        let thread = std::thread::Builder::new().name("measure".to_owned());
        let started = thread.spawn(move || {
            let reply = work();
            drop(permit);
            say(&scheduler, id, reply);
        });
        if let Err(error) = started {
            let text = format!("no thread could be started: {error}");
            say(&self.scheduler, id, Reply::Refused(text));
        }
    }

    fn measure(&self, id: RequestId, benchmark: Benchmark, duration: Duration) {
        match benchmark {
            Benchmark::Memory { nbytes } => {
                self.aside(id, &self.calls, move || benchmark::memory(nbytes, duration));
            }
            Benchmark::Disk { nbytes } => {
                let locker = Arc::clone(&self.locker);
                self.aside(id, &self.calls, move || benchmark::disk(nbytes, duration, &locker));
            }
            Benchmark::Fetch { peer, task } => {
                let (peers, scheduler) = (self.peers.clone(), self.scheduler.clone());
                tokio::spawn(async move {
                    say(&scheduler, id, benchmark::fetch(peers, peer, task, duration).await);
                });
            }
            _ => {
                let text = "this worker does not know the benchmark".to_owned();
                say(&self.scheduler, id, Reply::Refused(text));
            }
        }
    }

    /// Calls a function on a thread of its own: it may block, and it may take its time.
    fn run(&self, id: RequestId, call: RunFunction, log: Log) {
        let def = match apart::find(&call, &self.worker.address) {
            Ok(def) => def,
            Err(error) => return say(&self.scheduler, id, Reply::Failed(error)),
        };
        let Ok(permit) = Arc::clone(&self.calls).try_acquire_owned() else {
            let text = format!("{MAX_CALLS} functions run there already");
            return say(&self.scheduler, id, Reply::Refused(text));
        };
        let (scheduler, worker) = (self.scheduler.clone(), Arc::clone(&self.worker));
        let locker = Arc::clone(&self.locker);
        let handle = Handle::current();
        let thread = std::thread::Builder::new().name("run".to_owned());
        let started = thread.stack_size(self.stack_bytes).spawn(move || {
            let _runtime = handle.enter();
            if !call.wait {
                say(&scheduler, id, Reply::Started);
            }
            let (key, host) = (apart::key(&call), Arc::new(Caller { locker, log }));
            let cancelled = Arc::default();
            let address = worker.address.clone();
            let entered = Context { key, worker, cancelled, host }.enter();
            let reply = apart::run(def, &call, &address, scheduler.carriage());
            drop((entered, permit));
            if call.wait {
                say(&scheduler, id, reply);
            }
        });
        if let Err(error) = started {
            let text = format!("no thread could be started: {error}");
            say(&self.scheduler, id, Reply::Refused(text));
        }
    }
}

/// What a question means for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing.
    None,
    /// It ends, and is started again.
    Restart,
}

/// What became of a file. A worker that could not take it as it joined has nobody else to tell.
fn done(outcome: io::Result<()>, name: &str) -> Reply {
    match outcome {
        Ok(()) => Reply::Done,
        Err(error) => {
            tracing::warn!(%error, name, "a file that every worker is to have is not here");
            Reply::Refused(format!("file {name}: {error}"))
        }
    }
}

fn say(scheduler: &Outbox<WorkerToScheduler>, id: RequestId, reply: Reply) {
    // Without a scheduler nobody waits for it.
    let _ = scheduler.send([WorkerToScheduler::Replied { id, reply: Box::new(reply) }]);
}

/// What a function that is called apart from all tasks may ask.
#[derive(Debug)]
struct Caller {
    locker: Arc<Locker>,
    log: Log,
}

impl Host for Caller {
    fn is_outside(&self) -> bool {
        true
    }

    fn secede(&self) -> Result<(), PoolError> {
        Err(PoolError::NoTask)
    }

    fn rejoin(&self) -> Result<(), PoolError> {
        Err(PoolError::NoTask)
    }

    fn local_directory(&self) -> io::Result<PathBuf> {
        self.locker.path()
    }

    fn say(&self, key: Key, level: LogLevel, text: String) {
        self.log.record(level, Some(key), text);
    }
}
