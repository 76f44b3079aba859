use dask_proto::Moment;
use dask_proto::human::duration;

use crate::state::table::task::Since;

/// How long ago something was.
pub(super) fn age(now: Moment, since: Since) -> String {
    duration(now.since(since.moment()))
}

/// A number and what it counts.
pub(super) fn counted(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
}

/// Names, and how many more there are than are named.
pub(super) fn and_more<T: AsRef<str>>(names: &[T], total: usize) -> String {
    let named: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let named = named.join(", ");
    match total.saturating_sub(names.len()) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
