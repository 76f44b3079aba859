use dask_proto::Key;
use dask_proto::Payload;
use dask_proto::id::RequestId;
use dask_proto::message::{
    Coordination, DatasetAction, EventAction, KeptValue, MetadataAction, Patience, QueueAction,
    SemaphoreAction, TopicAction, VariableAction,
};

use super::Dice;
use super::client::any_key;

/// One of a few ids, so that some are in use.
pub(crate) fn any_id(dice: &mut Dice) -> RequestId {
    RequestId(100 + dice.below(30) as u64)
}

/// Any request about a primitive.
pub(crate) fn any(dice: &mut Dice) -> Coordination {
    let name = any_name(dice);
    match dice.below(22) {
        0..=2 => Coordination::Event { name, action: any_event(dice) },
        3..=6 => Coordination::Semaphore {
            name,
            // Mostly the same for all.
            max_leases: if dice.chance(5) { 0 } else { 2 },
            action: match dice.below(10) {
                0 => SemaphoreAction::Close,
                1 => SemaphoreAction::Value,
                _ => SemaphoreAction::Acquire(any_patience(dice)),
            },
        },
        7..=9 => Coordination::MultiLock {
            names: (0..dice.below(4)).map(|_| any_name(dice)).collect(),
            count: small(dice),
            patience: any_patience(dice),
        },
        10 => Coordination::Release { lease: any_id(dice) },
        11..=16 => Coordination::Queue {
            name,
            maxsize: if dice.chance(50) { 0 } else { 2 },
            action: any_queue(dice),
        },
        17 => Coordination::Dataset(match dice.below(4) {
            0..=1 => {
                let overwrite = dice.chance(50);
                DatasetAction::Publish { name, value: any_value(dice), overwrite }
            }
            2 => DatasetAction::Get(name),
            _ => DatasetAction::Unpublish(name),
        }),
        18 if dice.chance(50) => Coordination::Metadata {
            path: (0..dice.below(4)).map(|_| any_name(dice)).collect(),
            action: MetadataAction::Set(any_value(dice)),
        },
        18 => Coordination::Topic {
            name,
            action: match dice.below(3) {
                0 => TopicAction::Subscribe,
                1 => TopicAction::Unsubscribe,
                _ => TopicAction::Log(Payload::default()),
            },
        },
        _ => Coordination::Variable {
            name,
            action: match dice.below(6) {
                0 => VariableAction::Delete,
                1..=3 => VariableAction::Set(any_value(dice)),
                _ => VariableAction::Get(any_patience(dice)),
            },
        },
    }
}

fn any_event(dice: &mut Dice) -> EventAction {
    match dice.below(4) {
        0 => EventAction::Set,
        1 => EventAction::Clear,
        2 => EventAction::IsSet,
        _ => EventAction::Wait,
    }
}

fn any_queue(dice: &mut Dice) -> QueueAction {
    match dice.below(12) {
        0 => QueueAction::Drain,
        1 => QueueAction::Size,
        2 if dice.chance(30) => QueueAction::Close,
        2..=6 => QueueAction::Put { value: any_value(dice), patience: any_patience(dice) },
        _ => QueueAction::Get { count: small(dice), patience: any_patience(dice) },
    }
}

fn any_value(dice: &mut Dice) -> KeptValue {
    let futures = (0..dice.below(3)).map(|_| any_key(dice)).collect();
    KeptValue { payload: Payload::default(), futures }
}

fn any_patience(dice: &mut Dice) -> Patience {
    if dice.chance(30) { Patience::Now } else { Patience::Forever }
}

fn any_name(dice: &mut Dice) -> Key {
    Key::new(format!("name-{}", dice.below(3))).expect("a short key")
}

fn small(dice: &mut Dice) -> u32 {
    u32::try_from(dice.below(4)).expect("small")
}
