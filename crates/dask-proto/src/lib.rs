//! What client, scheduler and workers say to each other, and how it becomes bytes.
//!
//! This crate is pure: it opens no sockets, reads no clocks and starts no threads. Reading order:
//!
//! 1. [`Key`], the [ids](crate::id), [`Address`] and [`Moment`]: the nouns.
//! 2. [`Payload`]: a value or a task's arguments, opaque to everyone but the task itself.
//! 3. [`graph`]: what a task is, and [`TaskError`]: how it failed.
//! 4. [`message`]: one enum per direction and link.
//! 5. [`program`] and [`role`]: how a program travels, and becomes a worker.
//! 6. [`codec`]: messages ⇄ [`Frames`]; [`wire`]: frames ⇄ a byte stream.
//! 7. [`human`], [`ByteSize`] and [`Resources`]: what people write and read.
//!
//! Every byte that arrives is hostile until it is decoded: [`limits`] are checked before memory is
//! allocated, and decoding never panics.

pub mod codec;
pub mod graph;
pub mod human;
pub mod id;
pub mod limits;
pub mod map;
pub mod message;
pub mod program;
pub mod role;
pub mod wire;

mod address;
mod byte_size;
mod failure;
mod frames;
mod key;
mod moment;
mod payload;
mod resource;
mod small_bytes;

pub use address::{Address, ParseAddressError};
pub use byte_size::{ByteSize, ParseByteSizeError};
pub use failure::{TaskError, TaskErrorKind};
pub use frames::Frames;
pub use key::{Key, KeyTooLong};
pub use moment::Moment;
pub use payload::{Object, Payload, Split, ValueError};
pub use resource::{ParseResourcesError, Resources};
pub use small_bytes::SmallBytes;
