use dask_task::TaskFn;

use super::{Client, Future, block_on};
use crate::submit::argument::IntoArgs;
use crate::{Options, Result};

/// [`Executor`](crate::Executor) whose verbs block.
#[derive(Clone, Debug)]
pub struct Executor(crate::Executor);

impl Client {
    /// [`Client::get_executor`](crate::Client::get_executor).
    #[must_use]
    pub fn get_executor(&self) -> Executor {
        self.options().get_executor()
    }
}

impl Options<Client> {
    /// [`Client::get_executor`], for calls with these options.
    #[must_use]
    pub fn get_executor(self) -> Executor {
        Executor(self.asynchronous().get_executor())
    }
}

impl Executor {
    /// [`Executor::pure`](crate::Executor::pure).
    #[must_use]
    pub fn pure(self, pure: bool) -> Self {
        Self(self.0.pure(pure))
    }

    /// [`Executor::submit`](crate::Executor::submit).
    pub fn submit<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Future<F::Output> {
        Future(self.0.submit(function, args))
    }

    /// [`Executor::map`](crate::Executor::map).
    ///
    /// # Errors
    /// As there.
    pub fn map<F: TaskFn, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        I: IntoIterator<Item: IntoArgs<F::Params>>,
    {
        block_on(self.0.map(function, items))
    }

    /// [`Executor::shutdown`](crate::Executor::shutdown).
    pub fn shutdown(&self) {
        block_on(self.0.shutdown());
    }

    /// [`Executor::shutdown_now`](crate::Executor::shutdown_now).
    ///
    /// # Errors
    /// As there.
    pub fn shutdown_now(&self) -> Result<()> {
        block_on(self.0.shutdown_now())
    }
}
