//! Dask, native to Rust: submit ordinary functions to a cluster and get futures back.

pub use dask_macros::{main, task};

/// What the macros' output refers to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use dask_proto::Payload;
    pub use dask_task::inventory;
    pub use dask_task::{Failure, Inputs, TaskDef, TaskFn, block_on, failure, live};

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
}
