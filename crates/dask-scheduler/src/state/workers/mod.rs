//! What workers report, and how they come and go.

pub(in crate::state) mod departure;
pub(in crate::state) mod pool;
pub(in crate::state) mod report;
pub(in crate::state) mod timeout;
