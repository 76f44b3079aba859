//! Lines on their way to the scheduler: they go with the next batch, or alone after a short while,
//! and no more of them than a scheduler of many workers can take in.

use std::time::Duration;

use dask_proto::Moment;
use dask_proto::limits::MAX_LOG_TEXT_BYTES;
use dask_proto::message::{LogLevel, LogRecord, WorkerToScheduler};

use super::WorkerState;
use super::instruction::Instructions;

/// How long a line waits for company: the scheduler is not woken for each.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a line costs beside its text, in bytes.
const LINE_BYTES: u64 = 64;

/// Bytes that may go at once, far below what a batch may hold: some ten thousand short lines.
const BURST_BYTES: u64 = 1 << 20;

/// Bytes that may go in a second, in the long run: some two thousand short lines.
const BYTES_PER_SECOND: u64 = 256 << 10;

/// Lines that wait, and how many more may go.
#[derive(Debug)]
pub(super) struct Log {
    records: Vec<LogRecord>,
    /// Lines that were too many since the last that was not.
    dropped: u64,
    /// When the last line was said, by the clock of the machine.
    unix_ns: u64,
    /// Bytes that may go now.
    budget: u64,
    /// When the budget was reckoned up.
    reckoned: Moment,
    /// When the lines go alone.
    due: Option<Moment>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            dropped: 0,
            unix_ns: 0,
            budget: BURST_BYTES,
            reckoned: Moment::default(),
            due: None,
        }
    }
}

impl Log {
    /// When lines that wait go alone.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    fn add(&mut self, now: Moment, mut record: LogRecord) {
        cut(&mut record.message);
        self.unix_ns = self.unix_ns.max(record.unix_ns);
        self.due.get_or_insert(now + PATIENCE);
        let cost = LINE_BYTES + record.message.len() as u64;
        // Once a line was dropped, the next waits until that has been said.
        if cost > self.budget || self.dropped > 0 {
            self.dropped += 1;
        } else {
            self.budget -= cost;
            self.records.push(record);
        }
    }

    fn reckon(&mut self, now: Moment) {
        let nanos = now.since(self.reckoned).as_nanos();
        let earned = nanos * u128::from(BYTES_PER_SECOND) / 1_000_000_000;
        if earned > 0 {
            let earned = u64::try_from(earned).unwrap_or(BURST_BYTES);
            self.budget = self.budget.saturating_add(earned).min(BURST_BYTES);
            self.reckoned = now;
        }
    }

    fn take(&mut self) -> Vec<LogRecord> {
        self.due = None;
        let mut records = std::mem::take(&mut self.records);
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            let message = format!("{dropped} lines were dropped: there were too many");
            let unix_ns = self.unix_ns;
            records.push(LogRecord { unix_ns, level: LogLevel::Warn, key: None, message });
        }
        records
    }
}

impl WorkerState {
    /// Whether lines wait to go to the scheduler: [`next_timeout`](Self::next_timeout) counts them
    /// in, so the shell need not wake for more.
    #[must_use]
    pub fn holds_lines(&self) -> bool {
        self.log.due.is_some()
    }

    /// Tasks or the worker said something.
    pub(super) fn logged(&mut self, records: Vec<LogRecord>, dropped: u64) {
        self.log.reckon(self.now);
        for record in records {
            self.log.add(self.now, record);
        }
        if dropped > 0 {
            self.log.dropped = self.log.dropped.saturating_add(dropped);
            self.log.due.get_or_insert(self.now + PATIENCE);
        }
    }

    /// Sends the lines that wait, if something else is to be sent or they have waited long enough.
    pub(super) fn tell_lines(&mut self, out: &mut Instructions) {
        if self.log.due.is_some_and(|due| out.has_batch() || due <= self.now) {
            self.tell_last_lines(out);
        }
    }

    /// Sends the lines that wait.
    pub(super) fn tell_last_lines(&mut self, out: &mut Instructions) {
        let records = self.log.take();
        if !records.is_empty() {
            out.tell(WorkerToScheduler::Logged { records });
        }
    }
}

/// Cuts a text at the limit for lines.
fn cut(text: &mut String) {
    if text.len() > MAX_LOG_TEXT_BYTES {
        let end = (0..=MAX_LOG_TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
}
