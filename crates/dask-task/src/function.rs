use std::error::Error;
use std::fmt;

use dask_proto::graph::Function;
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind};

use crate::input::{InputError, Inputs};
use crate::panic::{Panic, catch};
use crate::value::Value;

/// A function marked `#[task]`: the bound of `submit` and of everything that takes a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "expected a function marked `#[task]`",
    note = "a task is known by name on every machine, so closures and plain or generic functions \
            cannot be tasks: write a function with concrete types and put `#[task]` on it",
    note = "pass what a closure would capture as arguments"
)]
pub trait TaskFn: Copy + Send + Sync + 'static {
    /// The parameters as owned types, in a tuple: `(Vec<i64>, String)` for `(&[i64], &str)`.
    type Params;
    /// What its future resolves to: `T` for a function that returns `T` or `Result<T, E>`.
    type Output: Value;

    /// How the function is found and called.
    fn def(&self) -> &'static TaskDef;
}

/// How a task function is found and called: what `#[task]` registers.
pub struct TaskDef {
    /// Module path and name, such as `session::inc`.
    pub path: &'static str,
    /// Its type as written, and its version if it has one.
    pub signature: &'static str,
    /// Takes the arguments, calls the function and keeps the result.
    pub body: Body,
}

/// The function that `#[task]` writes around the user's.
pub type Body = fn(&mut Inputs) -> Result<Payload, Failure>;

/// Why a call gave no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The function returned `Err`.
    Returned(Box<dyn Error + Send + Sync>),
    /// The function panicked.
    Panicked(Panic),
    /// An argument could not be had.
    Input(InputError),
    /// This function failed, which the task's function called.
    Inside(&'static TaskDef, Box<Failure>),
}

impl TaskDef {
    /// The function as peers know it.
    #[must_use]
    pub fn function(&self) -> Function {
        Function { path: self.path.to_owned(), signature: self.signature.to_owned() }
    }

    /// The name without the module path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit("::").next().unwrap_or(self.path)
    }

    /// Calls the function. A panic is caught and becomes a failure with its place.
    ///
    /// # Errors
    /// When the function fails, panics, or an argument does not fit.
    pub fn run(&self, inputs: &mut Inputs) -> Result<Payload, Failure> {
        catch(|| (self.body)(inputs)).unwrap_or_else(|panic| Err(Failure::Panicked(panic)))
    }
}

impl fmt::Debug for TaskDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.signature)
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl Failure {
    /// The failure of a function that another one called, which is its task's.
    pub(crate) fn inside(self, def: &'static TaskDef) -> Self {
        Self::Inside(def, Box::new(self))
    }

    /// The failure as it travels.
    #[must_use]
    pub fn into_task_error(self, key: Key, def: &TaskDef, worker: Option<Address>) -> TaskError {
        let error = match self {
            Self::Returned(error) => TaskError::from_error(TaskErrorKind::Returned, key, &*error),
            Self::Input(error) => TaskError::from_error(TaskErrorKind::Serialization, key, &error),
            Self::Inside(def, failure) => return failure.into_task_error(key, def, worker),
            Self::Panicked(panic) => TaskError {
                location: panic.location,
                backtrace: panic.backtrace,
                ..TaskError::new(TaskErrorKind::Panicked, key, panic.message)
            },
        };
        TaskError { function: def.path.to_owned(), worker, ..error }
    }
}

/// The failure of a function that returned `Err(error)`.
///
/// Takes every error that `?` takes, `anyhow::Error`, `Box<dyn Error>` and strings included.
pub fn failure(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::Returned(error.into())
}

/// Runs an async task function to its end on the thread of the task.
///
/// On a worker the thread belongs to a tokio runtime, whose IO and timers the function uses.
///
/// # Panics
/// Outside of a tokio runtime, and on a thread that drives one.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallWriter, live, take};

    fn run(body: Body) -> Result<Payload, Failure> {
        let def = TaskDef { path: "tests::f", signature: "fn()", body };
        let call = CallWriter::live().finish();
        def.run(&mut Inputs::new(&call, &[]).expect("well-formed"))
    }

    fn error(body: Body) -> TaskError {
        let def = TaskDef { path: "tests::f", signature: "fn()", body };
        let key = Key::new("f-1").expect("a short key");
        run(body).expect_err("it fails").into_task_error(key, &def, None)
    }

    #[test]
    fn a_result_is_kept_live() {
        let result = run(|_| Ok(live(5_i64))).expect("it works");
        assert_eq!(take::<i64>(result), Ok(5));
    }

    #[test]
    fn a_panic_says_what_and_where() {
        let error = error(|_| panic!("no {}", "luck"));
        assert_eq!((error.kind, error.message.as_str()), (TaskErrorKind::Panicked, "no luck"));
        assert!(error.location.expect("a location").contains("function.rs:"));
    }

    #[test]
    fn a_returned_error_keeps_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the outer one")]
        struct Outer(#[source] std::num::ParseIntError);
        let error = error(|_| {
            let inner = "x".parse::<i64>().expect_err("no number");
            Err(failure(Outer(inner)))
        });
        assert_eq!(error.message, "the outer one");
        assert_eq!(error.causes, ["invalid digit found in string"]);
    }
}
