//! Hash maps without randomness: the same insertions give the same order in every process.
//!
//! Iteration order is still arbitrary; a state whose instructions depend on it sorts first.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

/// A hash map with a fixed seed.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// A hash set with a fixed seed.
pub type Set<K> = HashSet<K, BuildHasherDefault<DefaultHasher>>;
