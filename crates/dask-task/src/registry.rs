//! The task functions of this program. `#[task]` adds each of them before `main` runs.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dask_proto::graph::Function;

use crate::{Failure, Inputs, TaskDef};

inventory::collect!(&'static TaskDef);

/// A function could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The linker dropped the registrations of this program.
    #[error(
        "the task functions of this program are not registered: its linker dropped their \
         constructors (is it built with an unusual linker script or --gc-sections?)"
    )]
    Dropped,
    /// The program has no such function.
    #[error("this program has no task function {function}")]
    Unknown {
        /// What was looked for.
        function: Function,
    },
    /// Two functions have the same path and signature.
    #[error(
        "this program has {count} task functions {function}: rename them, move them to modules \
         of their own (a function inside a function has the path of its module), or tell them \
         apart with #[task(version = …)]"
    )]
    Ambiguous {
        /// What was looked for.
        function: Function,
        /// How many there are.
        count: usize,
    },
}

/// The function with this path and signature.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(path: &str, signature: &str) -> Result<&'static TaskDef, RegistryError> {
    let function = || Function { path: path.to_owned(), signature: signature.to_owned() };
    match TABLE.get(&(path, signature)).map(Vec::as_slice) {
        Some([def]) => Ok(def),
        Some(defs) => Err(RegistryError::Ambiguous { function: function(), count: defs.len() }),
        None => {
            check()?;
            Err(RegistryError::Unknown { function: function() })
        }
    }
}

/// All functions of this program, sorted by path, those that are ambiguous left out.
#[must_use]
pub fn functions() -> Vec<Function> {
    let unique = TABLE.values().filter_map(|defs| match defs.as_slice() {
        [def] => Some(def.function()),
        _ => None,
    });
    unique.collect()
}

/// Whether registration works in this program: this module registers a function of its own, which
/// vanishes with all the others where a linker drops their constructors.
///
/// # Errors
/// When it does not.
pub fn check() -> Result<(), RegistryError> {
    let there = TABLE.contains_key(&(SENTINEL.path, SENTINEL.signature));
    if there { Ok(()) } else { Err(RegistryError::Dropped) }
}

type Table = BTreeMap<(&'static str, &'static str), Vec<&'static TaskDef>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    for def in inventory::iter::<&'static TaskDef> {
        table.entry((def.path, def.signature)).or_default().push(def);
    }
    table
});

static SENTINEL: TaskDef =
    TaskDef { path: "dask_task::registry::check", signature: "fn()", body: nothing };

inventory::submit! { &SENTINEL }

fn nothing(_: &mut Inputs) -> Result<dask_proto::Payload, Failure> {
    Ok(crate::live(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TWICE: TaskDef = TaskDef { path: "tests::twice", signature: "fn()", body: nothing };
    inventory::submit! { &TWICE }
    inventory::submit! { &TWICE }

    #[test]
    fn registration_works_here() {
        assert_eq!(check(), Ok(()));
        assert!(find(SENTINEL.path, SENTINEL.signature).is_ok());
    }

    #[test]
    fn another_signature_is_another_function() {
        let error = find(SENTINEL.path, "fn(i64)").expect_err("no such signature");
        assert!(error.to_string().ends_with("dask_task::registry::check: fn(i64)"));
    }

    #[test]
    fn two_functions_of_one_name_are_not_guessed_between() {
        let error = find("tests::twice", "fn()").expect_err("ambiguous");
        assert!(matches!(error, RegistryError::Ambiguous { count: 2, .. }));
        assert!(!functions().iter().any(|f| f.path == "tests::twice"));
    }
}
