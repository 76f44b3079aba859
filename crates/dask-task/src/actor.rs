//! Actors: values that stay on the worker that made them, and that calls may change.

use std::any::{Any, type_name};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dask_proto::{Object, Payload, TaskError, ValueError};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::input::{InputError, Inputs};
use crate::panic::catch;
use crate::value::{Value, live};
use crate::{Failure, TaskDef};

/// An actor on its worker.
#[derive(Debug)]
pub struct ActorCell<T>(Mutex<T>);

/// What a call of an actor's method gave. A failure is a value too: it is that of the call, and not
/// of the calls behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ActorReply<T> {
    /// It returned this.
    Returned(T),
    /// It failed.
    Failed(Box<TaskError>),
}

/// The actor as the result of its task.
pub fn actor<T: Send + 'static>(value: T) -> Payload {
    Payload::Object(Arc::new(ActorCell(Mutex::new(value))))
}

/// Calls a method; a panic and an error are part of the reply.
///
/// # Errors
/// Outside of tasks, when it fails.
pub fn reply<T: Value>(
    def: &TaskDef,
    call: impl FnOnce() -> Result<T, Failure>,
) -> Result<Payload, Failure> {
    let failure = match catch(call) {
        Ok(Ok(value)) => return Ok(live(ActorReply::Returned(value))),
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::Panicked(panic),
    };
    let Some(context) = Context::current() else { return Err(failure) };
    let worker = Some(context.worker.address.clone());
    let error = failure.into_task_error(context.key, def, worker);
    Ok(live(ActorReply::<T>::Failed(Box::new(error))))
}

impl<T> ActorCell<T> {
    /// The actor, for one call at a time. One that panicked before is as that call left it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Object for ActorCell<T> {
    fn encode(self: Arc<Self>) -> Result<Payload, ValueError> {
        Err(bound::<T>())
    }

    fn encode_to(&self, _: &mut dyn Write) -> Result<(), ValueError> {
        Err(bound::<T>())
    }

    fn nbytes(&self) -> u64 {
        0
    }

    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn is_bound(&self) -> bool {
        true
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

fn bound<T>() -> ValueError {
    let reason = "an actor stays on the worker that made it".to_owned();
    ValueError::Encode { type_name: type_name::<T>().to_owned(), reason }
}

impl Inputs {
    /// The argument that is an actor.
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn actor<T: Send + 'static>(
        &mut self,
        index: usize,
    ) -> Result<Arc<ActorCell<T>>, InputError> {
        let payload = self.one(index)?;
        let found = match &payload {
            Payload::Object(object) => object.type_name(),
            _ => "encoded",
        };
        let wrong = || InputError::Value {
            index,
            source: ValueError::Type {
                expected: type_name::<T>().to_owned(),
                found: found.to_owned(),
            },
        };
        let Payload::Object(object) = payload.clone() else { return Err(wrong()) };
        object.into_any().downcast().map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallWriter;

    #[test]
    fn an_actor_is_changed_in_place_and_leaves_for_nowhere() {
        let payload = actor(5_i64);
        assert!(payload.is_bound() && payload.to_bytes().is_err());
        let mut writer = CallWriter::live();
        writer.dependency(0);
        let body = writer.finish();
        for expected in [6, 7] {
            let mut inputs =
                Inputs::new(&body, std::slice::from_ref(&payload)).expect("well-formed");
            let cell = inputs.actor::<i64>(0).expect("an actor");
            *cell.lock() += 1;
            assert_eq!(*cell.lock(), expected);
        }
        let mut inputs = Inputs::new(&body, &[payload]).expect("well-formed");
        assert!(matches!(inputs.actor::<String>(0), Err(InputError::Value { index: 0, .. })));
    }

    #[test]
    fn an_actor_is_usable_after_a_panic() {
        let cell = ActorCell(Mutex::new(1));
        let panicked = catch(|| {
            *cell.lock() = 2;
            let _held = cell.lock();
            assert_ne!(1, 1, "in a call");
        });
        assert!(panicked.is_err());
        assert_eq!(*cell.lock(), 2);
    }
}
