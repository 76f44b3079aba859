//! Named, timed steps of a command.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::Result;

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// There was nothing to do, for this reason.
    Skipped(&'static str),
    Failed,
}

/// The steps that were taken so far, displayed as a table.
#[derive(Default)]
pub(crate) struct Steps {
    taken: Vec<(&'static str, Outcome, Duration)>,
}

impl Steps {
    /// Announces a step, takes it, and notes how it ended and how long it took.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<(Outcome, T)>,
    ) -> Result<T> {
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let (outcome, result) = match step() {
            Ok((outcome, value)) => (outcome, Ok(value)),
            Err(error) => (Outcome::Failed, Err(error)),
        };
        let took = start.elapsed();
        let seconds = took.as_secs_f64();
        eprintln!("=== {name}: {outcome} in {seconds:.1} s");
        self.taken.push((name, outcome, took));
        result
    }

    /// [`Steps::take`] for a step that has nothing to give.
    pub(crate) fn check(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<Outcome>,
    ) -> Result<()> {
        self.take(name, || Ok((step()?, ())))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Passed => f.write_str("ok"),
            Outcome::Skipped(reason) => write!(f, "skipped: {reason}"),
            Outcome::Failed => f.write_str("FAILED"),
        }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.taken.iter().map(|(name, _, _)| name.len()).max();
        let width = widest.unwrap_or(0).max("total".len());
        let mut total = Duration::ZERO;
        for (name, outcome, took) in &self.taken {
            total += *took;
            let seconds = took.as_secs_f64();
            writeln!(f, "{name:<width$}  {seconds:>8.1} s  {outcome}")?;
        }
        let seconds = total.as_secs_f64();
        write!(f, "{:<width$}  {seconds:>8.1} s", "total")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_failed_step_is_in_the_table_and_its_error_is_returned() {
        let mut steps = Steps::default();
        assert!(steps.check("fmt", || Ok(Outcome::Passed)).is_ok());
        assert!(steps.check("tidy", || Err(Error::Untidy(2))).is_err());
        let table = steps.to_string();
        assert!(table.lines().any(|l| l.starts_with("fmt") && l.ends_with("ok")));
        assert!(table.lines().any(|l| l.starts_with("tidy") && l.ends_with("FAILED")));
    }

    #[test]
    fn a_skipped_step_says_why() {
        let mut steps = Steps::default();
        let skipped = steps.check("deny", || Ok(Outcome::Skipped("not installed")));
        assert!(skipped.is_ok());
        assert!(steps.to_string().contains("skipped: not installed"));
    }
}
