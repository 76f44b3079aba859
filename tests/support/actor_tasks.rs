//! Actors, and tasks that use them.

use dask_client::{Actor, Result, actor, task};

use crate::stage::perform;

/// Counts, and remembers in which order.
#[derive(Debug)]
pub struct Counter {
    n: i64,
    seen: Vec<i64>,
}

#[actor]
impl Counter {
    /// One that starts at 0.
    pub fn new() -> Self {
        Self::starting_at(0)
    }

    /// One that starts here.
    pub fn starting_at(n: i64) -> Counter {
        Self { n, seen: Vec::new() }
    }

    /// One that starts at what a text says.
    ///
    /// # Errors
    /// When that is no number.
    pub fn parse(text: &str) -> std::result::Result<Self, std::num::ParseIntError> {
        Ok(Self::starting_at(text.parse()?))
    }

    /// Adds to it; the sum.
    pub fn add(&mut self, n: i64) -> i64 {
        self.seen.push(n);
        self.n += n;
        self.n
    }

    /// Adds all of them.
    pub fn add_all(&mut self, ns: &[i64], why: &str) -> String {
        for n in ns {
            self.add(*n);
        }
        format!("{why}: {}", self.n)
    }

    /// What it was asked to add.
    pub fn seen(&self) -> Vec<i64> {
        self.seen.clone()
    }

    /// Takes from it.
    ///
    /// # Errors
    /// When there is not as much.
    pub fn take(&mut self, n: i64) -> std::result::Result<i64, String> {
        if n > self.n {
            return Err(format!("there are only {}", self.n));
        }
        self.n -= n;
        Ok(self.n)
    }

    /// Changes it, and panics.
    pub fn stumble(&mut self) {
        self.n += 1000;
        panic!("it stumbled at {}", self.n);
    }

    /// Adds to it, later.
    pub async fn add_later(&mut self, n: i64) -> i64 {
        tokio::task::yield_now().await;
        self.add(n)
    }

    /// Does what the stage says.
    pub fn perform(&mut self, stage: &str, name: &str) -> Result<i64> {
        Ok(perform(stage, name).map_err(std::io::Error::other)?)
    }

    /// Where it is.
    pub fn place(&self) -> Result<String> {
        Ok(dask_client::get_worker()?.name.clone())
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds to a counter from a task, so many times.
#[task]
pub async fn count(counter: Actor<Counter>, times: i64) -> Result<i64> {
    let mut last = 0;
    for _ in 0..times {
        last = counter.add(1).await?;
    }
    Ok(last)
}
