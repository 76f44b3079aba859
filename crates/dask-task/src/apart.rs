//! Calls apart from all tasks: what `Client.run` asks of a process.

use dask_proto::codec::Carriage;
use dask_proto::message::{Reply, RunFunction};
use dask_proto::{Address, Key, Payload, TaskError, TaskErrorKind};

use crate::registry;
use crate::{Inputs, TaskDef, catch};

/// Finds the function of a call apart from all tasks.
///
/// # Errors
/// When this program, which is the process at this address, does not have it.
pub fn find(call: &RunFunction, process: &Address) -> Result<&'static TaskDef, Box<TaskError>> {
    let function = &call.function;
    registry::find(&function.path, &function.signature).map_err(|error| {
        let error = TaskError::from_error(TaskErrorKind::NoFunction, key(call), &error);
        place(error, call, process)
    })
}

/// Calls a function on this thread, in the process at this address; its result in a form that the
/// link carries, or how it failed. Its panics are caught.
#[must_use]
pub fn run(def: &TaskDef, call: &RunFunction, process: &Address, carriage: Carriage) -> Reply {
    let returned = catch(|| returned(def, call, process, carriage));
    let returned = returned.unwrap_or_else(|panic| {
        let message = format!("it panicked while its values were exchanged: {}", panic.message);
        let error = TaskError::new(TaskErrorKind::Serialization, key(call), message);
        Err(place(TaskError { location: panic.location, ..error }, call, process))
    });
    returned.map_or_else(Reply::Failed, Reply::Returned)
}

fn returned(
    def: &TaskDef,
    call: &RunFunction,
    process: &Address,
    carriage: Carriage,
) -> Result<Payload, Box<TaskError>> {
    let unreadable = |error: &dyn std::error::Error| {
        let error = TaskError::from_error(TaskErrorKind::Serialization, key(call), error);
        place(error, call, process)
    };
    let mut inputs = Inputs::new(&call.body, &[]).map_err(|error| unreadable(&error))?;
    let value = def.run(&mut inputs).map_err(|failure| {
        Box::new(failure.into_task_error(key(call), def, Some(process.clone())))
    })?;
    match carriage {
        Carriage::Objects => Ok(value),
        Carriage::Bytes => value.encoded().map_err(|error| unreadable(&error)),
    }
}

/// A call has no key: the name of its function stands for one in errors and logs.
#[must_use]
pub fn key(call: &RunFunction) -> Key {
    let name = call.function.name();
    Key::new(name).unwrap_or_else(|_| Key::new("run").expect("it is short"))
}

fn place(error: TaskError, call: &RunFunction, process: &Address) -> Box<TaskError> {
    let (function, worker) = (call.function.path.clone(), Some(process.clone()));
    Box::new(TaskError { function, worker, ..error })
}

#[cfg(test)]
mod tests {
    use dask_proto::graph::Function;

    use super::*;
    use crate::{CallWriter, Failure, live, take};

    fn seven(_: &mut Inputs) -> Result<Payload, Failure> {
        Ok(live(7_i64))
    }

    fn explode(_: &mut Inputs) -> Result<Payload, Failure> {
        panic!("no luck")
    }

    static SEVEN: TaskDef = TaskDef { path: "apart::seven", signature: "fn()", body: seven };
    static EXPLODE: TaskDef = TaskDef { path: "apart::explode", signature: "fn()", body: explode };
    inventory::submit! { &SEVEN }
    inventory::submit! { &EXPLODE }

    fn call(path: &str) -> RunFunction {
        let function = Function { path: path.to_owned(), signature: "fn()".to_owned() };
        RunFunction { function, body: CallWriter::live().finish(), wait: true }
    }

    fn process() -> Address {
        "tcp://127.0.0.1:1".parse().expect("an address")
    }

    #[test]
    fn a_call_returns_what_the_link_carries() {
        let call = call("apart::seven");
        let def = find(&call, &process()).expect("it is registered");
        let Reply::Returned(live) = run(def, &call, &process(), Carriage::Objects) else {
            panic!("it fails");
        };
        assert_eq!(take::<i64>(live), Ok(7));
        let Reply::Returned(bytes) = run(def, &call, &process(), Carriage::Bytes) else {
            panic!("it fails");
        };
        assert_eq!(take::<i64>(bytes), Ok(7));
    }

    #[test]
    fn a_panic_and_an_unknown_function_name_the_process() {
        let exploding = call("apart::explode");
        let def = find(&exploding, &process()).expect("it is registered");
        let Reply::Failed(error) = run(def, &exploding, &process(), Carriage::Bytes) else {
            panic!("it works");
        };
        assert_eq!((error.kind, error.worker), (TaskErrorKind::Panicked, Some(process())));
        let error = find(&call("apart::nothing"), &process()).expect_err("there is none");
        assert_eq!((error.kind, error.worker), (TaskErrorKind::NoFunction, Some(process())));
    }
}
