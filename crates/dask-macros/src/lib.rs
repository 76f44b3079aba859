//! The attribute macros of dask-client, which re-exports and documents them.
//!
//! What they write refers to everything through `::dask_client::__private`, so that a program
//! needs no other crate of this workspace.

use proc_macro::TokenStream;

mod actor;
mod arguments;
mod check;
mod entry;
mod parameter;
mod signature;
mod task;

/// Makes a function a task: something that can be submitted to a cluster by its name.
///
/// ```text
/// #[task]
/// fn inc(x: i64) -> i64 {
///     x + 1
/// }
///
/// let x = client.submit(inc, 10);
/// assert_eq!(inc(10), 11);
/// ```
///
/// # Parameters
/// From 0 to 12, each `T`, `&T`, `&[T]` or `&str`, where `T` implements
/// `Serialize + DeserializeOwned + Clone + Send + Sync + 'static`. A borrowed parameter reads the
/// worker's value in place; an owned one takes it, or clones it if the worker needs it again. A
/// list of futures fits `Vec<T>` and `&[T]`.
///
/// # Result
/// An owned value, or a `Result` of one, under any alias named `Result`: `Err` makes the task
/// fail. Its error is whatever `?` turns into a `Box<dyn Error + Send + Sync>`.
///
/// An `async fn` runs to its end on a thread of the worker, with tokio's IO and timers at hand.
/// Called by hand it gives a boxed future to await, which must be `Send`.
///
/// # Arguments
/// - `#[task(version = 2)]` tells the function from an earlier one of the same path and type:
///   results of version 1 are not taken for those of version 2.
/// - `#[task(crate = "path")]` where dask-client goes by another name.
///
/// # What a task is
/// A constant of the function's name. It derefs to a function pointer, so that `inc(10)`,
/// `xs.map(*inc)` and a call to itself work as they would for the function. As with every
/// constant, a pattern of the same name means the constant: where the task `total` is in scope,
/// `let total = 5;` and another function's parameter `total: i64` are errors (E0308, "`total` is
/// interpreted as a constant, not a new binding"). Name one of the two differently, or keep the
/// tasks in a module and call them by it: `tasks::total`. Its own parameters may share its name.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    task::expand(arguments.into(), &item).unwrap_or_else(|error| with_item(&error, &item)).into()
}

/// Marks the main function of a program, plain or async, that can also serve as a worker process.
///
/// Started as a worker, the program joins its scheduler and runs tasks, and the function never
/// starts; that is why it comes first, before arguments are read. Otherwise it runs, an async
/// one on a multi-threaded tokio runtime.
///
/// ```text
/// #[dask_client::main]
/// async fn main() -> dask_client::Result<()> {
///     let client = Client::local().await?;
///     Ok(())
/// }
/// ```
///
/// `#[dask_client::main(crate = "path")]` where dask-client goes by another name.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    entry::expand(arguments.into(), &item).unwrap_or_else(|error| with_item(&error, &item)).into()
}

/// Makes a type an actor: goes on the `impl` block with its functions.
///
/// ```text
/// #[actor]
/// impl Counter {
///     pub fn new() -> Self { Self { n: 0 } }
///     pub fn add(&mut self, n: i64) -> i64 { self.n += n; self.n }
/// }
///
/// let counter: Actor<Counter> = client.options().actor(true).submit(Counter::new, ());
/// assert_eq!(counter.add(5).await?, 5);
/// ```
///
/// - A function without `self` that returns `Self`, or a `Result` of it, makes an actor. It becomes
///   a constant that derefs to a function pointer, as a task does: `Counter::new()` still works.
/// - A method with `&self` or `&mut self` can be called on the actor. It stays as it is for the
///   value itself. Its parameters and its result are those of a [task](macro@task): `T`, `&T`,
///   `&[T]` or `&str`, and an owned value or a `Result` of one. It may be async.
/// - Any other function without `self` stays as it is.
///
/// The type itself needs to be `Send + 'static`, and nothing else: it never leaves its worker.
/// `#[actor(crate = "path")]` where dask-client goes by another name.
#[proc_macro_attribute]
pub fn actor(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    actor::expand(arguments.into(), &item).unwrap_or_else(|error| with_item(&error, &item)).into()
}

/// Keeps the item beside the error, so that its uses do not become errors too.
fn with_item(error: &syn::Error, item: &proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    let error = error.to_compile_error();
    quote::quote!(#error #item)
}
