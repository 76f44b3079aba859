//! Plugins: code of the program that hears what happens on a worker or on the scheduler.
//!
//! Native code cannot travel, so a plugin is a type that the program registers, like a task; what
//! travels is its value.

use std::error::Error;
use std::sync::Arc;

use dask_proto::{Address, Key, ValueError};

use crate::context::CurrentWorker;
use crate::value::{Value, decode};

/// Why a plugin could not be set up: all that `?` takes.
pub type PluginError = Box<dyn Error + Send + Sync>;

/// What hears what happens on a worker: Dask's `WorkerPlugin`. Every method does nothing unless it
/// is written.
///
/// A plugin that panics is logged with the worker's lines, and harms nothing else.
#[allow(unused_variables, reason = "the names are for those who implement it")]
pub trait WorkerPlugin: Send + Sync + 'static {
    /// The worker has the plugin from now on. The worker waits for this, ahead of its first task if
    /// it has just joined.
    ///
    /// # Errors
    /// Then the worker does not have the plugin; who registered it hears why.
    fn setup(&self, worker: &CurrentWorker) -> Result<(), PluginError> {
        Ok(())
    }

    /// The worker is about to end, or the plugin was unregistered.
    fn teardown(&self, worker: &CurrentWorker) {}

    /// A task goes from one state to another on one of the worker's threads, which calls this:
    /// from `ready` to `executing`, and from there to `memory`, `error` or `cancelled`.
    fn transition(&self, worker: &CurrentWorker, key: &Key, start: &str, finish: &str) {}
}

/// What hears what happens on the scheduler: Dask's `SchedulerPlugin`. Every method does nothing
/// unless it is written.
///
/// All are called on a thread of their own, in the order in which things happened and a little
/// later: a plugin that takes its time does not hold up the scheduler. One that takes too long
/// misses what happens meanwhile, which is logged. One that panics is logged too, and goes on.
#[allow(unused_variables, reason = "the names are for those who implement it")]
pub trait SchedulerPlugin: Send + 'static {
    /// The plugin is registered on the scheduler at this address.
    fn start(&mut self, scheduler: &Address) {}

    /// A worker joined.
    fn add_worker(&mut self, worker: &Address, name: &str) {}

    /// A worker left.
    fn remove_worker(&mut self, worker: &Address, name: &str) {}

    /// A client connected.
    fn add_client(&mut self, name: &str) {}

    /// A client left.
    fn remove_client(&mut self, name: &str) {}

    /// A task went from one state to another: `released`, `waiting`, `no-worker`, `queued`,
    /// `processing`, `memory`, `erred` or `forgotten`.
    fn transition(&mut self, transition: &Transition) {}

    /// A client restarted the cluster: all tasks are gone.
    fn restart(&mut self) {}

    /// The scheduler ends, or the plugin was unregistered.
    fn close(&mut self) {}
}

/// A task that went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Its key.
    pub key: Key,
    /// The state that it left.
    pub start: &'static str,
    /// The state that it is in.
    pub finish: &'static str,
    /// The worker that computes it, computed it, or holds its result.
    pub worker: Option<Address>,
}

/// A type that the program registered.
pub struct PluginDef {
    /// The path of the type.
    pub path: fn() -> &'static str,
    /// Makes one of a value that travelled.
    pub make: Make,
}

/// Makes something of its bytes.
pub type Decode<T> = fn(&[u8]) -> Result<T, ValueError>;

/// How a plugin is made of a value that travelled.
pub enum Make {
    /// One for workers.
    Worker(Decode<Arc<dyn WorkerPlugin>>),
    /// One for the scheduler.
    Scheduler(Decode<Box<dyn SchedulerPlugin>>),
}

inventory::collect!(PluginDef);

impl PluginDef {
    /// A type of plugins for workers.
    #[must_use]
    pub const fn worker<P: WorkerPlugin + Value>() -> Self {
        let make = Make::Worker(|bytes| Ok(Arc::new(decode::<P>(bytes)?)));
        Self { path: std::any::type_name::<P>, make }
    }

    /// A type of plugins for the scheduler.
    #[must_use]
    pub const fn scheduler<P: SchedulerPlugin + Value>() -> Self {
        let make = Make::Scheduler(|bytes| Ok(Box::new(decode::<P>(bytes)?)));
        Self { path: std::any::type_name::<P>, make }
    }
}

/// A plugin could not be made of what travelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginTypeError {
    /// The program has not registered the type, or for something else.
    #[error("this program has no {what} plugin {path}")]
    Unknown {
        /// The path of the type.
        path: String,
        /// What for.
        what: &'static str,
    },
    /// Its value makes no sense.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Makes a plugin for a worker.
///
/// # Errors
/// When the program has not registered the type, or the bytes are no value of it.
pub fn worker(path: &str, value: &[u8]) -> Result<Arc<dyn WorkerPlugin>, PluginTypeError> {
    let made = defs(path).find_map(|def| match def.make {
        Make::Worker(make) => Some(make(value)),
        Make::Scheduler(_) => None,
    });
    Ok(made.ok_or_else(|| unknown(path, "worker"))??)
}

/// Makes a plugin for the scheduler.
///
/// # Errors
/// When the program has not registered the type, or the bytes are no value of it.
pub fn scheduler(path: &str, value: &[u8]) -> Result<Box<dyn SchedulerPlugin>, PluginTypeError> {
    let made = defs(path).find_map(|def| match def.make {
        Make::Scheduler(make) => Some(make(value)),
        Make::Worker(_) => None,
    });
    Ok(made.ok_or_else(|| unknown(path, "scheduler"))??)
}

fn defs(path: &str) -> impl Iterator<Item = &'static PluginDef> {
    inventory::iter::<PluginDef>.into_iter().filter(move |def| (def.path)() == path)
}

fn unknown(path: &str, what: &'static str) -> PluginTypeError {
    PluginTypeError::Unknown { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Here(u64);

    impl WorkerPlugin for Here {
        fn setup(&self, _: &CurrentWorker) -> Result<(), PluginError> {
            Err(format!("{} is here", self.0).into())
        }
    }

    inventory::submit! { PluginDef::worker::<Here>() }

    #[test]
    fn a_registered_type_is_found_and_made() {
        let path = std::any::type_name::<Here>();
        let value = crate::encode(&Here(7)).expect("it encodes");
        assert!(worker(path, &value).is_ok());
        let error = scheduler(path, &value).err().expect("it is none of the scheduler's");
        assert!(error.to_string().contains("no scheduler plugin"), "{error}");
        assert!(matches!(worker(path, &[1]), Err(PluginTypeError::Value(_))));
        assert!(matches!(worker("app::Nobody", &value), Err(PluginTypeError::Unknown { .. })));
    }
}
