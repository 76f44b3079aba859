//! What people read, in logs, errors and reports: written in one way wherever it is said. A size
//! is a [`ByteSize`](crate::ByteSize).

use std::error::Error;
use std::time::Duration;

/// An error and its causes on one line, each said once.
#[must_use]
pub fn describe(error: &dyn Error) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (**cause).source()) {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line.replace('\n', " ")
}

/// A duration to read, not to calculate with: `20 us`, `1.5 s`, `3 min 20 s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.as_nanos() {
        nanos @ 0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} us", amount(duration.as_secs_f64() * 1e6)),
        1_000_000..1_000_000_000 => format!("{} ms", amount(duration.as_secs_f64() * 1e3)),
        _ if seconds < 120 => format!("{} s", amount(duration.as_secs_f64())),
        _ if seconds < 7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A number with one decimal place, if it needs one.
pub(crate) fn amount(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn chain(texts: &[&'static str]) -> Option<Box<Layer>> {
        let (text, rest) = texts.split_first()?;
        let source = chain(rest);
        Some(Box::new(Layer { text, source }))
    }

    fn line(texts: &[&'static str]) -> String {
        chain(texts).map_or_else(String::new, |error| describe(&*error))
    }

    #[test]
    fn causes_follow_on_the_same_line() {
        assert_eq!(line(&["cannot start", "port\ntaken"]), "cannot start: port taken");
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        assert_eq!(line(&["cannot start: port taken", "port taken"]), "cannot start: port taken");
    }

    #[test]
    fn durations_are_short() {
        let short = |nanos| duration(Duration::from_nanos(nanos));
        assert_eq!([0, 999].map(short), ["0 ns", "999 ns"]);
        assert_eq!([7_500, 20_000].map(short), ["7.5 us", "20 us"]);
        assert_eq!([1_000_000, 7_500_000].map(short), ["1 ms", "7.5 ms"]);
        assert_eq!([1_000_000_000, 119_900_000_000].map(short), ["1 s", "119.9 s"]);
        assert_eq!([200, 9_000].map(|s| short(s * 1_000_000_000)), ["3 min 20 s", "2 h 30 min"]);
    }
}
