use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use dask_tokenize::key_prefix;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Result;
use crate::future::Status;
use crate::future::as_completed::AsCompleted;
use crate::future::wait::{Futures, hold};

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
    let bars = MultiProgress::new();
    let width = groups.keys().map(String::len).max().unwrap_or(0);
    for (prefix, group) in &mut groups {
        group.start(prefix, width, &bars);
    }
    let mut done = AsCompleted::new(futures);
    while let Some(future) = done.one().await {
        let hold = hold(&future);
        if let Some(group) = groups.get_mut(key_prefix(hold.key.as_str())) {
            group.advance(hold.status());
        }
    }
    groups.values().for_each(Group::finish);
    Ok(())
}

#[derive(Default)]
struct Group {
    total: u64,
    done: u64,
    failed: u64,
    prefix: String,
    bar: Option<ProgressBar>,
}

impl Group {
    fn start(&mut self, prefix: &str, width: usize, bars: &MultiProgress) {
        prefix.clone_into(&mut self.prefix);
        if !std::io::stderr().is_terminal() {
            return;
        }
        let template = "{prefix} [{bar:40}] {pos}/{len} {msg} {elapsed_precise}";
        let style = ProgressStyle::with_template(template)
            .expect("the template is well-formed")
            .progress_chars("##-");
        let bar = bars.add(ProgressBar::new(self.total).with_style(style));
        bar.set_prefix(format!("{prefix:width$}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar = Some(bar);
    }

    fn advance(&mut self, status: Status) {
        self.done += 1;
        self.failed += u64::from(status == Status::Error);
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                if self.failed > 0 {
                    bar.set_message(format!("({} failed)", self.failed));
                }
            }
            // A line for each tenth of the way, the last included.
            None if self.done * 10 / self.total > (self.done - 1) * 10 / self.total => {
                let Self { prefix, done, total, failed, .. } = self;
                let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
                // A closed standard error is no reason to fail.
                let _ = writeln!(std::io::stderr(), "{prefix}: {done}/{total}{failed}");
            }
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}
