use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use dask_proto::{Address, Payload};
use dask_task::context::Companion;
use dask_task::{CallWriter, Failure, Inputs, TaskDef, context, live};
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
        body: CallWriter::live().finish(),
    };
    Job::new(Box::new(compute), Ok(def), Vec::new())
}

fn setup(volunteer: Option<Volunteer>) -> Setup {
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
    Setup {
        locker: Arc::new(crate::locker::Locker::new(None)),
        plugins: Arc::new(crate::plugins::Plugins::new(Arc::new(worker.clone()), Log::default())),
        nthreads: 1,
        stack_bytes: 1 << 20,
        seceded_limit: 1,
        worker: Arc::new(worker),
        carriage: Carriage::Objects,
        store: Arc::new(Store::new().0),
        log: Log::default(),
        overflow: None,
        volunteer,
    }
}

/// Waits until this many runs came to their end.
async fn ended(executor: &Executor, count: usize) -> Vec<RunEnded> {
    let mut ended = Vec::new();
    while ended.len() < count {
        executor.news().await;
        ended.extend(executor.take_reports().ended);
    }
    ended
}

#[tokio::test]
async fn a_job_that_is_cancelled_before_its_turn_does_not_run_and_leaves_nothing() {
    let executor = Executor::start(setup(None), &Handle::current()).expect("a thread starts");
    executor.submit(vec![job(3, &MARK), job(1, &GATE), job(2, &MARK)]);
    STARTED.notified().await;
    executor.cancel((TaskId(2), RunId(0)));
    executor.cancel((TaskId(3), RunId(0)));
    IS_OPEN.store(true, Ordering::SeqCst);
    let ended = ended(&executor, 3).await;
    let order: Vec<_> = ended.iter().map(|run| run.task.0).collect();
    assert_eq!(order, [1, 2, 3], "the most urgent comes first");
    assert!(matches!(ended[0].outcome, Outcome::Done { .. }));
    assert!(ended[1..].iter().all(|run| matches!(run.outcome, Outcome::Skipped)));
    assert!(!HAS_RUN.load(Ordering::SeqCst), "a cancelled job has run");
    // What is cancelled as it comes to its end is not kept in mind either.
    executor.cancel((TaskId(1), RunId(0)));
    assert!(executor.shared.queue().cancelled.is_empty());
}

static OUTSIDE: Notify = Notify::const_new();
static MAY_REJOIN: AtomicBool = AtomicBool::new(false);

static QUICK: TaskDef = TaskDef { path: "tests::quick", signature: "fn()", body: quick };
static LEAVES: TaskDef = TaskDef { path: "tests::leaves", signature: "fn()", body: leaves };

fn quick(_: &mut Inputs) -> Result<Payload, Failure> {
    Ok(live(()))
}

/// Leaves the pool, and comes back when it may.
fn leaves(_: &mut Inputs) -> Result<Payload, Failure> {
    context::secede().expect("there is room outside");
    OUTSIDE.notify_one();
    while !MAY_REJOIN.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    context::rejoin().expect("there is room inside");
    Ok(live(()))
}

/// An executor with a volunteer, which has learned that function 0 is quick.
async fn with_volunteer() -> (Executor, Volunteer) {
    let volunteer = Volunteer::default();
    let setup = setup(Some(volunteer.clone()));
    let executor = Executor::start(setup, &Handle::current()).expect("a thread starts");
    executor.submit(vec![job(1, &QUICK)]);
    ended(&executor, 1).await;
    // The run is reported before the thread is done with it.
    while executor.shared.queue().busy > 0 {
        std::thread::yield_now();
    }
    // On a busy machine it may have taken long.
    executor.shared.queue().quick.insert(FunctionId(0));
    (executor, volunteer)
}

#[tokio::test]
async fn the_volunteer_gets_short_jobs_that_come_alone_and_no_others() {
    let (executor, volunteer) = with_volunteer().await;
    executor.submit(vec![job(2, &QUICK)]);
    let call = volunteer.called().await;
    // The worker runs one task at a time, and the volunteer has it.
    executor.submit(vec![job(3, &QUICK)]);
    assert_eq!(executor.shared.queue().jobs.len(), 1);
    volunteer.answer(&mut None, call);
    let order: Vec<_> = ended(&executor, 2).await.iter().map(|run| run.task.0).collect();
    assert_eq!(order, [2, 3]);
    // Two at once are the pool's.
    executor.submit(vec![job(4, &QUICK), job(5, &QUICK)]);
    assert_eq!(ended(&executor, 2).await.len(), 2);
    // As is one of whose function nothing is known, or that it took long.
    executor.shared.queue().quick.clear();
    executor.submit(vec![job(6, &QUICK)]);
    assert_eq!(ended(&executor, 1).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_the_volunteer_has_is_cancelled_like_others() {
    let (executor, volunteer) = with_volunteer().await;
    executor.submit(vec![job(2, &QUICK)]);
    executor.cancel((TaskId(2), RunId(0)));
    let call = volunteer.called().await;
    volunteer.answer(&mut None, call);
    let ended = ended(&executor, 1).await;
    assert!(matches!(ended[0].outcome, Outcome::Skipped));
    assert!(executor.shared.queue().running.is_empty());
}

#[tokio::test]
async fn a_run_that_the_volunteer_has_may_leave_the_pool_and_come_back() {
    let (executor, volunteer) = with_volunteer().await;
    executor.submit(vec![job(2, &LEAVES)]);
    let call = volunteer.called().await;
    let thread = std::thread::spawn(move || volunteer.answer(&mut None, call));
    OUTSIDE.notified().await;
    // Its place is free.
    executor.submit(vec![job(3, &QUICK), job(4, &QUICK)]);
    assert_eq!(ended(&executor, 2).await.len(), 2);
    MAY_REJOIN.store(true, Ordering::SeqCst);
    let mut moves = Vec::new();
    while !moves.iter().any(|event| matches!(event, Event::Rejoining { .. })) {
        executor.news().await;
        moves.extend(executor.take_reports().moves);
    }
    executor.readmit((TaskId(2), RunId(0)));
    let ended = ended(&executor, 1).await;
    assert!(matches!(ended[0].outcome, Outcome::Done { .. }));
    thread.join().expect("it came back");
    let queue = executor.shared.queue();
    assert_eq!((queue.busy, queue.seceded, queue.in_pool, queue.lent), (0, 0, 1, None));
}
