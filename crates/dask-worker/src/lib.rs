//! The worker: runs tasks, holds their results and hands them to its peers.
