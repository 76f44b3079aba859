//! What the output of the macros refers to; not for use by hand.

pub use crate::actor::call::ActorFuture;
pub use crate::actor::raw::RawActor;
pub use crate::actor::{ActorType, Constructor, Constructs};
pub use crate::role::{role, run_main};
pub use crate::submit::argument::IntoArg;
pub use dask_proto::Payload;
pub use dask_task::inventory;
pub use dask_task::plugin::PluginDef;
pub use dask_task::{Failure, Inputs, TaskDef, TaskFn, actor, block_on, reply};

/// What an async task function returns when it is called by hand.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a `Result` resolves to, whichever alias it was written with.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not `std::result::Result` or an alias of it",
    label = "a task whose return type is named `Result` is one that can fail"
)]
pub trait ResultType {
    /// The type in `Ok`.
    type Ok;
}

impl<T, E> ResultType for Result<T, E> {
    type Ok = T;
}

/// What a task may return in `Err`: all that `?` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "an error of tasks becomes a `Box<dyn Error + Send + Sync>`",
    note = "implement `std::error::Error` for a type of your own, or return a `String`"
)]
pub trait ReturnedError: Into<Box<dyn std::error::Error + Send + Sync>> {}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> ReturnedError for E {}

/// The result of a call. It is by way of the trait that it is known to be a value, so that a
/// type that is none is one error and not two.
pub fn live<F: TaskFn>(_: F, value: F::Output) -> Payload {
    dask_task::live(value)
}

/// The failure of a function that returned `Err(error)`.
pub fn failure<E: ReturnedError>(error: E) -> Failure {
    dask_task::failure(error)
}
