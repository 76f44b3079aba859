//! Results that go from worker to worker without a task that needs them, and those that are lost.

pub(in crate::state) mod amm;
pub(in crate::state) mod errand;
pub(in crate::state) mod rebalance;
pub(in crate::state) mod replication;
pub(in crate::state) mod retirement;
pub(in crate::state) mod scatter;
pub(in crate::state) mod transfer;
pub(in crate::state) mod unfetched;
