//! What the processes of a program are at that does not answer.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Every thread of a process group with its state and where in the kernel it waits, a line each.
/// Nothing where the system does not tell: only Linux does.
pub(super) fn of_group(group: u32) -> String {
    let mut lines = String::new();
    for process in entries(Path::new("/proc")) {
        if stat(&process).is_none_or(|(_, of)| of != group) {
            continue;
        }
        for thread in entries(&process.join("task")) {
            let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            let waits = fs::read_to_string(thread.join("wchan")).unwrap_or_default();
            let Some((state, _)) = stat(&thread) else { continue };
            let id = thread.file_name().unwrap_or_default().to_string_lossy();
            let (name, waits) = (name.trim(), waits.trim_start_matches('0'));
            let _ = write!(lines, "\n  {id:>8} {name:<16} {state} {waits}");
        }
    }
    lines
}

/// The state of a process or thread, one letter, and its process group.
fn stat(of: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(of.join("stat")).ok()?;
    // Its name is in parentheses and may contain any.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((state, group))
}

/// The processes below /proc, or the threads of one.
fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_number = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok())
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(is_number).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_of_a_group_are_listed() {
        let (_, group) = stat(Path::new("/proc/self")).unwrap();
        let lines = of_group(group);
        let id = std::process::id().to_string();
        assert!(lines.lines().any(|line| line.trim_start().starts_with(&id)), "{lines}");
        assert_eq!(of_group(u32::MAX), "");
    }
}
