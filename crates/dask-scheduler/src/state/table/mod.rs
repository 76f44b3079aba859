//! What is known, as rows with integer ids: tasks, functions, workers, and who holds which result.

pub(in crate::state) mod copies;
pub(in crate::state) mod function;
pub(in crate::state) mod queue;
pub(in crate::state) mod rank;
pub(in crate::state) mod replica;
pub(in crate::state) mod row_set;
pub(in crate::state) mod rows;
pub(in crate::state) mod spec;
pub(in crate::state) mod task;
pub(in crate::state) mod task_table;
pub(in crate::state) mod worker;
pub(in crate::state) mod worker_map;
pub(in crate::state) mod workload;
