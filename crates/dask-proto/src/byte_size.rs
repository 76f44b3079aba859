use std::fmt;
use std::str::FromStr;

use crate::human::amount;

/// A number of bytes as people write it: it reads `1000000`, `512MiB`, `1.5 GB` (Dask's
/// `parse_bytes`), and writes `512 MiB` (Dask's `format_bytes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// The text is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseByteSizeError {
    /// It does not start with a number.
    #[error("{0:?} does not start with a number of bytes")]
    Number(String),
    /// What is behind the number is no unit.
    #[error("{0:?} is no unit of bytes, such as MB or MiB")]
    Unit(String),
}

/// The units that are read, in any case.
const UNITS: [(&str, u64); 12] = [
    ("", 1),
    ("b", 1),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pib", 1 << 50),
];

/// The units that are written beyond bytes, each 1024 times the one before.
const WRITTEN: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.trim();
        let found = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
        let (_, factor) = found.ok_or_else(|| ParseByteSizeError::Unit(unit.to_owned()))?;
        if let Ok(whole) = number.parse::<u64>() {
            return Ok(Self(whole.saturating_mul(*factor)));
        }
        let number: f64 =
            number.parse().map_err(|_| ParseByteSizeError::Number(text.to_owned()))?;
        Ok(Self((number * *factor as f64) as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut size = self.0 as f64;
        let mut unit = "B";
        for larger in WRITTEN {
            if size < 1024.0 {
                break;
            }
            (size, unit) = (size / 1024.0, larger);
        }
        write!(f, "{} {unit}", amount(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_read_them() {
        let sizes = [0, 1023, 1024, 1536 << 20, 1 << 50, u64::MAX];
        let sizes = sizes.map(|bytes| ByteSize(bytes).to_string());
        assert_eq!(sizes, ["0 B", "1023 B", "1 KiB", "1.5 GiB", "1 PiB", "16384 PiB"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [0, 1023, 1536 << 20, 1 << 50] {
            assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = [
            ("1000", 1000),
            ("512MiB", 512 << 20),
            ("1.5 GB", 1_500_000_000),
            (" 2kb ", 2000),
            ("3 b", 3),
            ("2 PiB", 2 << 50),
            ("0", 0),
            ("99999999999TiB", u64::MAX),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused_by_name() {
        let refused = |text: &str| text.parse::<ByteSize>().expect_err(text).to_string();
        assert_eq!(refused("5 apples"), "\"apples\" is no unit of bytes, such as MB or MiB");
        assert_eq!(refused("MiB"), "\"MiB\" does not start with a number of bytes");
        assert_eq!(refused("1.2.3"), "\"1.2.3\" does not start with a number of bytes");
        assert!("-1".parse::<ByteSize>().is_err());
    }
}
