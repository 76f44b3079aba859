//! Integer names. Keys and addresses cross a link once; after that an id stands for them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id! {
    /// A task on one scheduler, for as long as the scheduler runs: never used again after the task
    /// is forgotten, so a late message about it cannot be taken for another's. The scheduler packs
    /// the row of its table into the low 32 bits and that row's generation into the high ones.
    TaskId(u64), "t"
}
id! {
    /// A worker on one scheduler; never used again after the worker left.
    WorkerId(u32), "w"
}
id! {
    /// A client on one scheduler; never used again after the client left.
    ClientId(u32), "c"
}
id! {
    /// A host agent on one scheduler; never used again after the agent left.
    AgentId(u32), "a"
}
id! {
    /// A client's hold on a key, chosen by the client and unique among its own, from the first
    /// mention of the key until the client releases it. Two futures on one key have two ids.
    FutureId(u64), "f"
}
id! {
    /// A question that waits for its answer, chosen by the side that asks.
    RequestId(u64), "r"
}
id! {
    /// A task function on one link, defined by a message before its first use.
    FunctionId(u32), "fn"
}
id! {
    /// One attempt at computing a task: a result of an earlier attempt is recognised and dropped.
    RunId(u32), "run"
}
id! {
    /// The event that caused a transition or an instruction, counted by the state that handled it.
    StimulusId(u64), "s"
}
