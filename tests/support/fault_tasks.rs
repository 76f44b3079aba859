//! Tasks that go wrong in every way, and values that do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use dask_client::{Client, Future, Result, task, wait};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Error as _, Serialize, SerializeTuple, Serializer};

/// Doubles a number: what goes on when all else goes wrong.
#[task]
pub fn double(x: i64) -> i64 {
    2 * x
}

/// Some bytes, too many to travel with the message that they are there.
#[task]
pub fn blob(n: u64) -> Vec<u8> {
    (0..n).map(byte).collect()
}

/// The `i`th of [`blob`].
#[must_use]
pub fn byte(i: u64) -> u8 {
    u8::try_from(i % 251).expect("251 is below 256")
}

/// The sum of all bytes.
#[task]
pub fn total(all: &[u8]) -> u64 {
    all.iter().map(|byte| u64::from(*byte)).sum()
}

/// The id of the process that it runs in.
#[task]
pub fn pid() -> u32 {
    std::process::id()
}

/// Tells a [`Gate`](crate::gate::Gate) that it runs, and in which process, and waits until the
/// gate opens.
#[task]
pub fn gated(gate: &str, x: i64) -> Result<i64, std::io::Error> {
    let mut gate = TcpStream::connect(gate)?;
    gate.write_all(&std::process::id().to_le_bytes())?;
    gate.write_all(&x.to_le_bytes())?;
    // The end of the stream opens the gate as well.
    let _ = gate.read(&mut [0; 1])?;
    Ok(x)
}

/// Panics with this message.
#[task]
pub fn panics(message: &str) -> i64 {
    panic!("{message}")
}

/// An error with a cause.
#[derive(Debug, thiserror::Error)]
#[error("the meter {0:?} cannot be read")]
pub struct Unreadable(String, #[source] std::num::ParseIntError);

/// Returns `Err` unless the text is a number.
#[task]
pub fn parse(text: &str) -> Result<i64, Unreadable> {
    let parsed = text.parse();
    parsed.map_err(|error| Unreadable(text.to_owned(), error))
}

/// Overflows the stack when it starts above zero, as it then never gets there.
#[task]
pub fn overflow(start: u64) -> u64 {
    fn deeper(n: u64) -> u64 {
        let area = std::hint::black_box([n; 64]);
        if n == 0 {
            return 0;
        }
        // Not the last thing it does, so that no loop is made of it.
        deeper(n + 1).wrapping_add(area[usize::try_from(n % 64).unwrap_or(0)])
    }
    deeper(start)
}

/// Aborts its process.
#[task]
pub fn abort() -> i64 {
    std::process::abort()
}

/// Takes so many bytes at once; where they are not to be had, that ends its process.
#[task]
pub fn allocate(bytes: u64) -> u64 {
    let taken = std::hint::black_box(vec![1_u8; usize::try_from(bytes).unwrap_or(usize::MAX)]);
    taken.len() as u64
}

/// Ends its process.
#[task]
pub fn exit(code: i32) -> i64 {
    std::process::exit(code)
}

/// A value whose `Serialize` fails, behind this many bytes.
#[derive(Debug, Clone)]
pub struct Unserializable(pub usize);

impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0 + 1)?;
        for _ in 0..self.0 {
            tuple.serialize_element(&0_u8)?;
        }
        Err(S::Error::custom("a lock cannot be sent"))
    }
}

impl<'de> Deserialize<'de> for Unserializable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        usize::deserialize(deserializer).map(Self)
    }
}

/// Makes a value that cannot leave the worker.
#[task]
pub fn unserializable(size: u64) -> Unserializable {
    Unserializable(usize::try_from(size).expect("small"))
}

/// Takes a value that never arrives.
#[task]
pub fn take_unserializable(value: &Unserializable) -> i64 {
    i64::try_from(value.0).expect("small")
}

/// A large value that can be measured when it is made, and not serialized later.
#[derive(Debug, Clone)]
pub struct Spoiled(pub String);

/// How often a [`Spoiled`] was serialized in this process.
static SERIALIZED: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Spoiled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if SERIALIZED.fetch_add(1, Ordering::Relaxed) == 0 {
            return vec![0_u8; 100_000].serialize(serializer);
        }
        match self.0.as_str() {
            "panic" => panic!("it turned bad"),
            _ => Err(S::Error::custom("it turned bad")),
        }
    }
}

impl<'de> Deserialize<'de> for Spoiled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Makes a value that turns bad; how is `error` or `panic`.
#[task]
pub fn spoiled(how: String) -> Spoiled {
    SERIALIZED.store(0, Ordering::Relaxed);
    Spoiled(how)
}

/// Takes a value that turned bad.
#[task]
pub fn take_spoiled(value: &Spoiled) -> i64 {
    i64::try_from(value.0.len()).expect("small")
}

/// A value whose `Deserialize` fails.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Undeserializable(pub u64);

impl<'de> Deserialize<'de> for Undeserializable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Err(D::Error::custom(format!("{value} is out of range")))
    }
}

/// Makes a value that nobody can read.
#[task]
pub fn undeserializable(value: u64) -> Undeserializable {
    Undeserializable(value)
}

/// Takes a value that it cannot read.
#[task]
pub fn take_undeserializable(value: &Undeserializable) -> u64 {
    value.0
}

/// A value that asks the format what comes next, as untagged enums do: a compact format cannot say.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Anything(pub u64);

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Anything;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Makes a value that no compact format can read.
#[task]
pub fn anything(value: u64) -> Anything {
    Anything(value)
}

/// Takes a value that no compact format can read.
#[task]
pub fn take_anything(value: &Anything) -> u64 {
    value.0
}

/// A value whose `Drop` panics on the worker that made it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Explosive {
    /// The process that it is at home in.
    pub home: u32,
    /// Makes it too large to leave at once.
    pub load: Vec<u8>,
}

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(self.home != std::process::id(), "it exploded");
    }
}

/// Makes a value that panics when the worker drops it.
#[task]
pub fn explosive() -> Explosive {
    Explosive { home: std::process::id(), load: vec![0; 5000] }
}

/// Lists within lists: reading, writing and dropping it takes stack for each level.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Nested(Option<Box<Nested>>);

/// A value with this many levels.
#[task]
pub fn nested(count: u64) -> Nested {
    (0..count).fold(Nested(None), |inner, _| Nested(Some(Box::new(inner))))
}

/// How many levels a value has.
#[task]
pub fn levels(value: &Nested) -> u64 {
    let inner = std::iter::successors(value.0.as_ref(), |value| value.0.as_ref());
    inner.map(|_| 1).sum()
}

/// What a client does that is killed: it holds ten keys, prints `ready` when their results are
/// there, and waits.
///
/// # Errors
/// When the cluster is not there.
pub async fn vanishing(address: &str, end: impl std::future::Future<Output = ()>) -> Result<()> {
    let client = Client::connect(address).await?;
    let held: Vec<Future<i64>> = (0..10)
        .map(|i| {
            let options = client.options().key(format!("vanishing-{i}"));
            options.submit(double, i)
        })
        .collect();
    wait(&held).await?;
    writeln!(std::io::stdout(), "ready")?;
    end.await;
    Ok(())
}

/// Returns at once what it is given, unless that is nothing: then it stays for ever.
#[task]
pub fn stays_at_zero(x: i64) -> i64 {
    if x != 0 {
        return x;
    }
    loop {
        std::thread::park();
    }
}
