//! What the scheduler tells a client without being asked: events of topics, and what tasks say.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use dask_proto::message::{LogLevel, LogRecord};
use dask_proto::role::FORWARDED_LOG;
use dask_proto::{Address, Key, Payload};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::client::topic::TopicEvent;

/// Events that wait for a handler at most; more are dropped, and the log says so.
const EVENTS: usize = 16_384;

/// Says what a worker logged with `tracing`, at its level, as if it was said in this process.
pub(super) fn logged(worker: &Address, record: &LogRecord) {
    let (key, message) = (record.key.as_ref().map(Key::as_str), &record.message);
    macro_rules! say {
        ($($level:pat => $named:ident;)*) => {
            match record.level {
                $($level => tracing::$named!(target: FORWARDED_LOG, %worker, key, "{message}"),)*
            }
        };
    }
    say! {
        LogLevel::Error => error;
        LogLevel::Warn => warn;
        LogLevel::Print | LogLevel::Info => info;
        _ => debug;
    }
}

/// Who wants to hear what.
#[derive(Default)]
pub(crate) struct Topics {
    handlers: Mutex<HashMap<Key, mpsc::Sender<TopicEvent>>>,
    /// Whether what tasks print is printed here too.
    prints: AtomicBool,
}

impl Topics {
    /// Hands the events of a topic to this handler from now on, one after the other, on threads
    /// where it may block.
    pub(crate) fn subscribe(
        &self,
        topic: Key,
        runtime: &Handle,
        handler: impl Fn(TopicEvent) + Send + Sync + 'static,
    ) {
        let (sender, mut events) = mpsc::channel(EVENTS);
        self.handlers().insert(topic, sender);
        let handler = Arc::new(handler);
        runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                let handler = handler.clone();
                // A handler that panics is called again for the next.
                let _ = tokio::task::spawn_blocking(move || handler(event)).await;
            }
        });
    }

    pub(crate) fn unsubscribe(&self, topic: &Key) {
        self.handlers().remove(topic);
    }

    /// From now on what tasks print is printed here too.
    pub(crate) fn forward_output(&self) {
        self.prints.store(true, Ordering::Relaxed);
    }

    pub(super) fn event(&self, topic: Key, message: Payload) {
        let handlers = self.handlers();
        let Some(handler) = handlers.get(&topic) else { return };
        let event = TopicEvent::new(topic.clone(), SystemTime::now(), message);
        if handler.try_send(event).is_err() {
            tracing::warn!(%topic, "an event was dropped, as its handler is too slow");
        }
    }

    pub(super) fn said(&self, record: &LogRecord) {
        if !self.prints.load(Ordering::Relaxed) {
            return;
        }
        // Nobody may listen.
        let _ = match record.level {
            LogLevel::Print => writeln!(io::stdout(), "{}", record.message),
            _ => writeln!(io::stderr(), "{}", record.message),
        };
    }

    fn handlers(&self) -> MutexGuard<'_, HashMap<Key, mpsc::Sender<TopicEvent>>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
