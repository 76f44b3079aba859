//! Plugins of workers and of the scheduler.

use std::any::type_name;

use dask_proto::message::{Equipment, Item, Question, Reply, Whom};
use dask_task::Value;
use dask_task::plugin::{self, SchedulerPlugin, WorkerPlugin};

use super::question::ask;
use crate::error::Kind;
use crate::{Client, Result};

/// Registers a type of plugins for workers with the program, so that
/// [`Client::register_worker_plugin`](crate::Client::register_worker_plugin) can send values of it.
#[macro_export]
macro_rules! register_worker_plugin {
    ($plugin:ty) => {
        $crate::__private::inventory::submit! {
            $crate::__private::PluginDef::worker::<$plugin>()
        }
    };
}

/// Registers a type of plugins for the scheduler with the program, so that
/// [`Client::register_scheduler_plugin`](crate::Client::register_scheduler_plugin) can send values
/// of it.
#[macro_export]
macro_rules! register_scheduler_plugin {
    ($plugin:ty) => {
        $crate::__private::inventory::submit! {
            $crate::__private::PluginDef::scheduler::<$plugin>()
        }
    };
}

impl Client {
    /// Gives every worker a plugin under this name, also those that join later: Dask's
    /// `Client.register_plugin` with a `WorkerPlugin`. Returns once the workers that are there have
    /// set it up. The later of two of one name replaces the earlier.
    ///
    /// Code does not travel: the type is one that the program registers, like a task.
    ///
    /// ```
    /// use dask_client::{Client, CurrentWorker, PluginError, Result, WorkerPlugin, serde, task};
    ///
    /// #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// #[serde(crate = "dask_client::serde")]
    /// struct Warm { files: Vec<String> }
    ///
    /// dask_client::register_worker_plugin!(Warm);
    ///
    /// impl WorkerPlugin for Warm {
    ///     fn setup(&self, worker: &CurrentWorker) -> Result<(), PluginError> {
    ///         println!("{} reads {:?} ahead", worker.name, self.files);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// client.register_worker_plugin("warm", Warm { files: vec!["a.csv".into()] }).await?;
    /// client.unregister_worker_plugin("warm").await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the program has not registered the type, its `setup` fails or panics on a worker (which
    /// the error names, and which then does not have it), the scheduler has no room for it, or is
    /// gone.
    pub async fn register_worker_plugin<P: WorkerPlugin + Value>(
        &self,
        name: impl Into<String>,
        plugin: P,
    ) -> Result<()> {
        let name = name.into();
        let (path, value) = travelling(&name, &plugin)?;
        // Made here, so that what is wrong with it is known before it travels.
        plugin::worker(path, &value)?;
        let item = Item::Plugin { path: path.to_owned(), value: value.into() };
        self.equip(Equipment { name, item }).await
    }

    /// Takes a plugin from every worker, after its `teardown`: Dask's
    /// `Client.unregister_worker_plugin`.
    ///
    /// # Errors
    /// When there is none of this name, or the scheduler is gone.
    pub async fn unregister_worker_plugin(&self, name: impl Into<String>) -> Result<()> {
        self.unequip(name.into()).await
    }

    /// Gives the scheduler a plugin under this name: Dask's `Client.register_plugin` with a
    /// `SchedulerPlugin`. That works where the scheduler is a part of the program, as with
    /// [`Client::local`] and [`LocalCluster`](crate::LocalCluster), whose builder also takes
    /// plugins that hear everything from the start.
    ///
    /// ```
    /// use dask_client::{Address, Client, Result, SchedulerPlugin, serde, task};
    ///
    /// #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// #[serde(crate = "dask_client::serde")]
    /// struct Greeter;
    ///
    /// dask_client::register_scheduler_plugin!(Greeter);
    ///
    /// impl SchedulerPlugin for Greeter {
    ///     fn add_worker(&mut self, worker: &Address, name: &str) {
    ///         println!("welcome, {name} at {worker}");
    ///     }
    /// }
    ///
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// client.register_scheduler_plugin("greeter", Greeter).await?;
    /// client.unregister_scheduler_plugin("greeter").await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When this program or that of the scheduler has not registered the type, or the scheduler is
    /// gone.
    pub async fn register_scheduler_plugin<P: SchedulerPlugin + Value>(
        &self,
        name: impl Into<String>,
        plugin: P,
    ) -> Result<()> {
        let name = name.into();
        let (path, value) = travelling(&name, &plugin)?;
        plugin::scheduler(path, &value)?;
        let item = Item::Plugin { path: path.to_owned(), value: value.into() };
        self.scheduler_does(Question::Equip(Equipment { name, item })).await
    }

    /// Takes a plugin from the scheduler, which closes it: Dask's
    /// `Client.unregister_scheduler_plugin`.
    ///
    /// # Errors
    /// When there is none of this name, or the scheduler is gone.
    pub async fn unregister_scheduler_plugin(&self, name: impl Into<String>) -> Result<()> {
        self.scheduler_does(Question::Unequip { name: name.into() }).await
    }

    async fn scheduler_does(&self, question: Question) -> Result<()> {
        match ask(self.link(), Whom::Scheduler, question).await? {
            Reply::Done => Ok(()),
            _ => Err(Kind::Answer.into()),
        }
    }
}

/// A plugin as it travels.
fn travelling<P: Value>(name: &str, plugin: &P) -> Result<(&'static str, bytes::Bytes)> {
    let key = dask_proto::Key::new(name)?;
    let value = dask_task::encode(plugin).map_err(|source| Kind::Value { key, source })?;
    Ok((type_name::<P>(), value))
}
