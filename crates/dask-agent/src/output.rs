use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use dask_proto::limits::MAX_TROUBLE_BYTES;
use dask_proto::role::WORKER_READY;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::watch;

/// The longest piece of a line that is passed on as a whole.
const MOST_LINE: u64 = 4 << 10;

/// How far a worker process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    /// It has joined its scheduler.
    Joined,
}

/// What a process printed last, and whether it has joined its scheduler.
#[derive(Clone)]
pub(crate) struct Output {
    /// Of the worker, before each of its lines.
    name: Arc<str>,
    last: Arc<Mutex<VecDeque<String>>>,
    stage: watch::Sender<Stage>,
}

impl Output {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), last: Arc::default(), stage: watch::Sender::new(Stage::Starting) }
    }

    /// Passes on all that is printed, until it ends. Standard output is the agent's own to say
    /// something on, so everything goes to standard error.
    pub(crate) async fn pass_on(self, pipe: impl AsyncRead + Unpin) {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            let read = (&mut pipe).take(MOST_LINE).read_until(b'\n', &mut line).await;
            if line.is_empty() || read.is_err() {
                return;
            }
            let text = String::from_utf8_lossy(&line);
            self.line(text.trim_end_matches(['\n', '\r']));
        }
    }

    fn line(&self, line: &str) {
        if line.starts_with(WORKER_READY) {
            self.stage.send_replace(Stage::Joined);
        }
        // Whoever started the agent may not listen.
        let _ = writeln!(std::io::stderr(), "{} | {line}", self.name);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line.to_owned());
        let mut bytes: usize = last.iter().map(|line| line.len() + 1).sum();
        while bytes > MAX_TROUBLE_BYTES / 2 && last.len() > 1 {
            bytes -= last.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    /// How far the worker came.
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// The last lines.
    pub(crate) fn last(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_the_line_of_a_worker_that_joined_is_noticed() {
        let output = Output::new("alice");
        let text = "one\ntwo\r\nlast \u{e9} without an end";
        output.clone().pass_on(text.as_bytes()).await;
        assert_eq!(output.last(), "one\ntwo\nlast \u{e9} without an end");
        assert_eq!(output.stage(), Stage::Starting);
        output.clone().pass_on(&b"Worker at: tcp://10.0.0.1:1 (name alice)\n"[..]).await;
        assert_eq!(output.stage(), Stage::Joined);
    }

    #[tokio::test]
    async fn a_line_without_an_end_takes_no_more_than_a_bounded_part_of_memory() {
        let output = Output::new("alice");
        let text = vec![b'x'; 3 * MOST_LINE as usize];
        output.clone().pass_on(&text[..]).await;
        assert!(output.last().len() <= MAX_TROUBLE_BYTES);
    }
}
