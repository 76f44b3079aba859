//! Which worker runs which task, and when.

pub(in crate::state) mod adaptive;
pub(in crate::state) mod assignment;
pub(in crate::state) mod placement;
pub(in crate::state) mod queueing;
pub(in crate::state) mod stealing;
