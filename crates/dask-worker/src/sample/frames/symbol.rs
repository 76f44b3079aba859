//! The symbols of the program. Line tables without the rest of the debugging information have a
//! function by the last part of its name, if it has anything inlined; its symbol has all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use backtrace::SymbolName;
use object::{Object, ObjectSymbol, ReadCache};

use super::unwind::Unwinder;

/// The names of the functions of the program that these addresses behind calls lie in.
pub(super) fn find(addresses: &BTreeSet<u64>, unwinder: &Unwinder) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let Some((text, bias)) = unwinder.program() else { return found };
    let wanted: BTreeSet<u64> = addresses
        .iter()
        .filter(|address| text.contains(address))
        .map(|address| address.wrapping_sub(1).wrapping_sub(*bias))
        .collect();
    // Only what is asked for is read: the symbols, and the names of those that are met.
    let program = File::open("/proc/self/exe").ok().filter(|_| !wanted.is_empty());
    let Some(program) = program.map(ReadCache::new) else { return found };
    let Ok(object) = object::File::parse(&program) else { return found };
    for symbol in object.symbols().filter(|symbol| symbol.size() > 0) {
        let place = symbol.address()..symbol.address().saturating_add(symbol.size());
        for address in wanted.range(place) {
            if let Ok(name) = symbol.name_bytes() {
                let name = format!("{:#}", SymbolName::new(name));
                found.insert(address.wrapping_add(*bias).wrapping_add(1), name);
            }
        }
    }
    found
}
