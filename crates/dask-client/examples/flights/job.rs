//! The job itself: tasks over byte ranges of a CSV file, combined by a tree of tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use dask_client::{Client, Future, Result, task};
use serde::{Deserialize, Serialize};

/// What is known of one carrier after a part of the flights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Flights.
    pub(crate) flights: u64,
    /// Flights whose arrival delay is recorded.
    pub(crate) arrivals: u64,
    /// The sum of those delays in minutes.
    pub(crate) arrival_delay: i64,
    /// The largest departure delay in minutes.
    pub(crate) largest_departure_delay: Option<i64>,
    /// Miles.
    pub(crate) miles: u64,
}

/// Sums by carrier code.
pub(crate) type Summary = BTreeMap<String, Sums>;

impl Sums {
    /// Minutes; `None` where no arrival was recorded.
    pub(crate) fn mean_arrival_delay(&self) -> Option<f64> {
        (self.arrivals > 0).then(|| self.arrival_delay as f64 / self.arrivals as f64)
    }

    /// Takes in what another part of the flights adds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.flights += other.flights;
        self.arrivals += other.arrivals;
        self.arrival_delay += other.arrival_delay;
        self.largest_departure_delay =
            self.largest_departure_delay.max(other.largest_departure_delay);
        self.miles += other.miles;
    }
}

/// The sums of the rows between two positions in a file, both of them starts of lines.
#[task]
pub(crate) fn summarize(path: &str, start: u64, end: u64) -> io::Result<Summary> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut summary = Summary::new();
    for line in BufReader::new(file.take(end - start)).lines() {
        let line = line?;
        let row = parse(&line).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("this is no flight: {line:?}"))
        })?;
        summary.entry(row.0.to_owned()).or_default().add(&row.1);
    }
    Ok(summary)
}

/// The sums of several parts together.
#[task]
pub(crate) fn merge(parts: &[Summary]) -> Summary {
    let mut whole = Summary::new();
    for (carrier, sums) in parts.iter().flatten() {
        whole.entry(carrier.clone()).or_default().add(sums);
    }
    whole
}

/// One row: the carrier and what the flight adds to its sums. `NA` is a missing value.
pub(crate) fn parse(line: &str) -> Option<(&str, Sums)> {
    let fields: Vec<&str> = line.split(',').collect();
    let number = |index: usize| match *fields.get(index)? {
        "NA" => Some(None),
        text => text.parse::<i64>().ok().map(Some),
    };
    let arrival_delay = number(8)?;
    let sums = Sums {
        flights: 1,
        arrivals: u64::from(arrival_delay.is_some()),
        arrival_delay: arrival_delay.unwrap_or(0),
        largest_departure_delay: number(5)?,
        miles: fields.get(15)?.parse().ok()?,
    };
    Some((fields.get(9)?, sums))
}

/// Cuts a file behind its header into ranges of about `size` bytes, each ending with a line.
pub(crate) fn ranges(path: &Path, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut file = BufReader::new(File::open(path)?);
    let length = file.get_ref().metadata()?.len();
    let mut line = Vec::new();
    let mut start = file.read_until(b'\n', &mut line)? as u64;
    let mut ranges = Vec::new();
    while start < length {
        file.seek(SeekFrom::Start((start + size).min(length)))?;
        line.clear();
        file.read_until(b'\n', &mut line)?;
        let end = file.stream_position()?;
        ranges.push((start, end));
        start = end;
    }
    Ok(ranges)
}

/// How many parts one `merge` takes.
const FAN_IN: usize = 4;

/// Submits the job: a task for each range, and above them a tree of merges. The parts, and the
/// whole.
pub(crate) fn submit(
    client: &Client,
    path: &Path,
    size: u64,
) -> Result<(Vec<Future<Summary>>, Future<Summary>)> {
    let text = path.to_string_lossy();
    let calls = ranges(path, size)?.into_iter().map(|(start, end)| (&*text, start, end));
    let parts: Vec<Future<Summary>> = client.map(summarize, calls);
    let mut level = parts.clone();
    while level.len() > 1 {
        level = level.chunks(FAN_IN).map(|parts| client.submit(merge, parts)).collect();
    }
    let whole = level.pop().unwrap_or_else(|| client.submit(merge, Vec::<Summary>::new()));
    Ok((parts, whole))
}
