//! Numbers with units, as Dask writes them.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A text is no duration.
#[derive(Debug, thiserror::Error)]
#[error("expected a number of seconds, or a number with ms, s, min, h or d, such as `5 min`")]
pub(crate) struct NoDuration;

/// A text is no ratio.
#[derive(Debug, thiserror::Error)]
#[error("expected a number above zero, or `inf`")]
pub(crate) struct NoRatio;

/// A text is no port.
#[derive(Debug, thiserror::Error)]
#[error("expected a port, or the first and the last of several, such as `4000:4010`")]
pub(crate) struct NoPorts;

pub(crate) fn ratio(text: &str) -> Result<f64, NoRatio> {
    let ratio = text.parse().map_err(|_| NoRatio)?;
    if ratio > 0.0 { Ok(ratio) } else { Err(NoRatio) }
}

/// A duration as Dask writes them: a number and a unit, of seconds without one.
pub(crate) fn duration(text: &str) -> Result<Duration, NoDuration> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| NoDuration)?;
    let seconds = match unit.trim() {
        "ms" => number / 1_000.0,
        "" | "s" | "seconds" => number,
        "m" | "min" | "minutes" => number * 60.0,
        "h" | "hr" | "hours" => number * 3_600.0,
        "d" | "days" => number * 86_400.0,
        _ => return Err(NoDuration),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| NoDuration)
}

/// `4000`, or `4000:4010` with the last included, as Dask has it.
pub(crate) fn ports(text: &str) -> Result<RangeInclusive<u16>, NoPorts> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(NoPorts);
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    let ports = port(first)?..=port(last)?;
    if ports.is_empty() { Err(NoPorts) } else { Ok(ports) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let seconds = |text| duration(text).unwrap().as_secs_f64();
        assert_eq!(
            ["90", "1.5s", "2h", "10 min", "250ms"].map(seconds),
            [90.0, 1.5, 7200.0, 600.0, 0.25]
        );
        for wrong in ["", "soon", "-1", "5 fortnights", "inf", "NaN", "1e30"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_ratio_is_above_zero() {
        assert_eq!(ratio("inf").unwrap(), f64::INFINITY);
        for wrong in ["0", "-1", "NaN", "much"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_one_or_many() {
        assert_eq!(ports("4000").unwrap(), 4000..=4000);
        assert_eq!(ports("4000:4010").unwrap(), 4000..=4010);
        for wrong in ["", "0", "4010:4000", "4000:", "70000", "a:b"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
