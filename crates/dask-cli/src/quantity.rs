//! Numbers with units, as Dask writes them.

use std::collections::BTreeMap;
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

/// A text is no list of resources.
#[derive(Debug, thiserror::Error)]
#[error("expected resources of the form `GPU=1 MEMORY=16e9`")]
pub(crate) struct NoResources;

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

/// Abstract resources, separated by spaces or commas.
pub(crate) fn resources(text: &str) -> Result<BTreeMap<String, f64>, NoResources> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let resource = |word: &str| {
        let (name, amount) = word.split_once('=')?;
        let amount: f64 = amount.parse().ok()?;
        let is_valid = !name.is_empty() && amount.is_finite() && amount >= 0.0;
        is_valid.then(|| (name.to_owned(), amount))
    };
    words.map(|word| resource(word).ok_or(NoResources)).collect()
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
    fn resources_have_names_and_amounts() {
        let expected = BTreeMap::from([("GPU".to_owned(), 1.0), ("MEM".to_owned(), 1e10)]);
        assert_eq!(resources("GPU=1 MEM=10e9").unwrap(), expected);
        assert_eq!(resources("GPU=1,MEM=10e9").unwrap(), expected);
        for wrong in ["GPU", "=1", "GPU=one", "GPU=-1", "GPU=inf"] {
            assert!(resources(wrong).is_err(), "{wrong}");
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
