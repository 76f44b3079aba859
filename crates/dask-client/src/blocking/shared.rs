use dask_task::Value;
use serde::Serialize;

use super::{Client, Future, block_on, blocking};
use crate::{MetadataPath, Options, Result, TopicEvent, Unknown};

impl Options<Client> {
    /// [`Client::publish_dataset`] with these options.
    ///
    /// # Errors
    /// As there.
    pub fn publish_dataset<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<()> {
        self.asynchronous().publish_dataset(name, value).block()
    }
}

impl Client {
    /// [`Client::publish_dataset`](crate::Client::publish_dataset).
    ///
    /// # Errors
    /// As there.
    pub fn publish_dataset<T: Serialize + ?Sized>(
        &self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<()> {
        self.0.publish_dataset(name, value).block()
    }

    /// [`futures_of`](crate::futures_of), as blocking futures.
    ///
    /// # Errors
    /// As there.
    pub fn futures_of<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<Future<Unknown>>> {
        self.0.futures_of(value).map(blocking)
    }

    /// [`Client::get_dataset`](crate::Client::get_dataset).
    ///
    /// # Errors
    /// As there.
    pub fn get_dataset<T: Value>(&self, name: impl AsRef<str>) -> Result<T> {
        block_on(self.0.get_dataset(name))
    }

    /// [`Client::list_datasets`](crate::Client::list_datasets).
    ///
    /// # Errors
    /// As there.
    pub fn list_datasets(&self) -> Result<Vec<String>> {
        block_on(self.0.list_datasets())
    }

    /// [`Client::unpublish_dataset`](crate::Client::unpublish_dataset).
    ///
    /// # Errors
    /// As there.
    pub fn unpublish_dataset(&self, name: impl AsRef<str>) -> Result<()> {
        block_on(self.0.unpublish_dataset(name))
    }

    /// [`Client::set_metadata`](crate::Client::set_metadata).
    ///
    /// # Errors
    /// As there.
    pub fn set_metadata<T: Serialize + ?Sized>(
        &self,
        path: impl MetadataPath,
        value: &T,
    ) -> Result<()> {
        block_on(self.0.set_metadata(path, value))
    }

    /// [`Client::get_metadata`](crate::Client::get_metadata).
    ///
    /// # Errors
    /// As there.
    pub fn get_metadata<T: Value>(&self, path: impl MetadataPath) -> Result<Option<T>> {
        block_on(self.0.get_metadata(path))
    }

    /// [`Client::log_event`](crate::Client::log_event).
    ///
    /// # Errors
    /// As there.
    pub fn log_event<T: Serialize + ?Sized>(
        &self,
        topic: impl AsRef<str>,
        message: &T,
    ) -> Result<()> {
        block_on(self.0.log_event(topic, message))
    }

    /// [`Client::get_events`](crate::Client::get_events).
    ///
    /// # Errors
    /// As there.
    pub fn get_events(&self, topic: impl AsRef<str>) -> Result<Vec<TopicEvent>> {
        block_on(self.0.get_events(topic))
    }

    /// [`Client::subscribe_topic`](crate::Client::subscribe_topic).
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_topic(
        &self,
        topic: impl AsRef<str>,
        handler: impl Fn(TopicEvent) + Send + Sync + 'static,
    ) -> Result<()> {
        block_on(self.0.subscribe_topic(topic, handler))
    }

    /// [`Client::unsubscribe_topic`](crate::Client::unsubscribe_topic).
    ///
    /// # Errors
    /// As there.
    pub fn unsubscribe_topic(&self, topic: impl AsRef<str>) -> Result<()> {
        block_on(self.0.unsubscribe_topic(topic))
    }
}
