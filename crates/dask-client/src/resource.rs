//! Abstract resources of workers as text: `GPU=1 MEMORY=16e9`.

use std::collections::BTreeMap;

/// Reads resources, separated by spaces or commas; `None` if something else stands there.
pub(crate) fn parse(text: &str) -> Option<BTreeMap<String, f64>> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(resource).collect()
}

fn resource(word: &str) -> Option<(String, f64)> {
    let (name, amount) = word.split_once('=')?;
    let amount: f64 = amount.parse().ok()?;
    is_valid(name, amount).then(|| (name.to_owned(), amount))
}

/// Whether a worker can have so much of this; the name must be told from what stands around it.
pub(crate) fn is_valid(name: &str, amount: f64) -> bool {
    !name.is_empty() && !name.contains([' ', ',', '=']) && amount.is_finite() && amount >= 0.0
}

/// Writes resources so that [`parse`] reads them.
#[cfg(feature = "local")]
pub(crate) fn format(resources: &BTreeMap<String, f64>) -> String {
    let words: Vec<_> = resources.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read() {
        let expected = BTreeMap::from([("GPU".to_owned(), 1.0), ("MEMORY".to_owned(), 16e9)]);
        for text in ["GPU=1 MEMORY=16e9", "GPU=1,MEMORY=16000000000", " GPU=1.0, MEMORY=16e9 "] {
            assert_eq!(parse(text).as_ref(), Some(&expected), "{text}");
        }
        assert_eq!(parse(""), Some(BTreeMap::new()));
        for text in ["GPU", "=1", "GPU=one", "GPU=-1", "GPU=inf", "GPU=NaN", "GPU = 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[cfg(feature = "local")]
    #[test]
    fn what_is_written_is_read_back() {
        let resources = BTreeMap::from([("GPU".to_owned(), 0.1), ("x".to_owned(), 1e300)]);
        assert_eq!(parse(&format(&resources)), Some(resources));
    }
}
