//! The plugins of a worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dask_proto::Key;
use dask_proto::message::LogLevel;
use dask_task::catch;
use dask_task::context::CurrentWorker;
use dask_task::plugin::{self, WorkerPlugin};

use crate::Log;

/// The plugins, in the order in which they came. What they do is the user's code: it may panic.
pub(crate) struct Plugins {
    worker: Arc<CurrentWorker>,
    log: Log,
    list: RwLock<Vec<(String, Arc<dyn WorkerPlugin>)>>,
    /// Whether there is any: all that a task looks at where there is none.
    any: AtomicBool,
}

impl Plugins {
    pub(crate) fn new(worker: Arc<CurrentWorker>, log: Log) -> Self {
        Self { worker, log, list: RwLock::default(), any: AtomicBool::new(false) }
    }

    /// Takes one, in place of one of this name; why it could not be set up.
    pub(crate) fn add(&self, name: &str, path: &str, value: &[u8]) -> Result<(), String> {
        self.remove(name);
        let plugin = catch(|| plugin::worker(path, value)).map_err(|panic| panic.message)?;
        let plugin = plugin.map_err(|error| error.to_string())?;
        let set_up = catch(|| plugin.setup(&self.worker));
        let set_up = set_up.map_err(|panic| format!("it panicked in setup: {}", panic.message))?;
        set_up.map_err(|error| error.to_string())?;
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.push((name.to_owned(), plugin));
        self.any.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives one back; whether there was one of this name.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let place = list.iter().position(|(known, _)| known == name);
        let removed = place.map(|place| list.remove(place));
        self.any.store(!list.is_empty(), Ordering::Relaxed);
        drop(list);
        if let Some((name, plugin)) = &removed {
            self.guard(name, "teardown", None, || plugin.teardown(&self.worker));
        }
        removed.is_some()
    }

    /// Tells all of a task, on the thread that it runs on.
    pub(crate) fn transition(&self, key: &Key, start: &str, finish: &str) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (name, plugin) in &list {
            let tell = || plugin.transition(&self.worker, key, start, finish);
            self.guard(name, "transition", Some(key), tell);
        }
    }

    /// The worker ends.
    pub(crate) fn end(&self) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let plugins = std::mem::take(&mut *list);
        self.any.store(false, Ordering::Relaxed);
        drop(list);
        for (name, plugin) in &plugins {
            self.guard(name, "teardown", None, || plugin.teardown(&self.worker));
        }
    }

    /// Calls a plugin, whose panic is a line in the log.
    fn guard(&self, name: &str, what: &str, key: Option<&Key>, call: impl FnOnce()) {
        if let Err(panic) = catch(call) {
            let message = format!("plugin {name} panicked in {what}: {}", panic.message);
            self.log.record(LogLevel::Error, key.cloned(), message);
        }
    }
}
