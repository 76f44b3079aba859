//! Plugins that leave traces, and plugins that go wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use dask_client::{
    Address, CurrentWorker, Key, PluginError, SchedulerPlugin, Transition, WorkerPlugin,
};
use serde::{Deserialize, Serialize};

/// Leaves a file in a directory for all that it hears on a worker.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tracer {
    /// The directory.
    pub directory: PathBuf,
}

dask_client::register_worker_plugin!(Tracer);

impl Tracer {
    fn leave(&self, name: &str) {
        std::fs::write(self.directory.join(name), "").expect("the directory is there");
    }
}

impl WorkerPlugin for Tracer {
    fn setup(&self, worker: &CurrentWorker) -> Result<(), PluginError> {
        self.leave(&format!("setup {}", worker.name));
        Ok(())
    }

    fn teardown(&self, worker: &CurrentWorker) {
        self.leave(&format!("teardown {}", worker.name));
    }

    fn transition(&self, _: &CurrentWorker, key: &Key, start: &str, finish: &str) {
        self.leave(&format!("{key} {start} {finish}"));
    }
}

/// Goes wrong where it is told to.
#[derive(Clone, Serialize, Deserialize)]
pub struct Clumsy {
    /// `fail`, `setup` or `transition`.
    pub place: String,
}

dask_client::register_worker_plugin!(Clumsy);

impl WorkerPlugin for Clumsy {
    fn setup(&self, _: &CurrentWorker) -> Result<(), PluginError> {
        assert!(self.place != "setup", "it stumbled");
        if self.place == "fail" { Err("it has no mind to".into()) } else { Ok(()) }
    }

    fn transition(&self, _: &CurrentWorker, _: &Key, _: &str, _: &str) {
        assert!(self.place != "transition", "it stumbled");
    }
}

/// Notes all that it hears on a scheduler of this process, by its name.
#[derive(Clone, Serialize, Deserialize)]
pub struct Watch {
    /// The name.
    pub name: String,
    /// Whether it panics after each note.
    pub panics: bool,
}

dask_client::register_scheduler_plugin!(Watch);

static NOTES: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

impl Watch {
    /// What the one of this name heard.
    #[must_use]
    pub fn heard(name: &str) -> Vec<String> {
        let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(name).cloned().unwrap_or_default()
    }

    fn note(&self, text: String) {
        let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        notes.entry(self.name.clone()).or_default().push(text);
        drop(notes);
        assert!(!self.panics, "it stumbled");
    }
}

impl SchedulerPlugin for Watch {
    fn start(&mut self, scheduler: &Address) {
        self.note(format!("start {scheduler}"));
    }

    fn add_worker(&mut self, _: &Address, name: &str) {
        self.note(format!("worker {name}"));
    }

    fn remove_worker(&mut self, _: &Address, name: &str) {
        self.note(format!("no worker {name}"));
    }

    fn add_client(&mut self, name: &str) {
        self.note(format!("client {name}"));
    }

    fn remove_client(&mut self, name: &str) {
        self.note(format!("no client {name}"));
    }

    fn transition(&mut self, transition: &Transition) {
        let Transition { key, start, finish, .. } = transition;
        self.note(format!("{key} {start} {finish}"));
    }

    fn restart(&mut self) {
        self.note("restart".to_owned());
    }

    fn close(&mut self) {
        self.note("close".to_owned());
    }
}
