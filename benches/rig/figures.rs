//! What was measured.

use std::time::Duration;

use serde_json::{Map, Value};

/// Figures by name; the name ends with the unit. One line of JSON when displayed.
#[derive(Debug, Clone, Default)]
pub struct Figures(Map<String, Value>);

impl Figures {
    /// No figures yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more figure. One that is no number, such as a rate without time, is left out.
    #[must_use]
    pub fn with(mut self, name: &str, figure: f64) -> Self {
        if let Some(number) = serde_json::Number::from_f64(figure) {
            self.0.insert(name.to_owned(), Value::Number(number));
        }
        self
    }

    /// A rate of tasks, in tasks a second.
    #[must_use]
    pub fn tasks(tasks: u64, elapsed: Duration) -> Self {
        Self::new().with("tasks_per_s", tasks as f64 / elapsed.as_secs_f64())
    }

    /// A rate of bytes, in megabytes a second.
    #[must_use]
    pub fn bytes(bytes: u64, elapsed: Duration) -> Self {
        Self::new().with("mb_per_s", bytes as f64 / 1e6 / elapsed.as_secs_f64())
    }

    /// A time from start to finish, in milliseconds.
    #[must_use]
    pub fn time(elapsed: Duration) -> Self {
        Self::new().with("ms", elapsed.as_secs_f64() * 1e3)
    }

    /// Round trips that were made one after the other: their median in microseconds, and how many
    /// a second that makes.
    #[must_use]
    pub fn round_trips(mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let Some(median) = each.get(each.len() / 2) else {
            return Self::new();
        };
        let seconds = median.as_secs_f64();
        Self::new().with("median_us", seconds * 1e6).with("round_trips_per_s", 1.0 / seconds)
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Value::Object(self.0.clone()).fmt(f)
    }
}

/// Bytes as MiB.
#[must_use]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
