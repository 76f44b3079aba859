//! The table of Dask's names: every name that it gives as ours is one of the public API.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::Source;
use super::{Violation, files};
use crate::error::{Error, Result};

/// Where the table is.
const TABLE: &str = "README.md";

/// How its parts begin, with the number of names that each has in Dask.
const PARTS: [(&str, usize); 2] = [
    ("<summary>The 64 public attributes of <code>distributed.Client</code></summary>", 64),
    ("<summary>The 59 names of <code>distributed.__all__</code></summary>", 59),
];

/// How they end.
const END: &str = "</details>";

/// The crate that users name, and where else its public types have their methods.
const CLIENT: &str = "crates/dask-client/src/";
const HOMES: [&str; 4] =
    [CLIENT, "crates/dask-task/src/", "crates/dask-proto/src/", "crates/dask-transport/src/"];

/// The module that doubles what waits.
const BLOCKING: &str = "blocking";

/// Checks the table of the tree.
pub(super) fn check(root: &Path, api: &Api) -> Result<Vec<Violation>> {
    let text = read(root, TABLE)?;
    Ok(PARTS.into_iter().flat_map(|part| check_part(&text, part, api)).collect())
}

fn read(root: &Path, path: &str) -> Result<String> {
    let full = root.join(path);
    std::fs::read_to_string(&full).map_err(|source| Error::Read { path: full, source })
}

/// Checks one part of the table, which has so many rows.
fn check_part(text: &str, (heading, count): (&str, usize), api: &Api) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    let violation = |line, remedy: String| Violation::new(TABLE, line, "dask-names", remedy);
    let mut lines = text.lines().zip(1..);
    let Some((_, at)) = lines.find(|(line, _)| *line == heading) else {
        return vec![violation(1, format!("a part begins with the line {heading}"))];
    };
    for (line, number) in lines.take_while(|(line, _)| *line != END) {
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, here, why, ""] = cells[..] else {
            found.push(violation(number, "a row has three cells".to_owned()));
            continue;
        };
        if !names.insert(name) {
            found.push(violation(number, format!("`{name} has a row already")));
        }
        let ours: Vec<&str> = here.split('`').skip(1).step_by(2).collect();
        if ours.is_empty() && why.is_empty() {
            found.push(violation(number, "say why there is none".to_owned()));
        }
        let missing = ours.into_iter().filter(|name| !api.has(name));
        found.extend(missing.map(|name| {
            violation(number, format!("dask-client has no public {name}: correct the row"))
        }));
    }
    if names.len() != count {
        let have = names.len();
        found.push(violation(at, format!("{count} names belong here, of which there are {have}")));
    }
    found
}

/// What `dask-client` offers: items by module, `""` for the crate itself, and methods by module and
/// type.
#[derive(Debug, Default)]
pub(super) struct Api {
    items: BTreeMap<String, BTreeSet<String>>,
    methods: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Api {
    /// What the tree offers.
    pub(super) fn of(root: &Path) -> Result<Self> {
        let mut api = Self::default();
        for path in files(root)? {
            let is_home = HOMES.iter().any(|home| path.starts_with(home));
            if is_home && path.ends_with(".rs") && root.join(&path).is_file() {
                api.add(&path, &read(root, &path)?);
            }
        }
        Ok(api)
    }

    /// The public methods of the client in a module.
    pub(super) fn client_verbs(&self, module: &str) -> impl Iterator<Item = &str> {
        let methods = self.methods.get(&(module.to_owned(), "Client".to_owned()));
        // What `Debug` asks for is no verb.
        methods.into_iter().flatten().map(String::as_str).filter(|method| *method != "fmt")
    }

    pub(super) fn has_client_verb(&self, module: &str, verb: &str) -> bool {
        self.client_verbs(module).any(|known| known == verb)
    }

    fn has(&self, name: &str) -> bool {
        let segments: Vec<&str> = name.split("::").collect();
        let has_item = |module: &str, item: &str| {
            self.items.get(module).is_some_and(|items| items.contains(item))
        };
        let has_method = |module: &str, of: &str, method: &str| {
            let methods = self.methods.get(&(module.to_owned(), of.to_owned()));
            has_item(module, of) && methods.is_some_and(|methods| methods.contains(method))
        };
        match segments[..] {
            [item] => has_item("", item),
            [first, second] => {
                has_method("", first, second) || (has_item("", first) && has_item(first, second))
            }
            [module, of, method] => has_item("", module) && has_method(module, of, method),
            _ => false,
        }
    }

    /// Takes in one file.
    pub(super) fn add(&mut self, path: &str, content: &str) {
        let source = Source::new(path, content);
        let module = module_of(path);
        let code = &source.code[..source.tests_from.min(source.code.len())];
        if module.is_some_and(|module| !module.is_empty()) || path == format!("{CLIENT}lib.rs") {
            let items = self.items.entry(module.unwrap_or_default().to_owned()).or_default();
            items.extend(exported(&code.join("\n")));
        }
        let space = module.filter(|module| *module == BLOCKING).unwrap_or_default();
        // What the block is about, and what its public methods start with.
        let mut of: Option<(String, &str)> = None;
        for line in code {
            if line.starts_with("impl") || line.starts_with("pub trait ") {
                let is_trait = line.starts_with("pub") || line.contains(" for ");
                of = implemented(line).zip(Some(if is_trait { "    " } else { "    pub " }));
            } else if line.starts_with('}') {
                of = None;
            }
            if let Some((of, start)) = &of
                && let Some(method) = method(line, start)
            {
                let place = (space.to_owned(), of.clone());
                self.methods.entry(place).or_default().insert(method);
            }
        }
    }
}

/// The public module of `dask-client` that a file is a part of, if it has one at all.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(CLIENT)?;
    let module = rest.split('/').next().unwrap_or(rest);
    match module.strip_suffix(".rs").unwrap_or(module) {
        "lib" => Some(""),
        module => Some(module),
    }
}

/// The names that a module makes public: its own items, its public modules, and what it re-exports.
fn exported(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in code.lines() {
        let Some(item) = line.strip_prefix("pub ") else { continue };
        let mut words = item.split_whitespace().filter(|word| !matches!(*word, "async" | "unsafe"));
        let kind = words.next().unwrap_or_default();
        if matches!(kind, "mod" | "struct" | "enum" | "trait" | "fn" | "const" | "type") {
            names.extend(words.next().map(first_word));
        }
    }
    for statement in code.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        for (at, word) in words(statement) {
            let rest = statement[at + word.len()..].trim_start();
            if !rest.starts_with("::") || rest.starts_with("::{self") {
                names.push(word.to_owned());
            }
        }
    }
    names
}

/// The identifiers of a text, and where they start.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.split(move |c| !is_word(c)).filter(|word| !word.is_empty()).map(move |word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        (at, word)
    })
}

fn first_word(text: &str) -> String {
    words(text).next().map(|(_, word)| word.to_owned()).unwrap_or_default()
}

/// The type that an `impl` block or a trait is about.
fn implemented(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix("pub trait ") {
        return Some(first_word(rest));
    }
    let rest = line.strip_prefix("impl")?;
    // Past the parameters of the block.
    let rest = rest.replace("->", "  ");
    let mut depth = 0;
    let end = rest.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0 && c == ' '
    })?;
    let of = rest[end..].trim();
    let of = of.split(" for ").last().unwrap_or(of);
    let of = of.split(['<', ' ', '{']).next().unwrap_or(of);
    of.rsplit("::").next().map(first_word)
}

/// The name of a method that starts on a line like this.
fn method(line: &str, start: &str) -> Option<String> {
    let line = line.strip_prefix(start)?;
    let line = line.strip_prefix("async ").unwrap_or(line);
    let line = line.strip_prefix("const ").unwrap_or(line);
    line.strip_prefix("fn ").map(first_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "<summary>Names</summary>";

    const LIB: &str = "
pub mod blocking;
pub use client::Client;
pub use a::b::{C, D::{self, E}};
pub fn wait() {}
mod hidden;
";

    const METHODS: &str = "
impl<T: Fn() -> u8> C<T> {
    pub fn new() {}
    fn private() {}
}

impl Client {
    pub async fn submit(&self) {}
}
";

    const BLOCKING: &str = "
pub struct Client(crate::Client);

impl Client {
    pub fn get(&self) {}
}
";

    fn api() -> Api {
        let mut api = Api::default();
        api.add("crates/dask-client/src/lib.rs", LIB);
        api.add("crates/dask-client/src/client/mod.rs", METHODS);
        api.add("crates/dask-client/src/blocking/mod.rs", BLOCKING);
        api
    }

    #[test]
    fn public_names_are_found_and_others_are_not() {
        let api = api();
        for name in ["C", "D", "E", "wait", "Client::submit", "C::new", "blocking"] {
            assert!(api.has(name), "{name}: {api:?}");
        }
        for name in ["blocking::Client", "blocking::Client::get"] {
            assert!(api.has(name), "{name}: {api:?}");
        }
        for name in [
            "hidden",
            "b",
            "C::private",
            "Client::get",
            "blocking::Client::submit",
            "F",
            "F::new",
            "",
        ] {
            assert!(!api.has(name), "{name}: {api:?}");
        }
    }

    /// What is wrong with the rows of a part that is to have so many names.
    fn violations(rows: &str, count: usize) -> Vec<(usize, String)> {
        let text = format!("| `other` |\n{HEADING}\n{rows}{END}\n| `another` |\n");
        let found = check_part(&text, (HEADING, count), &api());
        found.into_iter().map(|violation| (violation.line, violation.remedy)).collect()
    }

    #[test]
    fn a_row_has_a_name_that_exists_or_a_reason() {
        let rows = "| `wait` | `wait`, `Client::submit` | |\n| `rpc` | – | none |\n";
        assert_eq!(violations(rows, 2), []);
        let rows = "| `gone` | `Client::gone` | |\n| `rpc` | – | |\n| `rpc` | – | twice |\n";
        let found = violations(rows, 2);
        let at: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(at, [3, 4, 5], "{found:?}");
        assert!(found[0].1.contains("no public Client::gone"), "{found:?}");
        assert_eq!(violations("| `rpc` | – |\n", 0).len(), 1);
    }

    #[test]
    fn a_part_is_there_and_has_all_names() {
        let found = violations("| `wait` | `wait` | |\n", 59);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.contains("59 names belong here, of which there are 1"), "{found:?}");
        let found = check_part("no part\n", (HEADING, 1), &api());
        assert_eq!(found.len(), 1);
        assert!(found[0].remedy.contains(HEADING));
    }
}
