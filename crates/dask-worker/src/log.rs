//! What tasks and the worker have to say, on its way to the loop.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use dask_proto::Key;
use dask_proto::message::{LogLevel, LogRecord};
use dask_proto::role::FORWARDED_LOG;
use dask_task::context::Context;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Lines that wait for the loop at most; more are dropped, and counted.
const LINES: usize = 16_384;

/// Bytes of text that wait for the loop at most.
const TEXT_BYTES: usize = 4 << 20;

/// Where a worker's tasks, and the worker itself, put lines for the scheduler. Clones are the same
/// place.
#[derive(Debug, Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    records: Vec<LogRecord>,
    text_bytes: usize,
    dropped: u64,
    /// Whether the loop knows that there are lines, and looks by itself.
    is_rung: bool,
}

impl Log {
    /// A place without lines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a line here, said now by this task, or by none.
    pub fn record(&self, level: LogLevel, key: Option<Key>, message: String) {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
        let mut lines = self.lines();
        if lines.records.len() >= LINES || lines.text_bytes + message.len() > TEXT_BYTES {
            lines.dropped += 1;
        } else {
            lines.text_bytes += message.len();
            lines.records.push(LogRecord { unix_ns, level, key, message });
        }
        if !std::mem::replace(&mut lines.is_rung, true) {
            drop(lines);
            self.shared.news.notify_one();
        }
    }

    /// All lines since the last time, and how many were dropped.
    pub(crate) fn take(&self) -> (Vec<LogRecord>, u64) {
        let mut lines = self.lines();
        lines.text_bytes = 0;
        (std::mem::take(&mut lines.records), std::mem::take(&mut lines.dropped))
    }

    /// Rings for the next line again.
    pub(crate) fn rearm(&self) {
        let mut lines = self.lines();
        lines.is_rung = !lines.records.is_empty() || lines.dropped > 0;
        if lines.is_rung {
            drop(lines);
            self.shared.news.notify_one();
        }
    }

    /// Resolves when there are lines. Cancel safe.
    pub(crate) async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// Makes this the place of what the process says with `tracing` at level `INFO` and above, in
    /// tasks and outside of them. Warnings and errors go to standard error too. Does nothing when
    /// the process has a subscriber already.
    pub fn install(&self) {
        let recorder = Recorder { log: self.clone() };
        // The program's own choice, if it made one before, stands.
        let _ = tracing::subscriber::set_global_default(recorder);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns what is said with `tracing` into lines. Spans are not looked at.
struct Recorder {
    log: Log,
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_own = metadata.target() != FORWARDED_LOG;
        metadata.is_event() && is_own && *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        let mut text = Text::default();
        event.record(&mut text);
        let message = format!("{}: {}{}", metadata.target(), text.message, text.fields);
        if level <= LogLevel::Warn {
            // Nobody may listen.
            let _ = writeln!(std::io::stderr(), "{} {message}", metadata.level());
        }
        self.log.record(level, Context::current().map(|context| context.key), message);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message and the fields of an event.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
