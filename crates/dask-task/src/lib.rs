//! Task functions: what `#[task]` makes of a function, and what a worker needs to call it.
//!
//! A client writes a call with [`CallWriter`]; the bytes (or, in one process, the live values)
//! travel as one opaque [`Payload`](dask_proto::Payload); a worker [finds](registry::find) the
//! function and [runs](TaskDef::run) it on [`Inputs`]. Client and worker are the same program, so
//! a name is enough to find a function; the signature guards against programs that differ.
//!
//! This crate opens no connections and starts no threads.

pub mod apart;
pub mod context;
pub mod plugin;
pub mod registry;

mod actor;
mod backtrace;
mod bulk;
mod call;
mod function;
mod fused;
mod input;
mod panic;
mod reschedule;
mod value;

pub use actor::{ActorCell, ActorReply, actor, reply};
pub use call::{CallWriter, MAX_ARGUMENTS, MalformedCall};
pub use function::{Body, Failure, TaskDef, TaskFn, block_on, failure};
pub use fused::{FUSED, Fused, Source};
pub use input::{Borrowed, InputError, Inputs, Slice};
pub use panic::{Panic, catch};
pub use reschedule::Reschedule;
pub use value::{Live, Value, decode, encode, encode_borrowed, live, nbytes, shared, take};

#[doc(hidden)]
pub use inventory;
