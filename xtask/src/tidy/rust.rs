//! Rules about each Rust file by itself.

use super::Violation;
use super::source::Source;

/// The longest file, tests at its end not counted.
const LINES: usize = 500;
/// The longest file of those that are allowed to be longer.
const LINES_AT_MOST: usize = 800;
/// Files that lose by being cut, each with its reason in a comment.
const LONG_FILES: &[&str] = &[];
const COLUMNS: usize = 100;
const MODULE_NAMES: [&str; 5] = ["utils", "common", "helpers", "manager", "types"];
const MARKERS: [(&str, &str); 5] = [
    ("todo!(", "write it, or leave it out"),
    ("unimplemented!(", "write it, or leave it out"),
    ("dbg!(", "remove it, or log with tracing"),
    ("#[ignore", "mend the test, or remove it"),
    ("allow(dead_code)", "remove what nothing uses"),
];
const NOTES: [&str; 2] = ["TODO", "FIXME"];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut found = file_length(source);
    found.extend(module_names(source));
    found.extend(line_length(source));
    found.extend(markers(source));
    found.extend(notes(source));
    found.extend(unwraps(source));
    found.extend(sleeps(source));
    found
}

fn file_length(source: &Source<'_>) -> Vec<Violation> {
    let lines = match source.tests_from {
        0 => source.lines.len(),
        before_tests => before_tests,
    };
    let limit = if LONG_FILES.contains(&source.path) { LINES_AT_MOST } else { LINES };
    if lines <= limit {
        return Vec::new();
    }
    let remedy = format!("{lines} lines: split it, {limit} are allowed");
    let violation = Violation::new(source.path, limit + 1, "file-length", remedy);
    vec![violation]
}

fn module_names(source: &Source<'_>) -> Vec<Violation> {
    let remedy = "name the module after what it holds";
    let mut found = Vec::new();
    let stem = source.path.trim_end_matches(".rs");
    if stem.split('/').any(|part| MODULE_NAMES.contains(&part)) {
        found.push(Violation::new(source.path, 1, "module-name", remedy));
    }
    for (index, line) in source.code.iter().enumerate() {
        let mut words = line.split_whitespace();
        let name = words.find(|word| *word == "mod").and_then(|_| words.next());
        // `mod name;` is told of where the file lies.
        if name.is_some_and(|name| MODULE_NAMES.contains(&name)) {
            found.push(Violation::new(source.path, index + 1, "module-name", remedy));
        }
    }
    found
}

fn line_length(source: &Source<'_>) -> Vec<Violation> {
    let lines = source.lines.iter().enumerate();
    lines
        .filter(|(_, line)| line.chars().count() > COLUMNS)
        .map(|(index, _)| {
            let remedy = format!("break the line, {COLUMNS} characters are allowed");
            Violation::new(source.path, index + 1, "line-length", remedy)
        })
        .collect()
}

fn markers(source: &Source<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, line) in source.code.iter().enumerate() {
        for (marker, remedy) in MARKERS {
            if line.contains(marker) {
                found.push(Violation::new(source.path, index + 1, "marker", remedy));
            }
        }
    }
    found
}

fn notes(source: &Source<'_>) -> Vec<Violation> {
    let remedy = "do it now, or file an issue";
    let lines = source.comments.iter().enumerate();
    lines
        .filter(|(_, line)| NOTES.iter().any(|note| line.contains(note)))
        .map(|(index, _)| Violation::new(source.path, index + 1, "note", remedy))
        .collect()
}

/// Clippy denies `unwrap` too, but not behind a macro or a `cfg` that it was not run for.
fn unwraps(source: &Source<'_>) -> Vec<Violation> {
    let in_library = source.path.split('/').any(|part| part == "src");
    if !in_library {
        return Vec::new();
    }
    let remedy = "return an error, or say with `expect` why it cannot happen";
    let lines = source.code.iter().enumerate();
    lines
        .filter(|(index, line)| !source.is_test(*index) && line.contains(".unwrap()"))
        .map(|(index, _)| Violation::new(source.path, index + 1, "unwrap", remedy))
        .collect()
}

/// A test that sleeps is slow on a fast machine and fails on a slow one.
fn sleeps(source: &Source<'_>) -> Vec<Violation> {
    let remedy = "wait for what the test is about, or say why with `// sleep: reason`";
    let lines = source.code.iter().enumerate();
    lines
        .filter(|(index, line)| source.is_test(*index) && calls_sleep(line))
        .filter(|(index, _)| !has_reason(source, *index))
        .map(|(index, _)| Violation::new(source.path, index + 1, "sleep", remedy))
        .collect()
}

fn calls_sleep(line: &str) -> bool {
    line.match_indices("sleep(").any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// On the line itself or on the one above.
fn has_reason(source: &Source<'_>, index: usize) -> bool {
    source.comments[index.saturating_sub(1)..=index]
        .iter()
        .filter_map(|comment| comment.split_once("// sleep:"))
        .any(|(_, reason)| !reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: &str, path: &str, content: &str) -> Vec<usize> {
        let found = check(&Source::new(path, content));
        let found = found.into_iter().filter(|violation| violation.rule == rule);
        found.map(|violation| violation.line).collect()
    }

    const LIBRARY: &str = "crates/a/src/lib.rs";

    #[test]
    fn long_files_are_found_but_their_tests_are_free() {
        let code = "fn a() {}\n";
        assert!(lines("file-length", LIBRARY, &code.repeat(500)).is_empty());
        assert_eq!(lines("file-length", LIBRARY, &code.repeat(501)), [501]);
        let mut tested = code.repeat(500);
        tested.push_str("#[cfg(test)]\nmod tests {\n");
        tested.push_str(&code.repeat(500));
        assert!(lines("file-length", LIBRARY, &tested).is_empty());
        assert_eq!(lines("file-length", "tests/it/a.rs", &code.repeat(501)), [501]);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        assert_eq!(lines("module-name", "crates/a/src/types.rs", ""), [1]);
        assert_eq!(lines("module-name", "crates/a/src/common/mod.rs", ""), [1]);
        assert_eq!(lines("module-name", LIBRARY, "fn a() {}\npub mod utils {\n"), [2]);
        assert!(lines("module-name", "crates/a/src/entry.rs", "mod types_of;").is_empty());
    }

    #[test]
    fn long_lines_are_counted_in_characters() {
        assert!(lines("line-length", LIBRARY, &"é".repeat(100)).is_empty());
        assert_eq!(lines("line-length", LIBRARY, &"é".repeat(101)), [1]);
    }

    #[test]
    fn markers_are_found_in_code_alone() {
        for (marker, _) in MARKERS {
            assert_eq!(lines("marker", LIBRARY, &format!("a\n{marker}")), [2]);
            assert!(lines("marker", LIBRARY, &format!("// {marker}")).is_empty());
            assert!(lines("marker", LIBRARY, &format!("f(\"{marker}\")")).is_empty());
        }
    }

    #[test]
    fn notes_are_found_in_comments_alone() {
        for note in NOTES {
            assert_eq!(lines("note", LIBRARY, &format!("a(); // {note}: later")), [1]);
            assert!(lines("note", LIBRARY, &format!("f(\"{note}\")")).is_empty());
        }
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_eq!(lines("unwrap", LIBRARY, "a.unwrap();"), [1]);
        assert!(lines("unwrap", LIBRARY, "/// a.unwrap();\na.unwrap_or(1);").is_empty());
        let test = "#[cfg(test)]\nmod tests {\na.unwrap();";
        assert!(lines("unwrap", LIBRARY, &format!("fn a() {{}}\n{test}")).is_empty());
        assert!(lines("unwrap", "tests/it/a.rs", "a.unwrap();").is_empty());
        assert!(lines("unwrap", "crates/a/tests/a.rs", "a.unwrap();").is_empty());
    }

    #[test]
    fn a_test_sleeps_with_a_reason_only() {
        let path = "tests/it/a.rs";
        assert_eq!(lines("sleep", path, "tokio::time::sleep(d).await;"), [1]);
        assert_eq!(lines("sleep", path, "sleep(d); // sleep:"), [1]);
        assert!(lines("sleep", path, "sleep(d); // sleep: the task is slow").is_empty());
        assert!(lines("sleep", path, "// sleep: the task is slow\nsleep(d);").is_empty());
        assert!(lines("sleep", path, "is_asleep(d); no_sleep(d);").is_empty());
        assert!(lines("sleep", LIBRARY, "sleep(d);").is_empty());
        let test = "fn a() {}\n#[cfg(test)]\nmod tests {\nsleep(d);";
        assert_eq!(lines("sleep", LIBRARY, test), [4]);
    }
}
