//! What clients say, hold and ask for.

pub(in crate::state) mod actor;
pub(in crate::state) mod ask;
pub(in crate::state) mod carry;
pub(in crate::state) mod entry;
pub(in crate::state) mod equipment;
pub(in crate::state) mod graph;
pub(in crate::state) mod manage;
pub(in crate::state) mod named;
pub(in crate::state) mod request;
pub(in crate::state) mod topic;
