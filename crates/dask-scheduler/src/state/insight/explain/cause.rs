use dask_proto::graph::Priority;
use dask_proto::map::Map;

use super::format::counted;
use super::{NAMED, alarm};
use crate::state::SchedulerState;
use crate::state::table::task::{Row, StateName};

/// How many dependencies are followed before the search for the last cause is given up.
const FOLLOWED: usize = 100_000;

/// How many tasks of a chain are named at each of its ends.
const CHAIN_ENDS: usize = 4;

/// The unfinished tasks that a task waits for, directly or not, as far as they were looked at.
#[derive(Default)]
struct Search {
    /// For each task that was found one that waits for it.
    waiter: Map<Row, Row>,
    /// How many were found in each state.
    found: [usize; StateName::ALL.len()],
    /// The most alarming one that waits for no other; of several the one to run first.
    cause: Option<(usize, Priority, Row)>,
    is_complete: bool,
}

impl SchedulerState {
    /// Why a task waits: for which tasks, and what keeps the last of those.
    pub(super) fn explain_waiting(&self, row: Row, lines: &mut Vec<String>) {
        let missing = self.missing(row);
        let of = self.tasks[row].dependencies.len();
        let named = self.name_tasks(&missing, missing.len());
        lines.push(format!(
            "it waits for {} of its {}: {named}",
            missing.len(),
            counted(of, "dependency")
        ));
        let search = self.search(row);
        lines.push(search.summary());
        let Some((.., cause)) = search.cause else {
            return;
        };
        let chain = search.chain(row, cause);
        if chain.len() > 2 {
            let keys: Vec<&str> = chain.iter().map(|r| self.tasks[*r].key.as_str()).collect();
            lines.push(joined(&keys));
        }
        let mut deeper = vec![self.headline(cause)];
        self.explain_place(cause, &mut deeper);
        lines.extend(deeper.into_iter().map(|line| format!("  {line}")));
    }

    /// The dependencies of a task that are not in memory, each once.
    fn missing(&self, row: Row) -> Vec<Row> {
        let dependencies = self.tasks[row].dependencies.iter().copied();
        let mut seen: Map<Row, ()> = Map::default();
        dependencies
            .filter(|d| !self.tasks[*d].state.is_memory())
            .filter(|d| seen.insert(*d, ()).is_none())
            .collect()
    }

    /// Follows dependencies, deepest first: chains are longer than they are wide.
    fn search(&self, root: Row) -> Search {
        let mut search = Search::default();
        let mut left = FOLLOWED;
        let mut agenda = vec![root];
        while let Some(row) = agenda.pop() {
            for dependency in self.tasks[row].dependencies.iter().rev() {
                let Some(less) = left.checked_sub(1) else {
                    return search;
                };
                left = less;
                let state = self.tasks[*dependency].state.name();
                if state == StateName::Memory || search.waiter.contains_key(dependency) {
                    continue;
                }
                search.waiter.insert(*dependency, row);
                search.found[state as usize] += 1;
                if state == StateName::Waiting {
                    agenda.push(*dependency);
                } else {
                    let priority = self.tasks[*dependency].priority();
                    search.consider((alarm(state), priority, *dependency));
                }
            }
        }
        search.is_complete = true;
        search
    }
}

impl Search {
    fn consider(&mut self, cause: (usize, Priority, Row)) {
        self.cause = Some(self.cause.map_or(cause, |known| known.min(cause)));
    }

    fn summary(&self) -> String {
        let total = counted(self.waiter.len(), "unfinished task");
        let states = StateName::ALL.iter().zip(self.found);
        let states = states.filter(|(_, count)| *count > 0);
        let states = states.map(|(name, count)| format!("{count} {}", name.as_str()));
        let states: Vec<String> = states.collect();
        let least = if self.is_complete { "" } else { "at least " };
        format!("in all {least}{total} must come before it: {}", states.join(", "))
    }

    /// From the task that waits to the cause.
    fn chain(&self, from: Row, cause: Row) -> Vec<Row> {
        let up = |row: &Row| if *row == from { None } else { self.waiter.get(row).copied() };
        let mut chain: Vec<Row> = std::iter::successors(Some(cause), up).collect();
        chain.reverse();
        chain
    }
}

/// `a waits for b, which waits for c`, the middle left out when there is much of it.
fn joined(keys: &[&str]) -> String {
    let shown = 2 * CHAIN_ENDS;
    let Some(left_out) = keys.len().checked_sub(shown + NAMED) else {
        return join_chain(keys);
    };
    let (head, tail) = (&keys[..CHAIN_ENDS], &keys[keys.len() - CHAIN_ENDS..]);
    let left_out = left_out + NAMED;
    format!("{}, … {left_out} more …, {}", join_chain(head), join_chain(tail))
}

fn join_chain(keys: &[&str]) -> String {
    let (first, rest) = keys.split_first().unwrap_or((&"", &[]));
    match rest {
        [] => (*first).to_owned(),
        rest => format!("{first} waits for {}", rest.join(", which waits for ")),
    }
}
