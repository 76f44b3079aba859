//! Tables for people, JSON for programs.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::number::{Spread, show};
use super::workload::{Better, Row, Workload};
use crate::error::{Error, Result};

/// One figure of one workload, by all who were asked for it: ours first.
pub(super) struct Line {
    pub(super) workload: &'static Workload,
    pub(super) row: &'static Row,
    pub(super) series: Vec<Series>,
}

/// What one program answered, run by run.
pub(super) struct Series {
    pub(super) who: String,
    /// How much it was asked for.
    pub(super) size: u64,
    pub(super) runs: Vec<f64>,
}

impl Series {
    pub(super) fn new(who: impl Into<String>, size: u64, runs: Vec<f64>) -> Series {
        Series { who: who.into(), size, runs }
    }

    fn median(&self) -> Option<f64> {
        Spread::of(&self.runs).map(|spread| spread.median)
    }
}

impl Line {
    /// The best of those that ours is compared with.
    fn best(&self) -> Option<&Series> {
        let others = self.series.iter().skip(1).filter(|series| series.median().is_some());
        let by_median = |a: &&Series, b: &&Series| {
            a.median().unwrap_or(0.0).total_cmp(&b.median().unwrap_or(0.0))
        };
        match self.row.better {
            Better::More => others.max_by(by_median),
            Better::Less => others.min_by(by_median),
        }
    }

    /// How many times better ours is than the best of the others, by the medians.
    pub(super) fn ratio(&self) -> Option<f64> {
        let (ours, other) = (self.series.first()?.median()?, self.best()?.median()?);
        Some(match self.row.better {
            Better::More => ours / other,
            Better::Less => other / ours,
        })
    }

    fn json(&self) -> Value {
        let series = self.series.iter().map(|series| {
            let spread = Spread::of(&series.runs);
            json!({
                "who": series.who,
                "size": series.size,
                "runs": series.runs,
                "min": spread.map(|spread| spread.min),
                "median": spread.map(|spread| spread.median),
                "max": spread.map(|spread| spread.max),
            })
        });
        json!({
            "workload": self.workload.name,
            "title": self.row.title,
            "unit": self.row.unit,
            "better": if self.row.better == Better::More { "more" } else { "less" },
            "series": series.collect::<Vec<_>>(),
            "ratio": self.ratio(),
        })
    }
}

/// What was measured in one line, for whoever waits for the table.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.row.title)?;
        for (index, series) in self.series.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let median = series.median().map_or_else(|| "?".to_owned(), show);
            write!(f, "{comma} {} {median}", series.who)?;
        }
        write!(f, " {}", self.row.unit)
    }
}

/// Ours beside what is possible.
pub(super) fn against_limit(lines: &[Line]) -> String {
    let mut table = Table::new(&["workload", "unit", "min", "median", "max", "limit", "of it"]);
    for line in lines {
        let [min, median, max] = line.series.first().map_or_else(Default::default, spread_of);
        let limit = line.best().and_then(|series| Some((series.median()?, &series.who)));
        let limit = limit.map(|(median, who)| format!("{} {who}", show(median)));
        let ratio = line.ratio().map(|ratio| match line.row.better {
            Better::More => format!("{} %", show(100.0 * ratio)),
            Better::Less => format!("{}x", show(1.0 / ratio)),
        });
        let (title, unit) = (line.row.title.to_owned(), line.row.unit.to_owned());
        let (limit, ratio) = (limit.unwrap_or_default(), ratio.unwrap_or_default());
        table.row(vec![title, unit, min, median, max, limit, ratio]);
    }
    table.to_string()
}

/// Ours beside others: a line for each of them.
pub(super) fn against_peers(lines: &[Line]) -> String {
    let headers = ["workload", "who", "size", "unit", "min", "median", "max", "ours is better"];
    let mut table = Table::new(&headers);
    for line in lines {
        let best = line.best().map(|series| series.who.as_str());
        for (index, series) in line.series.iter().enumerate() {
            let title = if index == 0 { line.row.title } else { "" };
            let ratio = line.ratio().filter(|_| best == Some(series.who.as_str()));
            let ratio = ratio.map(|ratio| format!("{}x", show(ratio))).unwrap_or_default();
            let [min, median, max] = spread_of(series);
            let (who, size) = (series.who.clone(), show_size(series.size));
            let (title, unit) = (title.to_owned(), line.row.unit.to_owned());
            table.row(vec![title, who, size, unit, min, median, max, ratio]);
        }
    }
    table.to_string()
}

fn spread_of(series: &Series) -> [String; 3] {
    let spread = Spread::of(&series.runs);
    spread.map_or_else(Default::default, |it| [it.min, it.median, it.max].map(show))
}

fn show_size(size: u64) -> String {
    let mib = 1 << 20;
    if size > mib && size.is_multiple_of(mib) {
        return format!("{} MiB", size / mib);
    }
    show(size as f64).split('.').next().unwrap_or_default().to_owned()
}

/// Where and on what it was measured.
pub(super) struct Machine {
    cores: usize,
    processor: String,
    /// How much of its processors' time others took before anything was measured, of 1.
    busy: f64,
    rustc: String,
    /// What others are compared with, with their versions.
    pub(super) peers: Vec<String>,
}

impl Machine {
    pub(super) fn look() -> Machine {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let rustc = Command::new("rustc").arg("--version").output();
        Machine {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: model.map_or_else(String::new, |(_, name)| name.to_owned()),
            busy: busy(),
            rustc: rustc.map_or_else(
                |_| String::new(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ),
            peers: Vec::new(),
        }
    }

    /// Writes everything where the plan wants it.
    pub(super) fn write(&self, path: Option<&Path>, lines: &[Line]) -> Result<()> {
        let Some(path) = path else {
            return Ok(());
        };
        let lines: Vec<Value> = lines.iter().map(Line::json).collect();
        let value = json!({
            "cores": self.cores,
            "processor": self.processor,
            "busy": self.busy,
            "rustc": self.rustc,
            "peers": self.peers,
            "lines": lines,
        });
        let text = format!("{value:#}\n");
        std::fs::write(path, text)
            .map_err(|source| Error::Write { path: path.to_path_buf(), source })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, busy, rustc, peers } = self;
        let percent = busy * 100.0;
        write!(f, "\n{cores} cores ({processor}), {percent:.0} % busy before, {rustc}")?;
        for peer in peers {
            write!(f, ", {peer}")?;
        }
        if *busy > 0.1 {
            write!(f, "\nThe machine was busy: what it measured is worth little.")?;
        }
        Ok(())
    }
}

/// How much of the processors' time is taken, of 1; nothing where the system does not say it.
///
/// The load average would count what ended a minute ago, such as the build of the benchmarks.
fn busy() -> f64 {
    let look = || processor_time(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
    let before = look();
    std::thread::sleep(Duration::from_millis(500));
    match (before, look()) {
        (Some((taken, all)), Some((taken_now, all_now))) if all_now > all => {
            taken_now.saturating_sub(taken) as f64 / (all_now - all) as f64
        }
        _ => 0.0,
    }
}

/// Ticks of all processors since the machine started, those in which they did something and all.
fn processor_time(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests take is part of user.
    let ticks: Vec<u64> = fields.split_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let at_rest: u64 = ticks.get(3..5)?.iter().sum();
    Some((all - at_rest, all))
}

/// A table in Markdown whose columns are aligned for people too; all but the first to the right.
struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(headers: &[&str]) -> Table {
        Table { headers: headers.iter().map(|&text| text.to_owned()).collect(), rows: Vec::new() }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        let rows = self.rows.iter().chain([&self.headers]);
        rows.filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.headers.len()).map(|column| self.width(column)).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            for (column, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "| {cell:<width$} |")?;
                } else {
                    write!(f, " {cell:>width$} |")?;
                }
            }
            writeln!(f)
        };
        line(f, &self.headers)?;
        for (column, width) in widths.iter().enumerate() {
            let start = if column == 0 { "|-" } else { "-" };
            let end = if column == 0 { "-|" } else { ":|" };
            write!(f, "{start}{:-<width$}{end}", "")?;
        }
        writeln!(f)?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

#[cfg(test)]
mod tests {
    use super::super::workload::WORKLOADS;
    use super::*;

    fn line(better: Better, figures: &[(&str, f64)]) -> Line {
        let wanted = |workload: &&Workload| workload.rows[0].better == better;
        let workload = WORKLOADS.iter().find(wanted).unwrap();
        let series = figures.iter().map(|(who, figure)| Series::new(*who, 1, vec![*figure]));
        Line { workload, row: &workload.rows[0], series: series.collect() }
    }

    #[test]
    fn the_best_of_the_others_is_what_ours_is_compared_with() {
        let more = line(Better::More, &[("ours", 60.0), ("a", 2.0), ("b", 3.0)]);
        assert_eq!(more.ratio(), Some(20.0));
        let less = line(Better::Less, &[("ours", 2.0), ("a", 50.0), ("b", 10.0)]);
        assert_eq!(less.ratio(), Some(5.0));
        assert_eq!(line(Better::More, &[("ours", 1.0)]).ratio(), None);
    }

    #[test]
    fn the_limit_is_shown_with_our_share_of_it() {
        let table = against_limit(&[
            line(Better::More, &[("ours", 50.0), ("relays", 200.0)]),
            line(Better::Less, &[("ours", 300.0), ("null", 100.0)]),
        ]);
        assert!(table.contains("200 relays | 25.0 %"), "{table}");
        assert!(table.contains("3.00x"), "{table}");
    }

    #[test]
    fn the_ratio_stands_beside_the_best_peer() {
        let table = against_peers(&[line(Better::More, &[("ours", 60.0), ("a", 2.0), ("b", 3.0)])]);
        let with_ratio: Vec<&str> = table.lines().filter(|line| line.contains("20.0x")).collect();
        assert!(with_ratio.len() == 1 && with_ratio[0].contains(" b |"), "{table}");
    }

    #[test]
    fn a_line_has_everybody_with_the_median() {
        let line = line(Better::More, &[("ours", 60.0), ("a", 2.0)]);
        let (title, unit) = (line.row.title, line.row.unit);
        assert_eq!(line.to_string(), format!("{title}: ours 60.0, a 2.00 {unit}"));
    }

    #[test]
    fn time_at_rest_is_not_time_taken() {
        let stat = "cpu  10 1 5 100 20 1 2 3 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(processor_time(stat), Some((22, 142)));
        assert_eq!(processor_time("cpu 1 2"), None);
        assert_eq!(processor_time(""), None);
    }

    #[test]
    fn sizes_are_bytes_or_counts() {
        assert_eq!(show_size(256 << 20), "256 MiB");
        assert_eq!(show_size(5), "5");
        assert_eq!(show_size(100_000), "100,000");
    }
}
