use dask_proto::id::RequestId;
use dask_proto::message::{
    Coordination, CoordinationAnswer, CoordinationRefusal, DatasetAction, EventAction, Kept,
    KeptValue, MetadataAction, PastEvent, Patience, QueueAction, SemaphoreAction, TopicAction,
    VariableAction,
};

use super::{key, payload};

fn value() -> KeptValue {
    KeptValue { payload: payload("a value"), futures: vec![key("inc-1")] }
}

pub(crate) fn events() -> Vec<EventAction> {
    vec![EventAction::Set, EventAction::Clear, EventAction::IsSet, EventAction::Wait]
}

pub(crate) fn semaphores() -> Vec<SemaphoreAction> {
    vec![
        SemaphoreAction::Acquire(Patience::Now),
        SemaphoreAction::Acquire(Patience::Forever),
        SemaphoreAction::Value,
        SemaphoreAction::Close,
    ]
}

pub(crate) fn queues() -> Vec<QueueAction> {
    vec![
        QueueAction::Put { value: value(), patience: Patience::Forever },
        QueueAction::Get { count: 2, patience: Patience::Now },
        QueueAction::Drain,
        QueueAction::Size,
        QueueAction::Close,
    ]
}

pub(crate) fn variables() -> Vec<VariableAction> {
    vec![
        VariableAction::Set(value()),
        VariableAction::Get(Patience::Forever),
        VariableAction::Delete,
    ]
}

pub(crate) fn datasets() -> Vec<DatasetAction> {
    let name = || key("data");
    vec![
        DatasetAction::Publish { name: name(), value: value(), overwrite: true },
        DatasetAction::Get(name()),
        DatasetAction::List,
        DatasetAction::Unpublish(name()),
    ]
}

pub(crate) fn metadata() -> Vec<MetadataAction> {
    vec![MetadataAction::Set(value()), MetadataAction::Get]
}

pub(crate) fn topics() -> Vec<TopicAction> {
    vec![
        TopicAction::Log(payload("an event")),
        TopicAction::Events,
        TopicAction::Subscribe,
        TopicAction::Unsubscribe,
    ]
}

pub(crate) fn requests() -> Vec<Coordination> {
    let name = || key("name");
    let mut requests = vec![
        Coordination::MultiLock {
            names: vec![key("x"), key("y")],
            count: 1,
            patience: Patience::Forever,
        },
        Coordination::Release { lease: RequestId(7) },
    ];
    let event = |action| Coordination::Event { name: name(), action };
    let semaphore = |action| Coordination::Semaphore { name: name(), max_leases: 3, action };
    let queue = |action| Coordination::Queue { name: name(), maxsize: 100, action };
    let variable = |action| Coordination::Variable { name: name(), action };
    requests.extend(events().into_iter().map(event));
    requests.extend(semaphores().into_iter().map(semaphore));
    requests.extend(queues().into_iter().map(queue));
    requests.extend(variables().into_iter().map(variable));
    let metadata_at = |action| Coordination::Metadata { path: vec![key("a"), key("b")], action };
    let topic = |action| Coordination::Topic { name: name(), action };
    requests.extend(datasets().into_iter().map(Coordination::Dataset));
    requests.extend(metadata().into_iter().map(metadata_at));
    requests.extend(topics().into_iter().map(topic));
    requests
}

pub(crate) fn answers() -> Vec<CoordinationAnswer> {
    vec![
        CoordinationAnswer::NotNow,
        CoordinationAnswer::Count(2),
        CoordinationAnswer::Values(vec![value(), KeptValue::default()]),
        CoordinationAnswer::Names(vec![key("data")]),
        CoordinationAnswer::Metadata(vec![(vec![key("b")], payload("a value"))]),
        CoordinationAnswer::Events(vec![PastEvent { age_ns: 7, message: payload("an event") }]),
    ]
}

pub(crate) fn refusals() -> Vec<CoordinationRefusal> {
    vec![
        CoordinationRefusal::UnknownKey(key("inc-1")),
        CoordinationRefusal::ValueTooLarge { nbytes: 10, limit: 9 },
        CoordinationRefusal::Full(Kept::Names),
        CoordinationRefusal::Full(Kept::Requests),
        CoordinationRefusal::Full(Kept::Bytes),
        CoordinationRefusal::OtherLeases { name: key("name"), max_leases: 2 },
        CoordinationRefusal::Closed(key("name")),
        CoordinationRefusal::IdInUse,
        CoordinationRefusal::Share(Kept::Bytes),
        CoordinationRefusal::NoDataset(key("data")),
        CoordinationRefusal::DatasetExists(key("data")),
        CoordinationRefusal::NotNested(key("a")),
    ]
}
