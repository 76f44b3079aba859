//! The list of mutations: each breaks the workspace in one place.

use std::path::Path;

use crate::error::{Error, Result};

/// Where the list is.
pub(crate) const LIST: &str = "tests/sim/mutations.txt";

/// What is on a line of its own before, between and after the two texts.
const FROM: &str = "<<<<";
const TO: &str = "====";
const END: &str = ">>>>";

/// A way to break a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutation {
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) why: String,
    /// The file, relative to the root.
    pub(crate) file: String,
    /// The line of the list that it starts at, from 1.
    pub(crate) line: usize,
    /// The text in the file that is replaced.
    from: String,
    to: String,
}

impl Mutation {
    /// The file with the mutation; what is wrong with the mutation if the text that it replaces is
    /// not there exactly once.
    pub(crate) fn apply(&self, content: &str) -> std::result::Result<String, &'static str> {
        match content.matches(self.from.as_str()).count() {
            0 => Err("its text is not in its file any more"),
            1 => Ok(content.replacen(self.from.as_str(), &self.to, 1)),
            _ => Err("its text is in its file more than once"),
        }
    }
}

/// The list of a workspace.
pub(crate) fn list(root: &Path) -> Result<Vec<Mutation>> {
    let path = root.join(LIST);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
    parse(&text)
}

/// What is wrong with the list, by line: mutations that no longer fit.
pub(crate) fn check(root: &Path, mutations: &[Mutation]) -> Vec<(usize, String)> {
    let objection = |mutation: &Mutation| {
        let content = std::fs::read_to_string(root.join(&mutation.file));
        let content = content.map_err(|_| "its file cannot be read");
        let wrong = content.and_then(|content| mutation.apply(&content)).err()?;
        Some((mutation.line, format!("{}: {wrong} ({})", mutation.name, mutation.file)))
    };
    mutations.iter().filter_map(objection).collect()
}

fn parse(text: &str) -> Result<Vec<Mutation>> {
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((index, line)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line_number = index + 1;
        let malformed = || Error::Mutation { line: line_number };
        let name = line.strip_prefix("mutation ").ok_or_else(malformed)?;
        let mut field = |label: &str| {
            let line = lines.next().and_then(|(_, line)| line.strip_prefix(label));
            line.map(str::to_owned).ok_or_else(malformed)
        };
        let (why, file) = (field("why: ")?, field("file: ")?);
        field(FROM)?;
        let mut until = |end: &str| {
            let mut text = Vec::new();
            for (_, line) in lines.by_ref() {
                if line == end {
                    return Ok(text.join("\n"));
                }
                text.push(line);
            }
            Err(malformed())
        };
        let (from, to) = (until(TO)?, until(END)?);
        let name = name.to_owned();
        found.push(Mutation { name, why, file, line: line_number, from, to });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A list.\n\nmutation one\nwhy: it must not\nfile: a.rs\n\
                        <<<<\n    if x {\n        y\n====\n    if true {\n        y\n>>>>\n";

    #[test]
    fn a_mutation_replaces_its_text() {
        let mutations = parse(TEXT).unwrap();
        let [mutation] = &mutations[..] else { panic!("{mutations:?}") };
        assert_eq!((mutation.name.as_str(), mutation.line), ("one", 3));
        let mutated = mutation.apply("a\n    if x {\n        y\n    }\n");
        assert_eq!(mutated.as_deref(), Ok("a\n    if true {\n        y\n    }\n"));
    }

    #[test]
    fn a_mutation_whose_text_is_not_there_once_does_not_fit() {
        let mutations = parse(TEXT).unwrap();
        assert!(mutations[0].apply("a").is_err());
        let text = "    if x {\n        y\n";
        assert!(mutations[0].apply(&text.repeat(2)).is_err());
    }

    #[test]
    fn a_list_that_breaks_off_is_no_list() {
        for broken in ["mutation one\n", "one\n", &TEXT[..TEXT.len() - 5]] {
            assert!(matches!(parse(broken), Err(Error::Mutation { .. })), "{broken}");
        }
    }
}
