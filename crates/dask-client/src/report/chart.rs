//! The task stream as a picture: a line for each thread, a bar for each run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use dask_proto::message::{ActivityKind, Recorded, WorkerInfo};

use super::html::{escape, time, took_ns};

/// Bars that are drawn: what browsers draw quickly. The longest of more.
const BARS: usize = 20_000;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 200.0;
const ROW: usize = 14;

/// Colours that can be told apart, also by those who see few.
const COLOURS: [&str; 10] = [
    "#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#999933", "#882255",
    "#44aa99", "#bb5566",
];

/// The picture, with its legend to the left: workers by their names.
pub(super) fn svg(records: &[Recorded], workers: &[WorkerInfo]) -> String {
    let first = records.iter().map(|record| record.activity.start_unix_ns).min().unwrap_or(0);
    let last = records.iter().map(|record| record.activity.stop_unix_ns).max().unwrap_or(first);
    let span = last.saturating_sub(first).max(1);
    let lanes: BTreeSet<_> = records.iter().map(lane).collect();
    let lanes: BTreeMap<_, usize> = lanes.into_iter().zip(0..).collect();
    let height = (lanes.len() + 2) * ROW;
    let mut svg =
        format!("<svg width=\"{}\" height=\"{height}\" font-size=\"10\">\n", LEFT + WIDTH + 20.0);
    for ((worker, thread), row) in &lanes {
        let known = workers.iter().find(|known| known.address.as_str() == *worker);
        let worker = known.map_or(*worker, |known| &known.name);
        let lane = thread.map_or_else(|| "fetches".to_owned(), |thread| format!("thread {thread}"));
        let y = (row + 1) * ROW - 3;
        // Writing to a string does not fail.
        let _ = writeln!(svg, "<text x=\"4\" y=\"{y}\">{} {lane}</text>", escape(worker));
    }
    let mut drawn: Vec<&Recorded> = records.iter().collect();
    drawn.sort_by_key(|record| std::cmp::Reverse(took_ns(&record.activity)));
    for record in drawn.iter().take(BARS) {
        let place = |at: u64| at.saturating_sub(first) as f64 / span as f64 * WIDTH;
        let x = LEFT + place(record.activity.start_unix_ns);
        let width = (LEFT + place(record.activity.stop_unix_ns) - x).max(0.3);
        let y = lanes.get(&lane(record)).map_or(0, |row| row * ROW + 1);
        let (fill, title) = match &record.activity.kind {
            ActivityKind::Run { key, prefix, ok: true, .. } => {
                (colour(prefix), escape(key.as_str()))
            }
            ActivityKind::Run { key, .. } => ("#000", format!("{}, failed", escape(key.as_str()))),
            ActivityKind::Fetch { peer, nbytes, .. } => {
                ("#cc3311", format!("{nbytes} bytes from {}", escape(peer.as_str())))
            }
            _ => continue,
        };
        let took = time(took_ns(&record.activity));
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" fill=\"{fill}\">\
             <title>{title}: {took}</title></rect>",
            ROW - 2
        );
    }
    let (y, right, end) = (height - 4, LEFT + WIDTH, time(span));
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{y}\">0</text>\
         <text x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{end}</text></svg>"
    );
    if drawn.len() > BARS {
        let _ =
            writeln!(svg, "<p class=\"note\">The longest {BARS} of {} are drawn.</p>", drawn.len());
    }
    svg
}

/// Where a record is drawn: fetches of a worker above its threads.
fn lane(record: &Recorded) -> (&str, Option<u32>) {
    let thread = match record.activity.kind {
        ActivityKind::Run { thread, .. } => Some(thread),
        _ => None,
    };
    (record.worker.as_str(), thread)
}

/// The colour of a function, the same in every report.
pub(super) fn colour(name: &str) -> &'static str {
    let sum = name
        .bytes()
        .fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS[sum % COLOURS.len()]
}
