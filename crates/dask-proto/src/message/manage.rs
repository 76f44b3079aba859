//! What a client asks of the scheduler to have the whole cluster changed.

use serde::{Deserialize, Serialize};

use super::log::LogLevel;
use crate::Payload;
use crate::program::ProgramId;

/// A change of the cluster. [`Answer::Done`](super::Answer::Done).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Manage {
    /// Cancel every task of every client, and drop what workers hold (the first half of Dask's
    /// `restart`).
    Reset,
    /// Wait until each of these workers is connected. One that was seen need not stay.
    AwaitWorkers {
        /// Their names, and the programs of those that agents run: an agent gives its name to its
        /// workers of every program.
        workers: Vec<(String, Option<ProgramId>)>,
    },
    /// Keep something that every worker is to have, and give it to those that join later. The
    /// client asks those that are there to [take](super::Question::Take) it.
    Equip(Equipment),
    /// Keep it no longer.
    Unequip {
        /// Its name.
        name: String,
    },
    /// Have superfluous copies removed, or not (Dask's `amm`).
    ManageMemory(ManageMemory),
    /// Tell this client what workers log from now on, down to this level (Dask's
    /// `forward_logging`); nothing for `None`.
    ForwardLogging {
        /// The level.
        level: Option<LogLevel>,
    },
}

/// What the active memory manager is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ManageMemory {
    /// Look at copies every now and then.
    Start,
    /// Do so no more.
    Stop,
    /// Look at all of them now, whether it does so by itself or not.
    RunOnce,
}

/// Something that every worker is to have, also those that join later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Equipment {
    /// Its name: of two with one name the later replaces the earlier.
    pub name: String,
    /// What it is.
    pub item: Item,
}

/// What a worker can be equipped with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Item {
    /// A file in its local directory, called by the name of the equipment.
    File(Payload),
    /// A plugin: a type that its program has registered, and its value.
    Plugin {
        /// The path of the type.
        path: String,
        /// The value, encoded.
        value: Payload,
    },
}

impl Item {
    /// About how many bytes it takes.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        match self {
            Self::File(content) => content.nbytes(),
            Self::Plugin { path, value } => value.nbytes().saturating_add(path.len() as u64),
        }
    }
}
