//! What people and tests look at: why a task is where it is, what happened, and whether all of it
//! fits.

pub(in crate::state) mod dump;
pub(in crate::state) mod explain;
pub(in crate::state) mod inspect;
pub(in crate::state) mod invariants;
pub(in crate::state) mod log;
pub(in crate::state) mod observe;
pub(in crate::state) mod story;
pub(in crate::state) mod stream;
pub(in crate::state) mod watchdog;
