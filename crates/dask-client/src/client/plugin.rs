//! Plugins of workers and of the scheduler.

use std::any::type_name;
use std::future::IntoFuture;

use bytes::Bytes;
use dask_proto::message::{Equipment, Item, Question, Reply, Whom};
use dask_task::Value;
use dask_task::plugin::{self, PluginTypeError, SchedulerPlugin, WorkerPlugin};
use dask_tokenize::unique_key_name;

use super::question::ask;
use crate::error::Kind;
use crate::future::short_type_name;
use crate::{BoxFuture, Client, Result};

/// Registers a type of plugins for workers with the program, so that
/// [`Client::register_plugin`](crate::Client::register_plugin) can send values of it.
#[macro_export]
macro_rules! register_worker_plugin {
    ($plugin:ty) => {
        $crate::__private::inventory::submit! {
            $crate::__private::PluginDef::worker::<$plugin>()
        }
    };
}

/// Registers a type of plugins for the scheduler with the program, so that
/// [`Client::register_plugin`](crate::Client::register_plugin) can send values of it.
#[macro_export]
macro_rules! register_scheduler_plugin {
    ($plugin:ty) => {
        $crate::__private::inventory::submit! {
            $crate::__private::PluginDef::scheduler::<$plugin>()
        }
    };
}

/// What [`Client::register_plugin`] takes: any [`WorkerPlugin`] and any [`SchedulerPlugin`].
/// A type is one of the two, and that says where it goes.
pub trait Plugin<Place>: Value {
    #[doc(hidden)]
    const PLACE: Home;

    /// Makes it here, so that what is wrong with it is known before it travels.
    #[doc(hidden)]
    fn check(path: &str, value: &[u8]) -> Result<(), PluginTypeError>;
}

/// Whose plugins a type is.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Workers,
    Scheduler,
}

/// The place of a [`WorkerPlugin`].
#[derive(Debug)]
pub enum OnWorkers {}

/// The place of a [`SchedulerPlugin`].
#[derive(Debug)]
pub enum OnScheduler {}

impl<P: WorkerPlugin + Value> Plugin<OnWorkers> for P {
    const PLACE: Home = Home::Workers;

    fn check(path: &str, value: &[u8]) -> Result<(), PluginTypeError> {
        plugin::worker(path, value).map(drop)
    }
}

impl<P: SchedulerPlugin + Value> Plugin<OnScheduler> for P {
    const PLACE: Home = Home::Scheduler;

    fn check(path: &str, value: &[u8]) -> Result<(), PluginTypeError> {
        plugin::scheduler(path, value).map(drop)
    }
}

/// A registration of a plugin, made when awaited: [`Client::register_plugin`].
#[derive(Debug)]
#[must_use = "nothing is registered until this is awaited"]
pub struct RegisterPlugin {
    client: Client,
    name: String,
    home: Home,
    /// The plugin as it travels, or what is wrong with it.
    item: Result<Item>,
}

impl RegisterPlugin {
    /// The name of the plugin; by default that of its type and a uuid, as in Dask. A plugin
    /// replaces an earlier one of the same name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    async fn run(self) -> Result<String> {
        let Self { client, name, home, item } = self;
        let equipment = Equipment { name: name.clone(), item: item? };
        match home {
            Home::Workers => client.equip(equipment).await?,
            Home::Scheduler => client.scheduler_does(Question::Equip(equipment)).await?,
        }
        Ok(name)
    }
}

impl IntoFuture for RegisterPlugin {
    type Output = Result<String>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Client {
    /// Gives the cluster a plugin, and returns its name: Dask's `Client.register_plugin`.
    ///
    /// A [`WorkerPlugin`] goes to every worker, also to those that join later; this returns once
    /// the workers that are there have set it up. A [`SchedulerPlugin`] goes to the scheduler. That
    /// works where the scheduler is a part of the program, as with [`Client::local`] and
    /// [`LocalCluster`](crate::LocalCluster), whose builder also takes plugins that hear everything
    /// from the start.
    ///
    /// Code does not travel: the type is one that the program registers, like a task.
    ///
    /// ```
    /// use dask_client::{Address, Client, CurrentWorker, PluginError, Result};
    /// use dask_client::{SchedulerPlugin, WorkerPlugin, serde};
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
    /// let warm = client.register_plugin(Warm { files: vec!["a.csv".into()] }).await?;
    /// client.register_plugin(Greeter).name("greeter").await?;
    /// client.unregister_worker_plugin(warm).await?;
    /// client.unregister_scheduler_plugin("greeter").await?;
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When this program, or that of the scheduler, has not registered the type; when `setup` fails
    /// or panics on a worker (which the error names, and which then does not have it); when the
    /// scheduler has no room for it, or is gone.
    pub fn register_plugin<Place, P: Plugin<Place>>(&self, plugin: P) -> RegisterPlugin {
        let path = type_name::<P>();
        let name = unique_key_name(&short_type_name(path));
        let item = travelling(&name, path, &plugin);
        RegisterPlugin { client: self.clone(), name, home: P::PLACE, item }
    }

    /// Takes a plugin from every worker, after its `teardown`: Dask's
    /// `Client.unregister_worker_plugin`.
    ///
    /// # Errors
    /// When there is none of this name, or the scheduler is gone.
    pub async fn unregister_worker_plugin(&self, name: impl Into<String>) -> Result<()> {
        self.unequip(name.into()).await
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
fn travelling<Place, P: Plugin<Place>>(name: &str, path: &str, plugin: &P) -> Result<Item> {
    let key = dask_proto::Key::new(name)?;
    let value: Bytes = dask_task::encode(plugin).map_err(|source| Kind::Value { key, source })?;
    P::check(path, &value)?;
    Ok(Item::Plugin { path: path.to_owned(), value: value.into() })
}
