//! What a fault cost: tasks that note each time they run, where the test can count.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dask_client::task;

/// A file to which every run adds a byte: unlike counts of the workers, it outlives them.
#[derive(Debug)]
pub struct Tally {
    path: PathBuf,
}

impl Tally {
    /// An empty one.
    ///
    /// # Panics
    /// When the directory for temporary files cannot be written to.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dask-tally-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, []).expect("there is a directory for temporary files");
        Self { path }
    }

    /// What tasks are told of it.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// How many runs have started.
    ///
    /// # Panics
    /// When somebody removed the file.
    #[must_use]
    pub fn runs(&self) -> u64 {
        std::fs::metadata(&self.path).expect("the file is there").len()
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // Whoever cleans the directory up does it too.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// States what a fault cost and holds it to a bound: `cargo test -- --nocapture` shows it.
///
/// # Panics
/// When it cost more.
#[track_caller]
pub fn costs<T: PartialOrd + Display>(what: &str, figure: T, most: T) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("?");
    println!("cost: {test}: {what}: {figure:.2} (at most {most})");
    assert!(figure <= most, "{what}: {figure} is more than {most}");
}

fn run(tally: &str, millis: u64) -> std::io::Result<()> {
    // One byte to the end of a file is written whole and in its place, whoever else writes.
    OpenOptions::new().append(true).open(tally)?.write_all(&[1])?;
    // sleep: it stands for work that takes this long, and nothing waits for it.
    std::thread::sleep(Duration::from_millis(millis));
    Ok(())
}

/// Doubles a number, after so many milliseconds.
#[task]
pub fn slow_double(tally: &str, millis: u64, x: i64) -> Result<i64, std::io::Error> {
    run(tally, millis)?;
    Ok(2 * x)
}

/// How many numbers are in a [`leaf`]: too many to travel with the message that they are there.
const WIDTH: u64 = 300;

/// Numbers from this one on, after so many milliseconds.
#[task]
pub fn leaf(tally: &str, millis: u64, x: u64) -> Result<Vec<u64>, std::io::Error> {
    run(tally, millis)?;
    Ok((x..x + WIDTH).collect())
}

/// The sums of numbers in the same places, after so many milliseconds.
#[task]
pub fn merge(tally: &str, millis: u64, a: &[u64], b: &[u64]) -> Result<Vec<u64>, std::io::Error> {
    run(tally, millis)?;
    Ok(a.iter().zip(b).map(|(a, b)| a + b).collect())
}

/// What a tree of [`merge`] makes of the leaves from `first` on, `count` of them.
#[must_use]
pub fn merged(first: u64, count: u64) -> Vec<u64> {
    let start: u64 = (first..first + count).sum();
    (0..WIDTH).map(|i| start + i * count).collect()
}
