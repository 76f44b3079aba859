//! The verbs that start when they are awaited, on a thread that waits.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::path::Path;

use dask_proto::Address;
use dask_proto::message::{LogRecord, Recorded};
use dask_task::Value;

use super::block_on;
use crate::{
    ActorFuture, AnyFuture, BenchmarkHardware, DoneAndNotDone, HardwareBenchmark,
    PerformanceReport, Profile, PublishDataset, Rebalance, RegisterPlugin, Replicate, Restart,
    RestartWorkers, Result, RetireWorkers, Run, RunOnScheduler, RunResults, TakeProfile,
    TaskStream, Wait, WorkerLogs,
};

macro_rules! block {
    ($($verb:ty $([$($generics:tt)*])? => $output:ty;)*) => {$(
        impl $(<$($generics)*>)? $verb {
            /// Waits on this thread.
            ///
            /// # Errors
            /// As awaiting it.
            pub fn block(self) -> Result<$output> {
                block_on(self.into_future())
            }
        }
    )*};
}

block! {
    BenchmarkHardware => HardwareBenchmark;
    PublishDataset => ();
    Rebalance => ();
    RegisterPlugin => String;
    Replicate => ();
    Restart => ();
    RestartWorkers => ();
    RetireWorkers => Vec<Address>;
    TakeProfile => Profile;
    WorkerLogs => HashMap<Address, Vec<LogRecord>>;
    Run<T> [T: Value] => HashMap<Address, T>;
    RunResults<T> [T: Value] => HashMap<Address, Result<T>>;
    RunOnScheduler<T> [T: Value] => T;
    Wait<F> [F: AnyFuture] => DoneAndNotDone<F>;
}

impl<T: Value> ActorFuture<T> {
    /// [`ActorFuture::result`], waiting on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn block(&self) -> Result<T> {
        block_on(self.result())
    }
}

impl TaskStream {
    /// [`TaskStream::data`], waiting on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn block(&self) -> Result<Vec<Recorded>> {
        block_on(self.data())
    }
}

impl PerformanceReport {
    /// [`PerformanceReport::save`], waiting on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn block(&self, path: impl AsRef<Path>) -> Result<()> {
        block_on(self.save(path))
    }
}
