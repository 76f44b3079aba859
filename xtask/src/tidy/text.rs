//! Rules about text of every kind.

use super::Violation;

const ARCHITECTURE_LINES: usize = 300;

/// Whether the file is written by hand in this project, going by its name.
pub(super) fn is_text(path: &str) -> bool {
    let ends = [".rs", ".toml", ".md", ".yml"];
    ends.iter().any(|end| path.ends_with(end)) || path == ".ci/run"
}

pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let mut found = trailing_whitespace(path, content);
    found.extend(architecture_length(path, content));
    found
}

fn trailing_whitespace(path: &str, content: &str) -> Vec<Violation> {
    let lines = content.lines().enumerate();
    lines
        .filter(|(_, line)| line.ends_with(char::is_whitespace))
        .map(|(index, _)| {
            let remedy = "end the line with its last word";
            Violation::new(path, index + 1, "trailing-whitespace", remedy)
        })
        .collect()
}

fn architecture_length(path: &str, content: &str) -> Option<Violation> {
    let lines = content.lines().count();
    if path != "ARCHITECTURE.md" || lines <= ARCHITECTURE_LINES {
        return None;
    }
    let remedy = format!("{lines} lines: cut it, {ARCHITECTURE_LINES} are read");
    Some(Violation::new(path, ARCHITECTURE_LINES + 1, "architecture-length", remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, content: &str) -> Vec<usize> {
        let found = check(path, content);
        found.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn space_at_the_end_of_a_line_is_found() {
        assert_eq!(lines("a.md", "a\nb \nc\t\n"), [2, 3]);
        assert!(lines("a.md", "a b\n\n  c\n").is_empty());
    }

    #[test]
    fn the_architecture_stays_short_enough_to_be_read() {
        assert!(lines("ARCHITECTURE.md", &"a\n".repeat(300)).is_empty());
        assert_eq!(lines("ARCHITECTURE.md", &"a\n".repeat(301)), [301]);
        assert!(lines("README.md", &"a\n".repeat(301)).is_empty());
    }

    #[test]
    fn data_is_no_text() {
        assert!(is_text("crates/a/src/lib.rs"));
        assert!(!is_text("tests/data/flights.csv.zst"));
    }
}
