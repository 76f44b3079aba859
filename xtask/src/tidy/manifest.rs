//! Rules about Cargo.toml and the files beside it.

use super::Violation;

/// A `clippy.toml` in a crate replaces the one in the root, and with it the purity of states.
pub(super) fn clippy_toml(path: &str) -> Option<Violation> {
    let (_, name) = path.rsplit_once('/')?;
    let name = name.trim_start_matches('.');
    (name == "clippy.toml").then(|| {
        let remedy = "move its settings to the clippy.toml of the root";
        Violation::new(path, 1, "one-clippy-toml", remedy)
    })
}

pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    if path == "Cargo.toml" {
        return reasons(path, content);
    }
    // A fuzz crate is a workspace of its own, for cargo-fuzz.
    if path.starts_with("fuzz/") || path.contains("/fuzz/") {
        return Vec::new();
    }
    versions(path, content)
}

/// A third-party dependency has a comment above it, or above the group of lines that it is in.
fn reasons(path: &str, content: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut section = "";
    let mut reason = false;
    for (index, line) in content.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            (section, reason) = (line, false);
        } else if line.is_empty() {
            reason = false;
        } else if line.starts_with('#') {
            reason = true;
        } else if section == "[workspace.dependencies]" && !reason && !line.contains("path =") {
            let remedy = "say in a comment above why it is worth its weight";
            found.push(Violation::new(path, index + 1, "dependency-reason", remedy));
        }
    }
    found
}

/// Versions are named once, in the root.
fn versions(path: &str, content: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut dependencies = false;
    for (index, line) in content.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            dependencies = line.ends_with("dependencies]");
        } else if dependencies && names_version(line) {
            let remedy = "name the version in the root's [workspace.dependencies]";
            found.push(Violation::new(path, index + 1, "version-in-root", remedy));
        }
    }
    found
}

fn names_version(line: &str) -> bool {
    let entry = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    entry.is_some_and(|(name, value)| {
        !name.starts_with('#') && (value.starts_with('"') || value.contains("version ="))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, content: &str) -> Vec<usize> {
        let found = check(path, content);
        found.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn the_root_alone_has_a_clippy_toml() {
        assert!(clippy_toml("clippy.toml").is_none());
        assert!(clippy_toml("crates/a/clippy.toml").is_some());
        assert!(clippy_toml("crates/a/.clippy.toml").is_some());
        assert!(clippy_toml("crates/a/Cargo.toml").is_none());
    }

    #[test]
    fn a_dependency_has_a_reason() {
        let section = "[workspace.dependencies]\n";
        let with = format!("{section}# Why.\na = \"1\"\nb = \"2\"\n");
        assert!(lines("Cargo.toml", &with).is_empty());
        let without = format!("{section}mine = {{ path = \"x\" }}\n\na = \"1\"\n");
        assert_eq!(lines("Cargo.toml", &without), [4]);
        assert!(lines("Cargo.toml", "[workspace.package]\nversion = \"1\"\n").is_empty());
    }

    #[test]
    fn versions_are_named_in_the_root() {
        let path = "crates/a/Cargo.toml";
        assert_eq!(lines(path, "[dependencies]\na = \"1\"\n"), [2]);
        assert_eq!(lines(path, "[dev-dependencies]\na = { version = \"1\" }\n"), [2]);
        assert!(lines(path, "[package]\nname = \"a\"\n").is_empty());
        assert!(lines(path, "[dependencies]\na.workspace = true\n").is_empty());
        for path in ["fuzz/Cargo.toml", "crates/a/fuzz/Cargo.toml"] {
            assert!(lines(path, "[dependencies]\na = \"1\"\n").is_empty());
        }
    }
}
