//! The table of tests by verb: every verb of the client has tests, and they exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::names::Api;
use super::{Violation, files};
use crate::error::{Error, Result};

/// Where the table is, and where its tests are.
const TABLE: &str = "docs/tests.md";
const TESTS: &str = "tests/it/";

/// Checks the table of the tree.
pub(super) fn check(root: &Path, api: &Api) -> Result<Vec<Violation>> {
    let read = |path: &str| {
        let full = root.join(path);
        std::fs::read_to_string(&full).map_err(|source| Error::Read { path: full, source })
    };
    let mut tests = BTreeSet::new();
    for path in files(root)? {
        if let Some(module) = module_of(&path)
            && root.join(&path).is_file()
        {
            tests.extend(functions(&read(&path)?).map(|name| format!("{module}::{name}")));
        }
    }
    Ok(check_table(&read(TABLE)?, api, &tests))
}

fn check_table(table: &str, api: &Api, tests: &BTreeSet<String>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut verbs = BTreeSet::new();
    let violation = |line, remedy: String| Violation::new(TABLE, line, "verbs-tested", remedy);
    for (line, number) in table.lines().zip(1..) {
        let Some(row) = line.strip_prefix("| `") else { continue };
        let row = format!("`{row}");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [names, test, twin, ""] = cells[..] else {
            found.push(violation(number, "a row has three cells".to_owned()));
            continue;
        };
        verbs.extend(quoted(names).map(str::to_owned));
        for (module, cell) in [("", test), ("blocking", twin)] {
            let has_verb = quoted(names).any(|verb| api.has_client_verb(module, verb));
            if has_verb && quoted(cell).next().is_none() {
                found.push(violation(number, format!("name a test of {names}")));
            }
            let missing = quoted(cell).filter(|test| !tests.contains(*test));
            let remedy = |test| format!("{TESTS} has no {test}: correct the row");
            found.extend(missing.map(|test| violation(number, remedy(test))));
        }
    }
    let without = ["", "blocking"].into_iter().flat_map(|module| api.client_verbs(module));
    let without: BTreeSet<&str> = without.filter(|verb| !verbs.contains(*verb)).collect();
    found.extend(without.into_iter().map(|verb| violation(1, format!("`{verb}` has no row"))));
    found
}

fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The module of a file with tests.
fn module_of(path: &str) -> Option<String> {
    let module = path.strip_prefix(TESTS)?.strip_suffix(".rs")?;
    Some(module.strip_suffix("/mod").unwrap_or(module).replace('/', "::"))
}

/// The functions of a file.
fn functions(content: &str) -> impl Iterator<Item = &str> {
    content.lines().filter_map(|line| {
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
        rest.split(['(', '<']).next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Api {
        let mut api = Api::default();
        api.add(
            "crates/dask-client/src/client/mod.rs",
            "impl Client {\n    pub fn get(&self) {}\n    pub fn put(&self) {}\n}\n",
        );
        api.add(
            "crates/dask-client/src/blocking/mod.rs",
            "impl Client {\n    pub fn get(&self) {}\n    pub fn sync(&self) {}\n}\n",
        );
        api
    }

    fn remedies(rows: &str) -> Vec<String> {
        let tests = BTreeSet::from(["a::one".to_owned(), "b::two".to_owned()]);
        let found = check_table(rows, &api(), &tests).into_iter();
        found.map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn every_verb_has_tests_that_exist() {
        let rows = "| `get`, `put` | `a::one` | `b::two` |\n| `sync` | – | `b::two` |\n";
        assert_eq!(remedies(rows), [""; 0]);
        let found = remedies("| `get` | `a::one` | – |\n| `put` | `a::three` | – |\n");
        let expected =
            ["name a test of `get`", "has no a::three: correct the row", "`sync` has no row"];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn tests_have_the_names_of_their_modules() {
        assert_eq!(module_of("tests/it/agent/mod.rs").as_deref(), Some("agent"));
        assert_eq!(module_of("tests/it/faults/kill.rs").as_deref(), Some("faults::kill"));
        let functions: Vec<_> =
            functions("async fn one() {\n    fn inner() {}\nfn two<T>() {").collect();
        assert_eq!(functions, ["one", "two"]);
    }
}
