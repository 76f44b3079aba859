//! Requests about primitives. A value is `text+a+b`: a text, and the keys of the futures in it.

use dask_proto::message::{
    Coordination, CoordinationAnswer, EventAction, KeptValue, Patience, QueueAction,
    SemaphoreAction, VariableAction,
};
use dask_proto::{Key, Payload};

use super::parse::{key, number};

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
        other => panic!("no primitive {other:?}"),
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
            let texts: Vec<String> = values.iter().map(text_of).collect();
            format!("values [{}]", texts.join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn text_of(value: &KeptValue) -> String {
    let bytes = value.payload.to_bytes().expect("bytes");
    let mut text = String::from_utf8(bytes.to_vec()).expect("a text");
    for key in &value.futures {
        text.push('+');
        text.push_str(key.as_str());
    }
    text
}
