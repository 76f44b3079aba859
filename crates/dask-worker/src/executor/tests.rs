use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use dask_proto::id::FunctionId;
use dask_proto::{Address, Payload};
use dask_task::context::Companion;
use dask_task::{CallWriter, Failure, Inputs, TaskDef, live};
use tokio::sync::Notify;

use super::*;
use crate::state::Outcome;

static STARTED: Notify = Notify::const_new();
static IS_OPEN: AtomicBool = AtomicBool::new(false);
static HAS_RUN: AtomicBool = AtomicBool::new(false);

/// Keeps its thread until it is let go.
static GATE: TaskDef = TaskDef { path: "tests::gate", signature: "fn()", body: gate };
static MARK: TaskDef = TaskDef { path: "tests::mark", signature: "fn()", body: mark };

fn gate(_: &mut Inputs) -> Result<Payload, Failure> {
    STARTED.notify_one();
    while !IS_OPEN.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    Ok(live(()))
}

fn mark(_: &mut Inputs) -> Result<Payload, Failure> {
    HAS_RUN.store(true, Ordering::SeqCst);
    Ok(live(()))
}

fn job(task: u64, def: &'static TaskDef) -> Job {
    let compute = Compute {
        task: TaskId(task),
        run: RunId(0),
        key: format!("tests-{task}").try_into().expect("a short key"),
        function: FunctionId(0),
        priority: Default::default(),
        dependencies: Vec::new(),
        resources: Vec::new(),
        body: CallWriter::live().finish().0,
    };
    Job::new(Box::new(compute), Ok(def), Vec::new())
}

#[tokio::test]
async fn a_job_that_is_cancelled_before_its_turn_does_not_run_and_leaves_nothing() {
    let address: Address = "inproc://1".parse().expect("an address");
    let worker = CurrentWorker {
        address: address.clone(),
        name: "alice".to_owned(),
        nthreads: 1,
        memory_limit: None,
        resources: BTreeMap::new(),
        scheduler: address,
        companion: Companion::default(),
    };
    let setup = Setup {
        locker: Arc::new(crate::locker::Locker::new(None)),
        nthreads: 1,
        stack_bytes: 1 << 20,
        seceded_limit: 1,
        worker: Arc::new(worker),
        carriage: Carriage::Objects,
        store: Arc::new(Store::new().0),
        log: Log::default(),
        overflow: None,
    };
    let executor = Executor::start(setup, &Handle::current()).expect("a thread starts");
    executor.submit(vec![job(3, &MARK), job(1, &GATE), job(2, &MARK)]);
    STARTED.notified().await;
    executor.cancel((TaskId(2), RunId(0)));
    executor.cancel((TaskId(3), RunId(0)));
    IS_OPEN.store(true, Ordering::SeqCst);
    let mut ended = Vec::new();
    while ended.len() < 3 {
        executor.news().await;
        ended.extend(executor.take_reports().ended);
    }
    let order: Vec<_> = ended.iter().map(|run| run.task.0).collect();
    assert_eq!(order, [1, 2, 3], "the most urgent comes first");
    assert!(matches!(ended[0].outcome, Outcome::Done { .. }));
    assert!(ended[1..].iter().all(|run| matches!(run.outcome, Outcome::Skipped)));
    assert!(!HAS_RUN.load(Ordering::SeqCst), "a cancelled job has run");
    // What is cancelled as it comes to its end is not kept in mind either.
    executor.cancel((TaskId(1), RunId(0)));
    assert!(executor.shared.queue().cancelled.is_empty());
}
