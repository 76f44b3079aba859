//! Maps for states: without randomness, so that the same insertions give the same order in every
//! process, and made for what states hold, names and ids by the million.
//!
//! The iteration order of a [`Map`] is still arbitrary; a state whose instructions depend on it
//! sorts first.

mod small_list;
mod small_set;
mod table;
mod task_map;

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

pub use small_list::SmallList;
pub use small_set::{Elements, SmallSet};
pub use table::Table;
pub use task_map::TaskMap;

/// A hash map with a fixed seed.
pub type Map<K, V> = HashMap<K, V, FixedState>;

/// A hash set with a fixed seed.
pub type Set<K> = HashSet<K, FixedState>;
