use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use dask_tokenize::key_prefix;

use crate::Result;
use crate::as_completed::AsCompleted;
use crate::future::Status;
use crate::wait::{Futures, hold};

/// How often bars are drawn at most: more often than the eye can follow is wasted on the terminal.
const FRAME: Duration = Duration::from_millis(50);

/// How many characters a full bar has.
const WIDTH: usize = 40;

/// Draws how far futures are, one bar for each function, until all are done: Dask's `progress`.
///
/// Bars go to standard error where it is a terminal; elsewhere a line for each tenth of the way.
///
/// ```
/// # use dask_client::{task, Client, Result, progress};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[dask_client::main]
/// # async fn main() -> Result<()> {
/// # let client = Client::local().await?;
/// let futures = client.map(inc, 0..100);
/// progress(&futures).await?;
/// # client.close().await
/// # }
/// ```
///
/// # Errors
/// None today: a failed task is drawn as such and reported by its future.
pub async fn progress(futures: impl Futures) -> Result<()> {
    let futures = futures.into_list();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for future in &futures {
        let prefix = key_prefix(hold(future).key.as_str()).to_owned();
        groups.entry(prefix).or_default().total += 1;
    }
    let mut output = std::io::stderr();
    let mut bars = output.is_terminal().then(|| Bars::new(&groups));
    let mut done = AsCompleted::new(futures);
    while let Some(future) = done.one().await {
        let hold = hold(&future);
        let prefix = key_prefix(hold.key.as_str());
        let Some(group) = groups.get_mut(prefix) else {
            continue;
        };
        group.advance(hold.status());
        let text = match &mut bars {
            Some(bars) if bars.next > Instant::now() && !done.is_empty() => None,
            Some(bars) => Some(bars.frame(&groups)),
            None => group.line(prefix),
        };
        // A closed standard error is no reason to fail.
        let _ = output.write_all(text.unwrap_or_default().as_bytes());
    }
    Ok(())
}

/// The tasks of one function.
#[derive(Default)]
struct Group {
    total: usize,
    done: usize,
    failed: usize,
}

impl Group {
    fn advance(&mut self, status: Status) {
        self.done += 1;
        self.failed += usize::from(status == Status::Error);
    }

    /// A line for each tenth of the way, the last included.
    fn line(&self, prefix: &str) -> Option<String> {
        let tenths = |done| done * 10 / self.total;
        (tenths(self.done) > tenths(self.done - 1)).then(|| format!("{prefix}: {self}\n"))
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.done, self.total)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        Ok(())
    }
}

/// Bars on a terminal: each frame is drawn over the one before.
struct Bars {
    started: Instant,
    /// When the next frame is due.
    next: Instant,
    /// The length of the longest prefix.
    column: usize,
    drawn: usize,
}

impl Bars {
    fn new(groups: &BTreeMap<String, Group>) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            next: now,
            column: groups.keys().map(String::len).max().unwrap_or(0),
            drawn: 0,
        }
    }

    fn frame(&mut self, groups: &BTreeMap<String, Group>) -> String {
        let now = Instant::now();
        self.next = now + FRAME;
        let seconds = now.duration_since(self.started).as_secs_f64();
        let mut text = String::new();
        if self.drawn > 0 {
            // Up to the first bar of the frame before.
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        self.drawn = groups.len();
        for (prefix, group) in groups {
            let full = group.done * WIDTH / group.total;
            let (bar, column, width) = ("#".repeat(full), self.column, WIDTH);
            // What is left of a longer line is cleared. Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "\r{prefix:column$} [{bar:-<width$}] {group} {seconds:.1}s\x1b[K"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Bars, Group, Status};

    #[test]
    fn a_line_is_written_for_each_tenth_of_the_way() {
        let mut group = Group {
            total: 25,
            ..Group::default()
        };
        let mut lines = Vec::new();
        for task in 0..25 {
            let failed = if task == 3 {
                Status::Error
            } else {
                Status::Finished
            };
            group.advance(failed);
            lines.extend(group.line("inc"));
        }
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "inc: 3/25\n");
        assert_eq!(lines[9], "inc: 25/25, 1 failed\n");
    }

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        let group = Group {
            total: 4,
            done: 1,
            failed: 0,
        };
        let groups = BTreeMap::from([("inc".to_owned(), group)]);
        let mut bars = Bars::new(&groups);
        let first = bars.frame(&groups);
        let bar = format!("inc [{}{}] 1/4 ", "#".repeat(10), "-".repeat(30));
        assert!(first.contains(&bar), "{first}");
        let second = bars.frame(&groups);
        assert!(second.starts_with("\u{1b}[1A\r"), "{second:?}");
    }
}
