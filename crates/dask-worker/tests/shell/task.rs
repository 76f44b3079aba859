//! Task functions, written by hand as `#[task]` would write them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dask_proto::Payload;
use dask_task::context::is_cancelled;
use dask_task::{Failure, Inputs, TaskDef, block_on, failure, live};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Notify;

/// `shell::spin` has started.
pub(crate) static STARTED: Notify = Notify::const_new();
/// `shell::spin_once` has started for the first time.
pub(crate) static STARTED_ONCE: Notify = Notify::const_new();
/// `shell::forever` has started.
pub(crate) static FOREVER: Notify = Notify::const_new();

type Outcome = Result<Payload, Failure>;

macro_rules! tasks {
    ($($name:ident),*) => {$(
        dask_task::inventory::submit! {
            &TaskDef { path: concat!("shell::", stringify!($name)), signature: "fn()", body: $name }
        }
    )*};
}

tasks!(
    inc, add, zeros, boom, fail, nap, spin, spin_once, obedient, forever, stubborn, explosive,
    moody, deep, sink
);

fn inc(inputs: &mut Inputs) -> Outcome {
    Ok(live(inputs.owned::<i64>(0)? + 1))
}

fn add(inputs: &mut Inputs) -> Outcome {
    Ok(live(*inputs.borrowed::<i64>(0)? + *inputs.borrowed::<i64>(1)?))
}

fn zeros(inputs: &mut Inputs) -> Outcome {
    let length = usize::try_from(inputs.owned::<i64>(0)?).map_err(failure)?;
    Ok(live(vec![0_i64; length]))
}

fn boom(_: &mut Inputs) -> Outcome {
    panic!("boom")
}

fn fail(_: &mut Inputs) -> Outcome {
    Err(failure("no luck"))
}

fn nap(_: &mut Inputs) -> Outcome {
    // sleep: the task is about the timer.
    block_on(tokio::time::sleep(Duration::from_millis(1)));
    Ok(live(()))
}

fn spin(_: &mut Inputs) -> Outcome {
    STARTED.notify_one();
    while !is_cancelled() {
        std::thread::yield_now();
    }
    Ok(live(()))
}

/// Runs until it is cancelled.
fn obedient(_: &mut Inputs) -> Outcome {
    while !is_cancelled() {
        std::thread::yield_now();
    }
    Ok(live(()))
}

/// Spins until it is cancelled, the first time.
fn spin_once(_: &mut Inputs) -> Outcome {
    static AGAIN: AtomicBool = AtomicBool::new(false);
    if !AGAIN.swap(true, Ordering::SeqCst) {
        STARTED_ONCE.notify_one();
        while !is_cancelled() {
            std::thread::yield_now();
        }
    }
    Ok(live(()))
}

fn forever(_: &mut Inputs) -> Outcome {
    FOREVER.notify_one();
    loop {
        std::thread::park();
    }
}

fn stubborn(_: &mut Inputs) -> Outcome {
    Ok(live(Stubborn))
}

fn explosive(_: &mut Inputs) -> Outcome {
    Ok(live(Explosive))
}

fn moody(_: &mut Inputs) -> Outcome {
    Ok(live(Moody))
}

/// Needs a few hundred bytes of stack a level.
fn deep(inputs: &mut Inputs) -> Outcome {
    fn dive(levels: i64) -> i64 {
        let ballast = std::hint::black_box([levels; 32]);
        if levels == 0 {
            return 0;
        }
        dive(levels - 1) + std::hint::black_box(ballast)[7]
    }
    Ok(live(dive(inputs.owned::<i64>(0)?)))
}

/// Fills its stack so slowly that it is interrupted on the way.
fn sink(inputs: &mut Inputs) -> Outcome {
    fn sink(levels: i64) -> i64 {
        let ballast = std::hint::black_box([levels; 32]);
        let steps: i64 = (0..10_000).map(std::hint::black_box).sum();
        if steps < levels {
            return 0;
        }
        sink(levels + 1) + std::hint::black_box(ballast)[7]
    }
    Ok(live(sink(inputs.owned::<i64>(0)?)))
}

/// A value that cannot be serialized.
#[derive(Clone)]
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("never"))
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("never"))
    }
}

/// A value whose serialization panics.
#[derive(Clone)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("it explodes")
    }
}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

/// A value that can be measured, and later cannot be serialized.
#[derive(Clone)]
struct Moody;

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        static MEASURED: AtomicBool = AtomicBool::new(false);
        if MEASURED.swap(true, Ordering::SeqCst) {
            Err(S::Error::custom("not today"))
        } else {
            vec![0_u8; 4096].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}
