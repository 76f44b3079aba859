use std::collections::{BTreeMap, HashMap};

use dask_proto::message::{CallStack, LogLevel, LogRecord};
use dask_proto::{Address, Key};
use dask_task::TaskFn;

use super::{Client, block_on};
use crate::submit::argument::IntoArgs;
use crate::{
    ClusterVersions, Futures, HardwareBenchmark, Options, PerformanceReport, Plugin, Profile,
    Result, TaskStream,
};

impl Client {
    /// [`Client::run`](crate::Client::run).
    ///
    /// ```
    /// # use dask_client::task;
    /// # #[task] fn pid() -> u32 { std::process::id() }
    /// let client = dask_client::blocking::Client::local()?;
    /// assert_eq!(client.run(pid, ())?.len(), 1);
    /// assert_eq!(client.options().workers(["0"]).run(pid, ())?.len(), 1);
    /// # client.close()?;
    /// # Ok::<(), dask_client::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn run<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Result<HashMap<Address, F::Output>> {
        self.0.run(function, args).block()
    }

    /// [`Client::run_on_scheduler`](crate::Client::run_on_scheduler).
    ///
    /// # Errors
    /// As there.
    pub fn run_on_scheduler<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Result<F::Output> {
        self.0.run_on_scheduler(function, args).block()
    }

    /// [`Client::get_versions`](crate::Client::get_versions).
    ///
    /// # Errors
    /// As there.
    pub fn get_versions(&self) -> Result<ClusterVersions> {
        block_on(self.0.get_versions())
    }

    /// [`Client::nbytes`](crate::Client::nbytes).
    ///
    /// # Errors
    /// As there.
    pub fn nbytes(&self, futures: impl Futures) -> Result<HashMap<Key, u64>> {
        block_on(self.0.nbytes(futures))
    }

    /// [`Client::nbytes_by_prefix`](crate::Client::nbytes_by_prefix).
    ///
    /// # Errors
    /// As there.
    pub fn nbytes_by_prefix(&self, futures: impl Futures) -> Result<HashMap<String, u64>> {
        block_on(self.0.nbytes_by_prefix(futures))
    }

    /// [`Client::finished_counts`](crate::Client::finished_counts).
    ///
    /// # Errors
    /// As there.
    pub fn finished_counts(&self) -> Result<BTreeMap<Address, BTreeMap<String, u64>>> {
        block_on(self.0.finished_counts())
    }

    /// [`Client::call_stack`](crate::Client::call_stack).
    ///
    /// # Errors
    /// As there.
    pub fn call_stack(&self, futures: impl Futures) -> Result<HashMap<Address, Vec<CallStack>>> {
        block_on(self.0.call_stack(futures))
    }

    /// [`Client::dashboard_link`](crate::Client::dashboard_link).
    #[must_use]
    pub fn dashboard_link(&self) -> Option<String> {
        self.0.dashboard_link()
    }

    /// [`Client::get_scheduler_logs`](crate::Client::get_scheduler_logs).
    ///
    /// # Errors
    /// As there.
    pub fn get_scheduler_logs(&self, n: Option<u32>) -> Result<Vec<LogRecord>> {
        block_on(self.0.get_scheduler_logs(n))
    }

    /// [`Client::forward_logging`](crate::Client::forward_logging).
    ///
    /// # Errors
    /// As there.
    pub fn forward_logging(&self, level: LogLevel) -> Result<()> {
        block_on(self.0.forward_logging(level))
    }

    /// [`Client::unforward_logging`](crate::Client::unforward_logging).
    ///
    /// # Errors
    /// As there.
    pub fn unforward_logging(&self) -> Result<()> {
        block_on(self.0.unforward_logging())
    }

    /// [`Client::write_scheduler_file`](crate::Client::write_scheduler_file).
    ///
    /// # Errors
    /// As there.
    pub fn write_scheduler_file(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        block_on(self.0.write_scheduler_file(path))
    }

    /// [`Client::restart`](crate::Client::restart).
    ///
    /// # Errors
    /// As there.
    pub fn restart(&self) -> Result<()> {
        self.0.restart().block()
    }

    /// [`Client::restart_workers`](crate::Client::restart_workers).
    ///
    /// # Errors
    /// As there.
    pub fn restart_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> Result<()> {
        self.0.restart_workers(workers).block()
    }

    /// [`Client::upload_file`](crate::Client::upload_file).
    ///
    /// # Errors
    /// As there.
    pub fn upload_file(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        block_on(self.0.upload_file(path))
    }

    /// [`Client::remove_file`](crate::Client::remove_file).
    ///
    /// # Errors
    /// As there.
    pub fn remove_file(&self, name: impl Into<String>) -> Result<()> {
        block_on(self.0.remove_file(name))
    }

    /// [`Client::get_task_stream`](crate::Client::get_task_stream): what it is asked for comes with
    /// [`TaskStream::block`].
    ///
    /// # Errors
    /// As there.
    pub fn get_task_stream(&self) -> Result<TaskStream> {
        block_on(self.0.get_task_stream())
    }

    /// [`Client::benchmark_hardware`](crate::Client::benchmark_hardware).
    ///
    /// # Errors
    /// As there.
    pub fn benchmark_hardware(&self) -> Result<HardwareBenchmark> {
        self.0.benchmark_hardware().block()
    }

    /// [`Client::profile`](crate::Client::profile).
    ///
    /// # Errors
    /// As there.
    pub fn profile(&self) -> Result<Profile> {
        self.0.profile().block()
    }

    /// [`Client::register_plugin`](crate::Client::register_plugin).
    ///
    /// # Errors
    /// As there.
    pub fn register_plugin<Place, P: Plugin<Place>>(&self, plugin: P) -> Result<String> {
        self.0.register_plugin(plugin).block()
    }

    /// [`Client::unregister_worker_plugin`](crate::Client::unregister_worker_plugin).
    ///
    /// # Errors
    /// As there.
    pub fn unregister_worker_plugin(&self, name: impl Into<String>) -> Result<()> {
        block_on(self.0.unregister_worker_plugin(name))
    }

    /// [`Client::unregister_scheduler_plugin`](crate::Client::unregister_scheduler_plugin).
    ///
    /// # Errors
    /// As there.
    pub fn unregister_scheduler_plugin(&self, name: impl Into<String>) -> Result<()> {
        block_on(self.0.unregister_scheduler_plugin(name))
    }

    /// [`Client::dump_cluster_state`](crate::Client::dump_cluster_state).
    ///
    /// # Errors
    /// As there.
    pub fn dump_cluster_state(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        block_on(self.0.dump_cluster_state(path))
    }
}

impl Client {
    /// [`performance_report`] of this client.
    ///
    /// # Errors
    /// As there.
    pub fn performance_report(&self) -> Result<PerformanceReport> {
        performance_report(self)
    }

    /// [`Client::get_worker_logs`](crate::Client::get_worker_logs).
    ///
    /// # Errors
    /// As there.
    pub fn get_worker_logs(&self) -> Result<HashMap<Address, Vec<LogRecord>>> {
        self.0.get_worker_logs().block()
    }
}

impl Options<Client> {
    /// [`Client::run`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn run<F: TaskFn>(
        &self,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Result<HashMap<Address, F::Output>> {
        self.asynchronous().run(function, args).block()
    }

    /// [`Client::restart`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn restart(&self) -> Result<()> {
        self.asynchronous().restart().block()
    }

    /// [`Client::restart_workers`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn restart_workers<W: Into<String>>(
        &self,
        workers: impl IntoIterator<Item = W>,
    ) -> Result<()> {
        self.asynchronous().restart_workers(workers).block()
    }

    /// [`Client::get_worker_logs`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn get_worker_logs(&self) -> Result<HashMap<Address, Vec<LogRecord>>> {
        self.asynchronous().get_worker_logs().block()
    }
}

/// [`performance_report`](crate::performance_report), which
/// [`PerformanceReport::block`] writes.
///
/// # Errors
/// As there.
pub fn performance_report(client: &Client) -> Result<PerformanceReport> {
    block_on(crate::performance_report(&client.0))
}
