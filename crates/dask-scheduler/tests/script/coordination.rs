//! Requests about primitives. A value is `text+a+b`: a text, and the keys of the futures in it.

use std::time::Duration;

use dask_proto::message::{
    Coordination, CoordinationAnswer, DatasetAction, EventAction, KeptValue, MetadataAction,
    PastEvent, Patience, QueueAction, SemaphoreAction, TopicAction, VariableAction,
};
use dask_proto::{Key, Payload};

use super::parse::{key, number};

/// The first words of requests about them.
pub(super) const KINDS: [&str; 9] =
    ["event", "semaphore", "locks", "give-up", "queue", "variable", "dataset", "metadata", "topic"];

pub(super) fn request(words: &[&str]) -> Coordination {
    match words {
        ["event", name, action] => Coordination::Event { name: key(name), action: event(action) },
        ["semaphore", name, max_leases, action @ ..] => Coordination::Semaphore {
            name: key(name),
            max_leases: number(max_leases),
            action: match action {
                ["acquire", patience @ ..] => SemaphoreAction::Acquire(patient(patience)),
                ["value"] => SemaphoreAction::Value,
                ["close"] => SemaphoreAction::Close,
                other => panic!("no action {other:?} of a semaphore"),
            },
        },
        ["locks", names, count, patience @ ..] => Coordination::MultiLock {
            names: names.split(',').map(key).collect(),
            count: number(count),
            patience: patient(patience),
        },
        ["give-up", lease] => {
            Coordination::Release { lease: dask_proto::id::RequestId(number(lease).into()) }
        }
        ["queue", name, maxsize, action @ ..] => {
            Coordination::Queue { name: key(name), maxsize: number(maxsize), action: queue(action) }
        }
        ["variable", name, action @ ..] => Coordination::Variable {
            name: key(name),
            action: match action {
                ["set", text] => VariableAction::Set(value(text)),
                ["get", patience @ ..] => VariableAction::Get(patient(patience)),
                ["delete"] => VariableAction::Delete,
                other => panic!("no action {other:?} of a variable"),
            },
        },
        ["dataset", action @ ..] => Coordination::Dataset(dataset(action)),
        ["metadata", path, action @ ..] => Coordination::Metadata {
            path: path.split('/').map(key).collect(),
            action: match action {
                ["set", text] => MetadataAction::Set(value(text)),
                ["get"] => MetadataAction::Get,
                other => panic!("no action {other:?} of metadata"),
            },
        },
        ["topic", name, action @ ..] => {
            Coordination::Topic { name: key(name), action: topic(action) }
        }
        other => panic!("no primitive {other:?}"),
    }
}

fn dataset(action: &[&str]) -> DatasetAction {
    match action {
        ["publish", name, text, settings @ ..] => DatasetAction::Publish {
            name: key(name),
            value: value(text),
            overwrite: settings.contains(&"overwrite"),
        },
        ["get", name] => DatasetAction::Get(key(name)),
        ["list"] => DatasetAction::List,
        ["unpublish", name] => DatasetAction::Unpublish(key(name)),
        other => panic!("no action {other:?} of datasets"),
    }
}

fn topic(action: &[&str]) -> TopicAction {
    match action {
        ["log", text] => TopicAction::Log(value(text).payload),
        ["events"] => TopicAction::Events,
        ["subscribe"] => TopicAction::Subscribe,
        ["unsubscribe"] => TopicAction::Unsubscribe,
        other => panic!("no action {other:?} of a topic"),
    }
}

fn event(action: &str) -> EventAction {
    match action {
        "set" => EventAction::Set,
        "clear" => EventAction::Clear,
        "is-set" => EventAction::IsSet,
        "wait" => EventAction::Wait,
        other => panic!("no action {other:?} of an event"),
    }
}

fn queue(action: &[&str]) -> QueueAction {
    match action {
        ["put", text, patience @ ..] => {
            QueueAction::Put { value: value(text), patience: patient(patience) }
        }
        ["get", count, patience @ ..] => {
            QueueAction::Get { count: number(count), patience: patient(patience) }
        }
        ["drain"] => QueueAction::Drain,
        ["size"] => QueueAction::Size,
        ["close"] => QueueAction::Close,
        other => panic!("no action {other:?} of a queue"),
    }
}

fn patient(words: &[&str]) -> Patience {
    if words.contains(&"now") { Patience::Now } else { Patience::Forever }
}

/// `100#` is a text of so many bytes.
fn value(text: &str) -> KeptValue {
    let mut parts = text.split('+');
    let text = parts.next().unwrap_or_default();
    let text = match text.strip_suffix('#') {
        Some(length) => "x".repeat(number(length) as usize),
        None => text.to_owned(),
    };
    let futures: Vec<Key> = parts.map(key).collect();
    KeptValue { payload: Payload::Bytes(text.into_bytes().into()), futures }
}

pub(super) fn answer(answer: &CoordinationAnswer) -> String {
    match answer {
        CoordinationAnswer::NotNow => "not now".to_owned(),
        CoordinationAnswer::Count(count) => count.to_string(),
        CoordinationAnswer::Values(values) => {
            let texts: Vec<String> = values.iter().map(|value| text(&value.payload)).collect();
            format!("values [{}]", texts.join(" "))
        }
        CoordinationAnswer::Names(names) => {
            let names: Vec<&str> = names.iter().map(Key::as_str).collect();
            format!("names [{}]", names.join(" "))
        }
        CoordinationAnswer::Metadata(list) => {
            let entry = |(path, payload): &(Vec<Key>, Payload)| {
                let path: Vec<&str> = path.iter().map(Key::as_str).collect();
                format!("{}={}", path.join("/"), text(payload))
            };
            format!("metadata [{}]", list.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        CoordinationAnswer::Events(events) => {
            let event = |event: &PastEvent| {
                format!("{:?} ago: {}", Duration::from_nanos(event.age_ns), text(&event.message))
            };
            format!("events [{}]", events.iter().map(event).collect::<Vec<_>>().join("; "))
        }
        other => format!("{other:?}"),
    }
}

/// The text of a payload. What the scheduler says by itself has its length in front.
pub(super) fn text(payload: &Payload) -> String {
    let bytes = payload.to_bytes().expect("bytes");
    String::from_utf8_lossy(&bytes).replace(|c: char| c.is_control(), "")
}
