//! Rules about the pure half of each peer.

use super::Violation;
use super::source::Source;

const PURITY: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";
const SHELL_WORDS: [&str; 3] = ["tokio", "async", ".await"];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some(inside) = inside_state(source.path) else {
        return found;
    };
    let is_root = matches!(inside, "" | "mod.rs");
    if is_root && !source.code.iter().any(|line| line.trim() == PURITY) {
        let remedy = format!("add {PURITY} at its top");
        found.push(Violation::new(source.path, 1, "state-purity", remedy));
    }
    for (index, line) in source.code.iter().enumerate() {
        if SHELL_WORDS.iter().any(|word| mentions(line, word)) {
            let remedy = "a state is synchronous: leave tasks, timers and IO to the shell";
            found.push(Violation::new(source.path, index + 1, "state-purity", remedy));
        }
    }
    found
}

/// The path inside a crate's `state` module; empty for a `state.rs`.
fn inside_state(path: &str) -> Option<&str> {
    let (_, inside) = path.strip_prefix("crates/")?.split_once("/src/state")?;
    inside.strip_prefix('/').or((inside == ".rs").then_some(""))
}

fn mentions(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let inner = word.starts_with('.') || !before.is_some_and(part_of_word);
        inner && !after.is_some_and(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, content: &str) -> Vec<usize> {
        let found = check(&Source::new(path, content));
        found.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn the_root_of_a_state_denies_impurity() {
        let pure = format!("//! A state.\n{PURITY}\n");
        for path in ["crates/a/src/state/mod.rs", "crates/a/src/state.rs"] {
            assert_eq!(lines(path, "fn a() {}"), [1]);
            assert_eq!(lines(path, &format!("// {PURITY}")), [1]);
            assert!(lines(path, &pure).is_empty());
        }
        assert!(lines("crates/a/src/state/entry.rs", "fn a() {}").is_empty());
    }

    #[test]
    fn a_state_knows_no_runtime() {
        let path = "crates/a/src/state/transition/mod.rs";
        assert_eq!(lines(path, "fn a() {}\nuse tokio::sync;"), [2]);
        assert_eq!(lines(path, "async fn a() {}"), [1]);
        assert_eq!(lines(path, "a().await;"), [1]);
        assert!(lines(path, "// tokio\nfn async_like() {}").is_empty());
        assert!(lines("crates/a/src/shell.rs", "async fn a() {}").is_empty());
        assert!(lines("crates/a/src/state_of.rs", "async fn a() {}").is_empty());
    }
}
