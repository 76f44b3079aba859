use std::future::IntoFuture;

use dask_proto::Address;

use super::{Client, block_on};
use crate::{Futures, Rebalance, Replicate, Result, RetireWorkers};

impl Client {
    /// [`Client::replicate`](crate::Client::replicate), which [`Replicate::block`] waits for.
    ///
    /// ```
    /// # use dask_client::task;
    /// # #[task] fn inc(x: i64) -> i64 { x + 1 }
    /// let client = dask_client::blocking::Client::local()?;
    /// let future = client.submit(inc, 10);
    /// client.replicate(&future).n(2).block()?;
    /// # client.close()?;
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn replicate(&self, futures: impl Futures) -> Replicate {
        self.0.replicate(futures)
    }

    /// [`Client::rebalance`](crate::Client::rebalance), which [`Rebalance::block`] waits for.
    ///
    /// # Errors
    /// As there.
    pub fn rebalance(&self, futures: impl Futures) -> Rebalance {
        self.0.rebalance(futures)
    }

    /// [`Client::rebalance_all`](crate::Client::rebalance_all), which [`Rebalance::block`] waits
    /// for.
    ///
    /// # Errors
    /// As there.
    pub fn rebalance_all(&self) -> Rebalance {
        self.0.rebalance_all()
    }

    /// [`Client::retire_workers`](crate::Client::retire_workers), which [`RetireWorkers::block`]
    /// waits for.
    ///
    /// # Errors
    /// As there.
    pub fn retire_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> RetireWorkers {
        self.0.retire_workers(workers)
    }

    /// [`Client::retire_idle_workers`](crate::Client::retire_idle_workers), which
    /// [`RetireWorkers::block`] waits for.
    ///
    /// # Errors
    /// As there.
    pub fn retire_idle_workers(&self) -> RetireWorkers {
        self.0.retire_idle_workers()
    }
}

/// The verbs on a thread that waits.
macro_rules! block {
    ($($verb:ident: $output:ty;)*) => {$(
        impl $verb {
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
    Replicate: ();
    Rebalance: ();
    RetireWorkers: Vec<Address>;
}
