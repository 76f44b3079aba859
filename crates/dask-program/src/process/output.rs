use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use dask_proto::limits::MAX_TROUBLE_BYTES;
use dask_proto::role::WORKER_READY;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

use super::Prints;

/// The longest piece of a line that is passed on as a whole.
const MOST_LINE: u64 = 4 << 10;

/// How far a worker process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    /// It has joined its scheduler.
    Joined,
}

/// What a process printed last, and whether it has joined its scheduler.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Of the worker.
    name: Arc<str>,
    prints: Prints,
    last: Arc<Mutex<VecDeque<String>>>,
    stage: watch::Sender<Stage>,
}

impl Output {
    pub(super) fn new(name: &str, prints: Prints) -> Self {
        let stage = watch::Sender::new(Stage::Starting);
        Self { name: name.into(), prints, last: Arc::default(), stage }
    }

    /// Passes on all that is printed, until it ends.
    pub(super) async fn pass_on(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        // Whether the piece before was the start of a line that says that the worker has joined,
        // which only this process wants to know.
        let mut announces = false;
        let mut starts = true;
        loop {
            let mut piece = Vec::new();
            let read = (&mut pipe).take(MOST_LINE).read_until(b'\n', &mut piece).await;
            if piece.is_empty() || read.is_err() {
                return;
            }
            if starts {
                announces = piece.starts_with(WORKER_READY.as_bytes());
            }
            starts = piece.ends_with(b"\n");
            if announces {
                self.stage.send_replace(Stage::Joined);
            }
            let text = String::from_utf8_lossy(&piece);
            let line = text.trim_end_matches(['\n', '\r']);
            // Whoever started this process may not listen.
            let _ = match self.prints {
                Prints::Plain if announces => Ok(()),
                Prints::Plain => std::io::stdout().write_all(&piece),
                // Standard output is this process's own to say something on.
                Prints::Named => writeln!(std::io::stderr(), "{} | {line}", self.name),
            };
            self.keep(line);
        }
    }

    fn keep(&self, line: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line.to_owned());
        let mut bytes: usize = last.iter().map(|line| line.len() + 1).sum();
        while bytes > MAX_TROUBLE_BYTES / 2 && last.len() > 1 {
            bytes -= last.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// How far the worker came.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Resolves once the worker has joined.
    pub(super) async fn joined(&self) {
        // The sender is a part of this.
        let _ = self.stage.subscribe().wait_for(|stage| *stage == Stage::Joined).await;
    }

    /// The last lines.
    pub(super) fn last(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_the_line_of_a_worker_that_joined_is_noticed() {
        let output = Output::new("alice", Prints::Named);
        let text = "one\ntwo\r\nlast \u{e9} without an end";
        output.clone().pass_on(text.as_bytes()).await;
        assert_eq!(output.last(), "one\ntwo\nlast \u{e9} without an end");
        assert_eq!(output.stage(), Stage::Starting);
        output.clone().pass_on(&b"Worker at: tcp://10.0.0.1:1 (name alice)\n"[..]).await;
        assert_eq!(output.stage(), Stage::Joined);
    }

    #[tokio::test]
    async fn a_line_without_an_end_takes_no_more_than_a_bounded_part_of_memory() {
        let output = Output::new("alice", Prints::Named);
        let text = vec![b'x'; 3 * MOST_LINE as usize];
        output.clone().pass_on(&text[..]).await;
        assert!(output.last().len() <= MAX_TROUBLE_BYTES);
    }

    #[tokio::test]
    async fn only_the_start_of_a_line_says_that_a_worker_has_joined() {
        let output = Output::new("alice", Prints::Named);
        let mut text = vec![b'x'; MOST_LINE as usize];
        text.extend_from_slice(b"Worker at: nowhere\n");
        output.clone().pass_on(&text[..]).await;
        assert_eq!(output.stage(), Stage::Starting);
    }
}
