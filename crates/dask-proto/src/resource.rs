use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Abstract resources of workers, as people write them: `GPU=1 MEMORY=16e9`, separated by spaces or
/// commas.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources(pub BTreeMap<String, f64>);

/// A text is no list of resources.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected resources of the form `GPU=1 MEMORY=16e9`")]
pub struct ParseResourcesError;

impl Resources {
    /// Whether a worker can have so much of this; the name must be told from what stands around it.
    #[must_use]
    pub fn is_valid(name: &str, amount: f64) -> bool {
        !name.is_empty() && !name.contains([' ', ',', '=']) && amount.is_finite() && amount >= 0.0
    }
}

impl FromStr for Resources {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let resource = |word: &str| {
            let (name, amount) = word.split_once('=')?;
            let amount: f64 = amount.parse().ok()?;
            Self::is_valid(name, amount).then(|| (name.to_owned(), amount))
        };
        words
            .map(|word| resource(word).ok_or(ParseResourcesError))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, amount)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{name}={amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<BTreeMap<String, f64>> {
        text.parse().ok().map(|Resources(resources)| resources)
    }

    #[test]
    fn resources_are_read() {
        let expected = BTreeMap::from([("GPU".to_owned(), 1.0), ("MEMORY".to_owned(), 16e9)]);
        for text in ["GPU=1 MEMORY=16e9", "GPU=1,MEMORY=16000000000", " GPU=1.0, MEMORY=16e9 "] {
            assert_eq!(read(text).as_ref(), Some(&expected), "{text}");
        }
        assert_eq!(read(""), Some(BTreeMap::new()));
        for text in ["GPU", "=1", "GPU=one", "GPU=-1", "GPU=inf", "GPU=NaN", "GPU = 1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let resources = BTreeMap::from([("GPU".to_owned(), 0.1), ("x".to_owned(), 1e300)]);
        assert_eq!(read(&Resources(resources.clone()).to_string()), Some(resources));
    }
}
