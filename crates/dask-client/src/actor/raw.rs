use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dask_proto::graph::TaskOptions;
use dask_task::{TaskDef, Value};

use crate::Future;
use crate::actor::call::ActorFuture;
use crate::future::hold::Hold;
use crate::submit::argument::{ArgumentError, CallBuilder, Dependency};
use crate::submit::{Name, Naming, Submitter};

/// A handle of an actor of any type: what the output of `#[actor]` calls.
#[doc(hidden)]
#[derive(Clone)]
pub struct RawActor(Arc<Shared>);

struct Shared {
    hold: Arc<Hold>,
    /// The last call: the next starts when it is done.
    last: Mutex<Option<Arc<Hold>>>,
}

impl RawActor {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self(Arc::new(Shared { hold, last: Mutex::new(None) }))
    }

    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.0.hold
    }

    /// Calls a method: a task that depends on the actor, and on the call before it.
    pub fn call<T: Value>(
        &self,
        def: &'static TaskDef,
        write: impl FnOnce(&mut CallBuilder) -> Result<(), ArgumentError>,
    ) -> ActorFuture<T> {
        let hold = self.hold();
        let options = TaskOptions::default();
        let naming = Naming { name: Name::Function, pure: false };
        let mut submitter = Submitter::new(&hold.client, &options, naming, def);
        // Until it is submitted, so that nobody else is submitted behind the same call.
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        // One that failed as a task, and not in the actor, is nothing to wait for.
        let before = last.take().filter(|last| last.failure().is_none());
        let call = |call: &mut CallBuilder| {
            call.dependency(Dependency::Future(hold.clone()));
            write(call)
        };
        let called = submitter.add_after(call, before);
        submitter.flush();
        *last = Some(called.clone());
        ActorFuture::new(Future::new(called))
    }
}

impl fmt::Debug for RawActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawActor").field(&self.0.hold).finish()
    }
}
