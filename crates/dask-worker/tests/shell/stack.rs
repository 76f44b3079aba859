//! The stacks of tasks that run, in the middle of whatever they do.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dask_proto::Payload;
use dask_proto::id::{RequestId, TaskId};
use dask_proto::limits::MAX_STACK_FRAMES;
use dask_proto::message::{
    CallStack, Question, Reply, Sample, SchedulerToWorker, WorkerToScheduler,
};
use dask_task::context::is_cancelled;
use dask_task::{Failure, Inputs, TaskDef, live, take};

use crate::fake::{FakeScheduler, Fleet, SCHEMES, call, key};

type Outcome = Result<Payload, Failure>;

macro_rules! tasks {
    ($($name:ident),*) => {$(
        dask_task::inventory::submit! {
            &TaskDef { path: concat!("stack::", stringify!($name)), signature: "fn()", body: $name }
        }
    )*};
}

tasks!(chain, locked, deaf, dive, weather, signals);

/// Calls three functions, one in the other, the last of which runs until it is cancelled.
fn chain(_: &mut Inputs) -> Outcome {
    Ok(live(outer(1)))
}

#[inline(never)]
fn outer(x: i64) -> i64 {
    black_box(middle(black_box(x)) + 1)
}

#[inline(never)]
fn middle(x: i64) -> i64 {
    black_box(inner(black_box(x)) + 1)
}

#[inline(never)]
fn inner(x: i64) -> i64 {
    let mut rounds = 0_u64;
    while !is_cancelled() {
        rounds = black_box(rounds + 1);
    }
    black_box(x)
}

static LOCK: Mutex<()> = Mutex::new(());

/// Waits for a lock.
fn locked(_: &mut Inputs) -> Outcome {
    drop(LOCK.lock());
    Ok(live(0_i64))
}

/// Lets no signal interrupt it, and runs until it is cancelled.
fn deaf(_: &mut Inputs) -> Outcome {
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets have room, and `all` is filled before it is used.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
    }
    inner(0);
    // SAFETY: `before` was written above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    Ok(live(0_i64))
}

/// Runs below this many calls of itself until it is cancelled.
fn dive(inputs: &mut Inputs) -> Outcome {
    Ok(live(descend(inputs.owned::<i64>(0)?)))
}

#[inline(never)]
fn descend(levels: i64) -> i64 {
    let ballast = black_box([levels; 8]);
    let below = if levels == 0 { inner(0) } else { descend(levels - 1) };
    below + black_box(ballast)[3] - levels
}

static SUM: Mutex<u64> = Mutex::new(0);

/// Does what a signal may not disturb: allocates, panics, recurses, locks, starts threads.
fn weather(inputs: &mut Inputs) -> Outcome {
    let rounds = inputs.owned::<i64>(0)?;
    let mut sum = 0;
    for round in 0..rounds {
        let lists: Vec<Vec<i64>> = (1..100).map(|length| vec![round; length]).collect();
        sum += lists.iter().flatten().sum::<i64>() - 4950 * round;
        let panicked = std::panic::catch_unwind(|| tumble(20));
        sum += i64::from(panicked.is_err());
        sum += fall(500) - 500;
        *SUM.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let helper = std::thread::spawn(move || black_box(vec![round; 10])[3]);
        sum += helper.join().expect("it ends") - round;
        // sleep: it is about a wait that a signal ends early.
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(live(sum))
}

fn tumble(levels: i64) -> i64 {
    let list = black_box(vec![levels]);
    // Without the hook, which would print it.
    if levels == 0 { std::panic::resume_unwind(Box::new(0)) } else { tumble(levels - 1) + list[0] }
}

fn fall(levels: i64) -> i64 {
    let ballast = black_box([1; 16]);
    if levels == 0 { 0 } else { fall(levels - 1) + ballast[5] }
}

thread_local! {
    static HEARD: Cell<i64> = const { Cell::new(0) };
}

extern "C" fn hear(_: libc::c_int) {
    for _ in 0..10_000 {
        HEARD.set(black_box(HEARD.get() + 1));
    }
}

/// Sends itself signals, whose handler takes its time.
fn signals(inputs: &mut Inputs) -> Outcome {
    let handler = hear as *const () as libc::sighandler_t;
    // SAFETY: the handler touches a number of its thread alone.
    unsafe { libc::signal(libc::SIGUSR2, handler) };
    let before = HEARD.get();
    for _ in 0..inputs.owned::<i64>(0)? {
        // SAFETY: there is a handler.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
    }
    Ok(live((HEARD.get() - before) / 10_000))
}

async fn ask(worker: &mut Fleet, question: Question) -> Reply {
    let id = RequestId(7);
    worker.say(SchedulerToWorker::Ask { id, question: Box::new(question) });
    loop {
        if let WorkerToScheduler::Replied { reply, .. } = worker.hear().await {
            return *reply;
        }
    }
}

async fn stacks(worker: &mut Fleet) -> Vec<CallStack> {
    match ask(worker, Question::CallStack { keys: Vec::new() }).await {
        Reply::CallStack(stacks) => stacks,
        other => panic!("expected stacks, got {other:?}"),
    }
}

/// How long something may take that is bound to come, also on a busy machine.
const BOUND: Duration = Duration::from_secs(300);

/// The stack of the one task, as soon as it is like this.
async fn stack(worker: &mut Fleet, is_it: impl Fn(&CallStack, &[&str]) -> bool) -> CallStack {
    let begun = Instant::now();
    loop {
        let stacks = stacks(worker).await;
        for stack in &stacks {
            let frames: Vec<&str> = stack.frames.iter().map(|f| f.function.as_str()).collect();
            if is_it(stack, &frames) {
                return stack.clone();
            }
        }
        assert!(begun.elapsed() < BOUND, "it is still not as it should be: {stacks:?}");
        tokio::task::yield_now().await;
    }
}

/// Whether these are on the stack, in this order.
fn in_order(frames: &[&str], wanted: &[&str]) -> bool {
    let mut frames = frames.iter();
    wanted.iter().all(|wanted| frames.any(|frame| frame == wanted))
}

fn cancel(worker: &Fleet, task: u64) {
    worker.say(SchedulerToWorker::Free { tasks: vec![TaskId(task)] });
}

#[tokio::test]
async fn a_stack_is_the_functions_that_called_each_other_with_their_lines() {
    for scheme in SCHEMES {
        let mut scheduler = FakeScheduler::listen(scheme).await;
        let mut worker = scheduler.start_worker(|_| {}).await;
        worker.compute(1, "stack::chain", call(&[]), &[]);
        let path =
            ["stack::chain", "shell::stack::outer", "shell::stack::middle", "shell::stack::inner"];
        let found = stack(&mut worker, |_, frames| in_order(frames, &path)).await;
        assert_eq!((&found.key, found.function.as_str()), (&key(1), "stack::chain"));
        assert_eq!(found.frames[0].function, "stack::chain", "{found}");
        assert_eq!(found.frames[1].function, "shell::stack::outer", "{found}");
        let middle = found.frames.iter().find(|frame| frame.function.ends_with("::middle"));
        let middle = middle.expect("it is there");
        assert!(middle.file.as_ref().is_some_and(|file| file.ends_with("stack.rs")), "{found}");
        assert!(middle.line.is_some_and(|line| line > 40), "{found}");
        cancel(&worker, 1);
    }
}

#[tokio::test]
async fn a_task_that_waits_shows_what_it_waits_in() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|_| {}).await;
    let (has_it, is_held) = tokio::sync::oneshot::channel();
    let held = std::thread::spawn(|| {
        let held = LOCK.lock();
        has_it.send(()).expect("the test waits for it");
        std::thread::park();
        drop(held);
    });
    is_held.await.expect("it is held");
    worker.compute(1, "stack::locked", call(&[]), &[]);
    let waits = |stack: &CallStack, frames: &[&str]| {
        stack.activity == "waiting" && frames.iter().any(|frame| frame.contains("Mutex"))
    };
    stack(&mut worker, waits).await;
    held.thread().unpark();
    held.join().expect("it ends");
}

#[tokio::test]
async fn a_thread_that_blocks_signals_is_shown_without_its_frames() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|_| {}).await;
    worker.compute(1, "stack::deaf", call(&[]), &[]);
    let is_deaf =
        |_: &CallStack, frames: &[&str]| frames == ["stack::deaf", "[not to be interrupted]"];
    stack(&mut worker, is_deaf).await;
    cancel(&worker, 1);
}

#[tokio::test]
async fn of_a_deep_recursion_the_ends_are_shown() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.stack_bytes = 64 << 20).await;
    // What is copied of a stack has room for the first, and not for the second.
    for (task, levels) in [(1, 600), (2, 100_000)] {
        worker.compute(task, "stack::dive", call(&[levels]), &[]);
        let is_down =
            |_: &CallStack, frames: &[&str]| frames.last() == Some(&"shell::stack::inner");
        let found = stack(&mut worker, is_down).await;
        assert_eq!(found.frames.len(), MAX_STACK_FRAMES, "{found}");
        assert_eq!(found.frames[0].function, "stack::dive");
        let left_out =
            |frame: &dask_proto::message::StackFrame| frame.function == "[frames left out]";
        assert!(found.frames.iter().any(left_out), "{found}");
        cancel(&worker, task);
    }
}

/// What is seen of a worker while tasks of every kind run to their end, and what they return.
async fn storm(worker: &mut Fleet, first: u64) -> (Vec<Sample>, Vec<(u64, i64)>) {
    const TASKS: u64 = 2;
    for task in (0..TASKS).map(|i| first + 2 * i) {
        worker.compute(task, "stack::weather", call(&[100]), &[]);
        worker.compute(task + 1, "stack::signals", call(&[400]), &[]);
    }
    let again = |worker: &Fleet| {
        let question = Question::Sample { duration_ns: 300_000_000, interval_ns: 1_000_000 };
        worker.say(SchedulerToWorker::Ask { id: RequestId(7), question: Box::new(question) });
    };
    let (mut samples, mut results) = (Vec::new(), Vec::new());
    let mut asked = true;
    again(worker);
    while asked || results.len() < 2 * TASKS as usize {
        match worker.hear().await {
            WorkerToScheduler::Replied { reply, .. } => {
                let Reply::Samples(more) = *reply else { panic!("expected samples") };
                samples.extend(more);
                asked = results.len() < 2 * TASKS as usize;
                if asked {
                    again(worker);
                }
            }
            WorkerToScheduler::Finished { task, value, .. } => {
                let value = take::<i64>(value.expect("a small result rides along"));
                results.push((task.0, value.expect("a number")));
            }
            other => panic!("{other:?}"),
        }
    }
    (samples, results)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_right_and_nothing_hangs_while_they_are_interrupted_a_thousand_times_a_second() {
    let mut scheduler = FakeScheduler::listen("tcp").await;
    let mut worker = scheduler.start_worker(|config| config.nthreads = 4).await;
    let mut whole = 0;
    let mut kinds = vec!["::fall", "shell::stack::hear", "std::thread"];
    let mut first = 0;
    // Until each kind of work was met, and many stacks, as far as a busy machine comes to that.
    let (begun, enough) = (Instant::now(), Duration::from_secs(4));
    while !kinds.is_empty() || whole < 1000 && begun.elapsed() < enough {
        assert!(begun.elapsed() < BOUND, "{kinds:?} were not met");
        let (samples, results) = storm(&mut worker, first).await;
        for (task, value) in results {
            assert_eq!(value, if task % 2 == 0 { 100 } else { 400 }, "task {task}");
        }
        for Sample { stack, count } in samples {
            assert!(stack[0].starts_with("stack::"), "{stack:?}");
            let is_whole = stack.len() > 2 && !stack[1].starts_with("[n");
            whole += if is_whole { count } else { 0 };
            kinds.retain(|kind| !stack.iter().any(|frame| frame.contains(kind)));
        }
        first += 1000;
    }
}
