//! The plugins of a scheduler, on a thread of their own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use dask_proto::Address;
use dask_proto::message::{Equipment, Item, Reply};
use dask_task::catch;
use dask_task::plugin::{self, SchedulerPlugin};

use crate::state::Observation;

/// What may wait for the plugins, in steps of the scheduler and in bytes; what happens beyond that
/// they miss.
const WAITING: usize = 1 << 16;
const WAITING_BYTES: usize = 64 << 20;

/// What the thread hears.
enum Word {
    Add(String, Box<dyn SchedulerPlugin>),
    Remove(String),
    Happened(Happened),
}

/// What happened in one step, and how many bytes wait with it.
struct Happened {
    observations: Vec<Observation>,
    nbytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Happened {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.nbytes, Ordering::Relaxed);
    }
}

/// The way to the plugins. When it is dropped they are closed.
pub(crate) struct Plugins {
    address: Address,
    names: Vec<String>,
    words: Option<SyncSender<Word>>,
    /// The bytes of what waits.
    waiting: Arc<AtomicUsize>,
    missed: u64,
}

impl Plugins {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, names: Vec::new(), words: None, waiting: Arc::default(), missed: 0 }
    }

    /// Adds one, in place of one of this name.
    pub(crate) fn add(&mut self, name: String, plugin: Box<dyn SchedulerPlugin>) -> io::Result<()> {
        if self.words.is_none() {
            let (words, heard) = sync_channel(WAITING);
            let address = self.address.clone();
            let thread = std::thread::Builder::new().name("plugins".to_owned());
            thread.spawn(move || run(&heard, &address))?;
            self.words = Some(words);
        }
        if !self.names.contains(&name) {
            self.names.push(name.clone());
        }
        if self.say(Word::Add(name, plugin)) { Ok(()) } else { Err(io::Error::other(TOO_SLOW)) }
    }

    /// Adds one that a client sent.
    pub(crate) fn equip(&mut self, Equipment { name, item }: Equipment) -> Reply {
        let Item::Plugin { path, value } = item else {
            return Reply::Refused("that is nothing for a scheduler".to_owned());
        };
        // It was encoded by the client.
        let value = value.to_bytes().unwrap_or_default();
        let made = catch(|| plugin::scheduler(&path, &value)).map_err(|panic| panic.message);
        let made = made.and_then(|made| made.map_err(|error| error.to_string()));
        match made.and_then(|made| self.add(name, made).map_err(|error| error.to_string())) {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(error),
        }
    }

    /// Removes one; whether there was one of this name.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let place = self.names.iter().position(|known| known == name);
        if let Some(place) = place {
            self.names.remove(place);
            self.say(Word::Remove(name.to_owned()));
        }
        place.is_some()
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Tells all what happened.
    pub(crate) fn tell(&mut self, observations: Vec<Observation>) {
        if observations.is_empty() || self.names.is_empty() {
            return;
        }
        let nbytes = observations.iter().map(Observation::nbytes).sum();
        let before = self.waiting.fetch_add(nbytes, Ordering::Relaxed);
        let happened = Happened { observations, nbytes, waiting: Arc::clone(&self.waiting) };
        // One step alone has room however much it is: it is in memory already.
        if before > 0 && before + nbytes > WAITING_BYTES {
            self.miss();
        } else {
            self.say(Word::Happened(happened));
        }
    }

    /// Never waits: what there is no room for is missed.
    fn say(&mut self, word: Word) -> bool {
        let Some(words) = &self.words else { return false };
        let said = words.try_send(word);
        if matches!(said, Err(TrySendError::Full(_))) {
            self.miss();
        }
        said.is_ok()
    }

    fn miss(&mut self) {
        if self.missed == 0 {
            tracing::warn!("{TOO_SLOW}");
        }
        self.missed += 1;
    }
}

const TOO_SLOW: &str = "a plugin of the scheduler is too slow: it misses what happens";

fn run(heard: &Receiver<Word>, scheduler: &Address) {
    let mut plugins: Vec<(String, Box<dyn SchedulerPlugin>)> = Vec::new();
    while let Ok(word) = heard.recv() {
        match word {
            Word::Add(name, plugin) => {
                remove(&mut plugins, &name);
                plugins.push((name, plugin));
                if let Some((name, plugin)) = plugins.last_mut() {
                    guard(name, "start", || plugin.start(scheduler));
                }
            }
            Word::Remove(name) => remove(&mut plugins, &name),
            Word::Happened(happened) => {
                for observation in &happened.observations {
                    for (name, plugin) in &mut plugins {
                        tell(name, &mut **plugin, observation);
                    }
                }
            }
        }
    }
    for (name, mut plugin) in plugins {
        guard(&name, "close", || plugin.close());
    }
}

fn remove(plugins: &mut Vec<(String, Box<dyn SchedulerPlugin>)>, name: &str) {
    if let Some(place) = plugins.iter().position(|(known, _)| known == name) {
        let (name, mut plugin) = plugins.remove(place);
        guard(&name, "close", || plugin.close());
    }
}

fn tell(name: &str, plugin: &mut dyn SchedulerPlugin, observation: &Observation) {
    match observation {
        Observation::WorkerAdded { worker, name: of } => {
            guard(name, "add_worker", || plugin.add_worker(worker, of));
        }
        Observation::WorkerRemoved { worker, name: of } => {
            guard(name, "remove_worker", || plugin.remove_worker(worker, of));
        }
        Observation::ClientAdded { name: of } => {
            guard(name, "add_client", || plugin.add_client(of));
        }
        Observation::ClientRemoved { name: of } => {
            guard(name, "remove_client", || plugin.remove_client(of));
        }
        Observation::Moved(transition) => {
            guard(name, "transition", || plugin.transition(transition));
        }
        Observation::Restarted => guard(name, "restart", || plugin.restart()),
    }
}

/// Calls a plugin, whose panic is a line in the log.
fn guard(name: &str, what: &str, call: impl FnOnce()) {
    if let Err(panic) = catch(call) {
        let message = panic.message;
        tracing::error!("plugin {name} of the scheduler panicked in {what}: {message}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Says what it hears, and waits for a word before it goes on.
    struct Slow {
        heard: Sender<String>,
        go_on: Receiver<()>,
    }

    impl SchedulerPlugin for Slow {
        fn add_client(&mut self, name: &str) {
            self.heard.send(name.chars().take(1).collect()).expect("the test listens");
            // Without a test nobody holds it up.
            let _ = self.go_on.recv();
        }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_what_happens_later_is_heard_again() {
        let mut plugins = Plugins::new("tcp://127.0.0.1:1".parse().expect("an address"));
        let ((heard, hears), (go, go_on)) = (channel(), channel());
        plugins.add("slow".to_owned(), Box::new(Slow { heard, go_on })).expect("a thread");
        let tell = |plugins: &mut Plugins, name: String| {
            plugins.tell(vec![Observation::ClientAdded { name }]);
            plugins.missed
        };
        // One step is heard whatever its size, and while it is under way not much else may wait.
        assert_eq!(tell(&mut plugins, "a".repeat(WAITING_BYTES)), 0);
        assert_eq!(hears.recv().expect("it is heard"), "a");
        assert_eq!(tell(&mut plugins, "b".to_owned()), 1);
        go.send(()).expect("it waits");
        while plugins.waiting.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(tell(&mut plugins, "c".to_owned()), 1);
        assert_eq!(hears.recv().expect("it is heard"), "c");
        assert_eq!(tell(&mut plugins, "d".repeat(1 << 20)), 1);
        drop((go, plugins));
        assert_eq!(hears.recv().expect("it is heard"), "d");
    }
}
