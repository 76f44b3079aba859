use std::fmt;
use std::time::{Duration, SystemTime};

use dask_proto::message::{Answer, Coordination, CoordinationAnswer, Request, TopicAction};
use dask_proto::{Key, Payload};
use dask_task::Value;
use serde::Serialize;

use crate::error::Kind;
use crate::future::travel::pack;
use crate::{Client, Result};

/// An event of a topic.
#[derive(Clone)]
pub struct TopicEvent {
    topic: Key,
    when: SystemTime,
    message: Payload,
}

impl TopicEvent {
    pub(crate) fn new(topic: Key, when: SystemTime, message: Payload) -> Self {
        Self { topic, when, message }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        self.topic.as_str()
    }

    /// When it happened, by the clock of this process.
    #[must_use]
    pub fn when(&self) -> SystemTime {
        self.when
    }

    /// What was said.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn message<T: Value>(&self) -> Result<T> {
        let bytes = self.message.to_bytes().map_err(Kind::Kept)?;
        dask_task::decode(&bytes).map_err(|error| Kind::Kept(error).into())
    }
}

impl fmt::Debug for TopicEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<TopicEvent: {}, {} bytes>", self.topic, self.message.nbytes())
    }
}

impl Client {
    /// Logs an event under a topic, for all who [subscribed](Client::subscribe_topic) and for those
    /// who [ask](Client::get_events) later: Dask's `log_event`. From tasks and elsewhere.
    ///
    /// The scheduler itself logs who comes and goes under the topic `all`, as texts such as
    /// `add-worker tcp://10.0.0.7:4040`, and what tasks print and warn of under `print` and `warn`,
    /// where somebody subscribed to these.
    ///
    /// ```
    /// # use dask_client::{Client, Result};
    /// # #[dask_client::main]
    /// # async fn main() -> Result<()> {
    /// # let client = Client::local().await?;
    /// let (sender, heard) = std::sync::mpsc::channel();
    /// let handler = move |event: dask_client::TopicEvent| {
    ///     let _ = sender.send(event.message::<f64>());
    /// };
    /// client.subscribe_topic("temperature", handler).await?;
    /// client.log_event("temperature", &36.6).await?;
    /// assert_eq!(heard.recv().expect("an event")?, 36.6);
    /// let events = client.get_events("temperature").await?;
    /// assert_eq!(events[0].message::<f64>()?, 36.6);
    /// # client.close().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is too long, the message cannot be serialized or is too large (64 KiB), there
    /// are 1024 topics already that somebody subscribed to, or the scheduler is gone. Of more
    /// topics the scheduler forgets those without subscribers whose latest events are the oldest.
    pub async fn log_event<T: Serialize + ?Sized>(
        &self,
        topic: impl AsRef<str>,
        message: &T,
    ) -> Result<()> {
        let message = pack(message)?.payload;
        super::control::done(self.topic(topic, TopicAction::Log(message)).await?)
    }

    /// The latest events of a topic, the oldest first, at most 1000: Dask's `get_events`.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn get_events(&self, topic: impl AsRef<str>) -> Result<Vec<TopicEvent>> {
        let name = Key::new(topic.as_ref())?;
        match self.topic(topic, TopicAction::Events).await? {
            Answer::Coordination(CoordinationAnswer::Events(events)) => {
                let now = SystemTime::now();
                let event = |past: dask_proto::message::PastEvent| {
                    let when = now.checked_sub(Duration::from_nanos(past.age_ns)).unwrap_or(now);
                    TopicEvent::new(name.clone(), when, past.message)
                };
                Ok(events.into_iter().map(event).collect())
            }
            _ => Err(Kind::Answer.into()),
        }
    }

    /// Calls a handler for every event of a topic from now on, one after the other, on a thread
    /// where it may block: Dask's `subscribe_topic`. It replaces an earlier handler of the topic.
    ///
    /// # Errors
    /// When the name is too long, there are 1024 topics already that somebody subscribed to, or the
    /// scheduler is gone.
    pub async fn subscribe_topic(
        &self,
        topic: impl AsRef<str>,
        handler: impl Fn(TopicEvent) + Send + Sync + 'static,
    ) -> Result<()> {
        let name = Key::new(topic.as_ref())?;
        let link = self.link();
        link.topics.subscribe(name.clone(), &link.runtime, handler);
        let subscribed = self.topic(topic, TopicAction::Subscribe).await;
        if subscribed.is_err() {
            link.topics.unsubscribe(&name);
        }
        super::control::done(subscribed?)
    }

    /// Stops calling the handler of a topic: Dask's `unsubscribe_topic`.
    ///
    /// # Errors
    /// When the name is too long, or the scheduler is gone.
    pub async fn unsubscribe_topic(&self, topic: impl AsRef<str>) -> Result<()> {
        self.link().topics.unsubscribe(&Key::new(topic.as_ref())?);
        super::control::done(self.topic(topic, TopicAction::Unsubscribe).await?)
    }

    async fn topic(&self, topic: impl AsRef<str>, action: TopicAction) -> Result<Answer> {
        let name = Key::new(topic.as_ref())?;
        self.link().ask(Request::Coordinate(Coordination::Topic { name, action })).await
    }
}
