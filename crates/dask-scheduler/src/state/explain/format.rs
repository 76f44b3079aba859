use std::time::Duration;

use dask_proto::Moment;

use super::super::task::Since;

/// How long ago something was.
pub(super) fn age(now: Moment, since: Since) -> String {
    duration(now.since(since.moment()))
}

/// A duration to read, not to calculate with.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_micros() < 1_000 => format!("{} us", duration.as_micros()),
        0 => format!("{} ms", duration.as_millis()),
        1..=119 => format!("{:.1} s", duration.as_secs_f64()),
        120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A size to read.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return counted(usize::try_from(bytes).unwrap_or(usize::MAX), "byte");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number and what it counts.
pub(super) fn counted(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
}

/// Names, and how many more there are than are named.
pub(super) fn and_more<T: AsRef<str>>(names: &[T], total: usize) -> String {
    let named: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let named = named.join(", ");
    match total.saturating_sub(names.len()) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
