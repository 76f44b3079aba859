//! What clients ask of this process, apart from all tasks.

use std::sync::Arc;

use dask_proto::Key;
use dask_proto::id::RequestId;
use dask_proto::limits::MAX_CALLS;
use dask_proto::message::{
    LogLevel, Program, Question, Reply, RunFunction, Versions, WorkerToScheduler,
};
use dask_task::apart;
use dask_task::context::{Context, CurrentWorker, Host, PoolError};
use dask_transport::Outbox;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::Log;
use crate::executor::Executor;

/// What answers for the process.
pub(crate) struct Desk {
    pub(crate) scheduler: Outbox<WorkerToScheduler>,
    pub(crate) worker: Arc<CurrentWorker>,
    pub(crate) program: Program,
    pub(crate) stack_bytes: usize,
    pub(crate) calls: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(
        scheduler: Outbox<WorkerToScheduler>,
        worker: Arc<CurrentWorker>,
        program: Program,
        stack_bytes: usize,
    ) -> Self {
        let calls = Arc::new(Semaphore::new(MAX_CALLS));
        Self { scheduler, worker, program, stack_bytes, calls }
    }

    /// Answers, now or when a function has returned.
    pub(crate) fn answer(&self, id: RequestId, question: Question, executor: &Executor) {
        let reply = match question {
            Question::Run(call) => return self.run(id, call, executor.log().clone()),
            Question::Versions => Reply::Versions(Box::new(Versions::of(self.program.clone()))),
            Question::Running { keys } => Reply::Running(executor.running(&keys)),
            _ => Reply::Refused("this worker does not know the question".to_owned()),
        };
        say(&self.scheduler, id, reply);
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
        let handle = Handle::current();
        let thread = std::thread::Builder::new().name("run".to_owned());
        let started = thread.stack_size(self.stack_bytes).spawn(move || {
            let _runtime = handle.enter();
            if !call.wait {
                say(&scheduler, id, Reply::Started);
            }
            let (key, host) = (apart::key(&call), Arc::new(Caller { log }));
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

fn say(scheduler: &Outbox<WorkerToScheduler>, id: RequestId, reply: Reply) {
    // Without a scheduler nobody waits for it.
    let _ = scheduler.send([WorkerToScheduler::Replied { id, reply: Box::new(reply) }]);
}

/// What a function that is called apart from all tasks may ask.
#[derive(Debug)]
struct Caller {
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

    fn say(&self, key: Key, level: LogLevel, text: String) {
        self.log.record(level, Some(key), text);
    }
}
