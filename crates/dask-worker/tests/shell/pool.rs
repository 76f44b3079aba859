//! Tasks that leave the pool of threads and come back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use dask_proto::id::{RunId, TaskId};
use dask_proto::message::{SchedulerToWorker, WorkerToScheduler};
use dask_task::context::{is_cancelled, rejoin, secede};
use dask_task::{Failure, Inputs, TaskDef, failure, live};
use tokio::sync::Notify;

use crate::fake::{FakeScheduler, Fleet, call, within};
use crate::{erred, finished};

type Outcome = Result<dask_proto::Payload, Failure>;

macro_rules! tasks {
    ($($name:ident),*) => {$(
        dask_task::inventory::submit! {
            &TaskDef { path: concat!("pool::", stringify!($name)), signature: "fn()", body: $name }
        }
    )*};
}

tasks!(occupy_loudly, leave, leave_and_return, dance);

/// Gates that are open.
static OPEN: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
static OPENED: Condvar = Condvar::new();

fn open(gate: i64) {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(gate);
    OPENED.notify_all();
}

fn pass(gate: i64) {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    while !open.contains(&gate) {
        open = OPENED.wait(open).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Keeps its thread until the gate opens, and says that it has it.
fn occupy_loudly(inputs: &mut Inputs) -> Outcome {
    let gate = inputs.owned::<i64>(0)?;
    occupied(gate).notify_one();
    pass(gate);
    Ok(live(()))
}

/// Tells when a thread waits before a gate: each test has its own.
fn occupied(gate: i64) -> &'static Notify {
    static OCCUPIED: [Notify; 2] = [Notify::const_new(), Notify::const_new()];
    &OCCUPIED[usize::from(gate > 10)]
}

/// Waits before the gate outside of the pool.
fn leave(inputs: &mut Inputs) -> Outcome {
    secede().map_err(failure)?;
    pass(inputs.owned::<i64>(0)?);
    Ok(live(()))
}

fn leave_and_return(inputs: &mut Inputs) -> Outcome {
    secede().map_err(failure)?;
    secede().map_err(failure)?;
    pass(inputs.owned::<i64>(0)?);
    let returned = rejoin();
    if is_cancelled() {
        CANCELLED.notify_one();
    }
    returned.map_err(failure)?;
    rejoin().map_err(failure)?;
    Ok(live(()))
}

static CANCELLED: Notify = Notify::const_new();

/// Comes and goes; how many were in the pool at once at most.
fn dance(_: &mut Inputs) -> Outcome {
    static IN_POOL: AtomicUsize = AtomicUsize::new(0);
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(IN_POOL.fetch_add(1, Ordering::SeqCst) + 1);
        std::thread::yield_now();
        IN_POOL.fetch_sub(1, Ordering::SeqCst);
        secede().map_err(failure)?;
        rejoin().map_err(failure)?;
    }
    Ok(live(i64::try_from(most).map_err(failure)?))
}

fn long_running(message: &WorkerToScheduler) -> Option<TaskId> {
    match message {
        WorkerToScheduler::LongRunning { task, .. } => Some(*task),
        _ => None,
    }
}

async fn one_thread() -> (FakeScheduler, Fleet) {
    let mut scheduler = FakeScheduler::listen("inproc").await;
    let worker = scheduler
        .start_worker(|config| {
            config.nthreads = 1;
            config.seceded_limit = 2;
        })
        .await;
    (scheduler, worker)
}

#[tokio::test]
async fn a_task_that_leaves_makes_room_and_comes_back_when_there_is_some() {
    let (_scheduler, mut worker) = one_thread().await;
    worker.compute(1, "pool::leave_and_return", call(&[1]), &[]);
    assert_eq!(long_running(&worker.hear().await), Some(TaskId(1)));
    worker.compute(2, "shell::inc", call(&[1]), &[]);
    assert_eq!(finished(&worker.hear().await), Some((TaskId(2), RunId(0))));

    worker.compute(3, "pool::occupy_loudly", call(&[3]), &[]);
    within(occupied(3).notified()).await;
    worker.compute(4, "shell::inc", call(&[1]), &[]);
    open(1);
    open(3);
    let mut order = Vec::new();
    while order.len() < 3 {
        let message = worker.hear().await;
        if let Some((task, _)) = finished(&message) {
            order.push(task.0);
        }
    }
    assert_eq!(order[0], 3);
    order.sort_unstable();
    assert_eq!(order, [1, 3, 4]);
}

#[tokio::test]
async fn too_many_outside_are_refused_and_stay_inside() {
    let (_scheduler, mut worker) = one_thread().await;
    for task in [11, 12] {
        worker.compute(task, "pool::leave", call(&[10]), &[]);
        assert_eq!(long_running(&worker.hear().await), Some(TaskId(task)));
    }
    worker.compute(13, "pool::leave", call(&[10]), &[]);
    let error = erred(worker.hear().await);
    assert_eq!(error.message, "2 tasks of this worker have left its pool of threads already");
    open(10);
    for _ in 0..2 {
        assert!(finished(&worker.hear().await).is_some());
    }
    worker.compute(14, "pool::leave", call(&[10]), &[]);
    assert_eq!(long_running(&worker.hear().await), Some(TaskId(14)));
}

#[tokio::test]
async fn a_task_that_is_cancelled_outside_need_not_come_back() {
    let (_scheduler, mut worker) = one_thread().await;
    worker.compute(21, "pool::leave_and_return", call(&[21]), &[]);
    assert_eq!(long_running(&worker.hear().await), Some(TaskId(21)));
    worker.compute(22, "pool::occupy_loudly", call(&[22]), &[]);
    within(occupied(22).notified()).await;
    open(21);
    worker.say(SchedulerToWorker::Free { tasks: vec![TaskId(21)] });
    within(CANCELLED.notified()).await;
    open(22);
    assert_eq!(finished(&worker.hear().await), Some((TaskId(22), RunId(0))));
}

#[tokio::test]
async fn the_pool_never_grows() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.nthreads = 2).await;
    for task in 0..8 {
        worker.compute(task, "pool::dance", call(&[]), &[]);
    }
    let mut done = 0;
    while done < 8 {
        if let WorkerToScheduler::Finished { value: Some(value), .. } = worker.hear().await {
            let most = dask_task::take::<i64>(value).expect("a number");
            assert!(most <= 2, "{most} tasks ran at once");
            done += 1;
        }
    }
}
