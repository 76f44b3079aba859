use dask_proto::id::RequestId;
use dask_proto::message::{
    Coordination, CoordinationAnswer, CoordinationRefusal, EventAction, Kept, KeptValue, Patience,
    QueueAction, SemaphoreAction, VariableAction,
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
    requests
}

pub(crate) fn answers() -> Vec<CoordinationAnswer> {
    vec![
        CoordinationAnswer::NotNow,
        CoordinationAnswer::Count(2),
        CoordinationAnswer::Values(vec![value(), KeptValue::default()]),
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
    ]
}
