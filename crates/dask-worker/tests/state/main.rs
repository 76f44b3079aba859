//! The worker's pure state: scripts of events with what they lead to, and random events.
//!
//! `UPDATE_EXPECT=1 cargo test -p dask-worker --test state` writes what happens into the scripts.

mod random;
mod script;

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn scripts_lead_to_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state");
    let entries = fs::read_dir(folder).expect("the folder of scripts");
    let mut scripts: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts");
    let mut wrong = Vec::new();
    for path in scripts {
        let expected = fs::read_to_string(&path).expect("a script");
        let actual = script::play(&expected);
        if actual == expected {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, actual).expect("a script can be written");
        } else {
            wrong.push(format!("{}:\n{}", path.display(), difference(&expected, &actual)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first lines that differ, with what was expected.
fn difference(expected: &str, actual: &str) -> String {
    let common = expected.lines().zip(actual.lines()).take_while(|(a, b)| a == b).count();
    let excerpt = |text: &str| {
        let lines = text.lines().skip(common.saturating_sub(3)).take(8);
        lines.collect::<Vec<_>>().join("\n    ")
    };
    format!(
        "  line {}, expected:\n    {}\n  actual:\n    {}",
        common + 1,
        excerpt(expected),
        excerpt(actual)
    )
}
