//! Topics: events that are remembered, and told to clients that subscribed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use dask_proto::id::ClientId;
use dask_proto::limits::{
    EVENTS_REMEMBERED, MAX_EVENT_BYTES, MAX_TOPIC_BYTES, MAX_TOPICS, MAX_TOPICS_OF_CLIENT,
};
use dask_proto::message::{
    Answer, CoordinationAnswer, CoordinationRefusal, Kept, LogLevel, LogRecord, PastEvent, Refusal,
    SchedulerToClient, TopicAction,
};
use dask_proto::{Key, Moment, Payload};

use crate::state::SchedulerState;
use crate::state::coordination::{OWN, alone};

/// The topic of what the scheduler itself has to tell, as in Dask.
const ALL: &str = "all";

/// All topics that have events or subscribers.
#[derive(Debug, Default)]
pub(in crate::state) struct TopicTable {
    entries: BTreeMap<Key, TopicEntry>,
    /// How many events there were.
    events: u64,
}

#[derive(Debug, Default)]
struct TopicEntry {
    /// The latest events, the oldest first.
    events: VecDeque<(Moment, Payload)>,
    bytes: u64,
    /// The number of the latest event, of those of all topics.
    latest: u64,
    subscribers: BTreeSet<ClientId>,
}

impl TopicEntry {
    fn remember(&mut self, now: Moment, message: Payload) {
        self.bytes += message.nbytes();
        self.events.push_back((now, message));
        while self.events.len() > EVENTS_REMEMBERED || self.bytes > MAX_TOPIC_BYTES {
            let Some((_, oldest)) = self.events.pop_front() else { return };
            self.bytes -= oldest.nbytes();
        }
    }
}

impl TopicTable {
    /// The topic of this name. If there are too many, the one goes to which nobody subscribed and
    /// whose latest event is the oldest.
    fn entry(&mut self, name: Key) -> Result<&mut TopicEntry, Answer> {
        if self.entries.len() >= MAX_TOPICS && !self.entries.contains_key(&name) {
            let idle = self.entries.iter().filter(|(_, entry)| entry.subscribers.is_empty());
            let oldest = idle.min_by_key(|(_, entry)| entry.latest).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else {
                return Err(refused(CoordinationRefusal::Full(Kept::Names)));
            };
            self.entries.remove(&oldest);
        }
        Ok(self.entries.entry(name).or_default())
    }

    /// To how many a client subscribed.
    fn of(&self, client: ClientId) -> usize {
        self.entries.values().filter(|entry| entry.subscribers.contains(&client)).count()
    }

    /// A client is gone, or subscribes no more.
    fn unsubscribe(&mut self, name: &Key, client: ClientId) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.subscribers.remove(&client);
        if entry.subscribers.is_empty() && entry.events.is_empty() {
            self.entries.remove(name);
        }
    }

    /// Those who subscribed; for the invariants.
    pub(in crate::state) fn subscribers(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.entries.values().flat_map(|entry| entry.subscribers.iter().copied())
    }

    /// A client is gone.
    pub(in crate::state) fn forget_client(&mut self, client: ClientId) {
        let its_own = self.entries.iter().filter(|(_, entry)| entry.subscribers.contains(&client));
        let names: Vec<Key> = its_own.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.unsubscribe(&name, client);
        }
    }
}

fn refused(refusal: CoordinationRefusal) -> Answer {
    Answer::Refused(Refusal::Coordination(refusal))
}

impl SchedulerState {
    pub(in crate::state) fn topic(
        &mut self,
        client: ClientId,
        name: Key,
        action: TopicAction,
    ) -> Answer {
        match action {
            TopicAction::Log(message) => {
                let (nbytes, limit) = (message.nbytes(), MAX_EVENT_BYTES);
                if nbytes > limit {
                    return refused(CoordinationRefusal::ValueTooLarge { nbytes, limit });
                }
                if let Err(answer) = self.publish(name, message) {
                    return answer;
                }
            }
            TopicAction::Events => {
                let entry = self.topics.entries.get(&name).into_iter();
                let events = entry.flat_map(|entry| &entry.events).map(|(at, message)| PastEvent {
                    age_ns: self.now.as_nanos() - at.as_nanos(),
                    message: message.clone(),
                });
                return Answer::Coordination(CoordinationAnswer::Events(events.collect()));
            }
            TopicAction::Subscribe if self.topics.of(client) >= MAX_TOPICS_OF_CLIENT => {
                return refused(CoordinationRefusal::Share(Kept::Names));
            }
            TopicAction::Subscribe => match self.topics.entry(name) {
                Ok(entry) => drop(entry.subscribers.insert(client)),
                Err(answer) => return answer,
            },
            _ => self.topics.unsubscribe(&name, client),
        }
        Answer::Done
    }

    fn publish(&mut self, topic: Key, message: Payload) -> Result<(), Answer> {
        let (message, number) = (alone(message), self.topics.events + 1);
        self.topics.events = number;
        let entry = self.topics.entry(topic.clone())?;
        entry.latest = number;
        entry.remember(self.now, message.clone());
        for client in &entry.subscribers {
            let (topic, message) = (topic.clone(), message.clone());
            self.out.tell_client(*client, SchedulerToClient::Event { topic, message });
        }
        Ok(())
    }

    /// Notes something that happened to the cluster, in a few words.
    pub(in crate::state) fn log_own_event(&mut self, text: &str) {
        if let Ok(topic) = Key::new(ALL) {
            // There is no room where somebody listens to each of too many topics.
            let _ = self.publish(topic, text_payload(text));
        }
    }

    /// Passes on what a task printed, or warned of: to the clients that hold it, and to those that
    /// subscribed to the topics `print` and `warn`, as in Dask. What nobody holds is told to all,
    /// as in Dask everything is; so is what only tasks hold, for whoever waits for them.
    pub(in crate::state) fn tell_output(&mut self, record: &LogRecord) {
        let topic = match record.level {
            LogLevel::Print => "print",
            LogLevel::Warn => "warn",
            _ => return,
        };
        let Some(key) = &record.key else { return };
        let row = self.tasks.find(key.as_str());
        let holds = row.into_iter().flat_map(|row| self.tasks[row].holds.iter());
        let listens = |client: &ClientId| {
            *client != OWN && self.clients.get(client).is_some_and(|entry| !entry.is_of_tasks())
        };
        let holders = holds.map(|hold| hold.client).filter(listens);
        let mut clients: BTreeSet<ClientId> = holders.collect();
        if clients.is_empty() {
            clients.extend(self.clients.keys().copied().filter(listens));
        }
        for client in clients {
            self.out.tell_client(client, SchedulerToClient::Said(record.clone()));
        }
        let is_awaited = |entry: &TopicEntry| !entry.subscribers.is_empty();
        if let Ok(topic) = Key::new(topic)
            && self.topics.entries.get(&topic).is_some_and(is_awaited)
        {
            // It is there.
            let _ = self.publish(topic, text_payload(&record.message));
        }
    }
}

/// A text as clients encode it: its length, and then its bytes.
fn text_payload(text: &str) -> Payload {
    let length = (text.len() as u64).to_le_bytes();
    Payload::Bytes(Bytes::from([&length, text.as_bytes()].concat()))
}
