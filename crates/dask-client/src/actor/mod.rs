//! Actors: values that stay on one worker, and whose methods change them there.

pub(crate) mod call;
pub(crate) mod raw;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use dask_proto::graph::TaskOptions;
use dask_proto::{Key, TaskErrorKind};
use dask_task::TaskDef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::actor::raw::RawActor;
use crate::future::hold::Hold;
use crate::future::short_type_name;
use crate::submit::argument::IntoArgs;
use crate::submit::{Name, Naming, Submitter, refusal};
use crate::{Client, Future, Unknown};

/// A type whose values can be actors: what [`#[actor]`](macro@crate::actor) implements.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no actor",
    note = "put `#[dask_client::actor]` on the `impl` block of its methods"
)]
pub trait ActorType: Send + 'static {
    /// What can be called.
    #[doc(hidden)]
    type Handle: From<RawActor>;
}

/// A function that makes an actor: one of a `#[actor]` block that returns `Self`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make an actor",
    note = "a function that makes one is in an `impl` block with `#[dask_client::actor]`, and \
            returns `Self` or a `Result` of it"
)]
pub trait ActorFn: Copy + Send + Sync + 'static {
    /// The parameters as owned types, in a tuple.
    type Params;
    /// What it makes.
    type Actor: ActorType;

    /// How the function is found and called.
    #[doc(hidden)]
    fn def(&self) -> &'static TaskDef;
}

/// The `N`th function that makes this actor.
#[doc(hidden)]
pub trait Constructs<const N: usize>: ActorType {
    type Params;
    /// The function pointer that the constant derefs to.
    type Pointer: 'static;
    const POINTER: &'static Self::Pointer;

    fn def() -> &'static TaskDef;
}

/// What such a function becomes: a constant.
#[doc(hidden)]
pub struct Constructor<T, const N: usize>(PhantomData<fn() -> T>);

impl<T, const N: usize> Constructor<T, N> {
    pub const NEW: Self = Self(PhantomData);
}

impl<T, const N: usize> Clone for Constructor<T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Constructor<T, N> {}

impl<T: Constructs<N>, const N: usize> Deref for Constructor<T, N> {
    type Target = T::Pointer;

    fn deref(&self) -> &T::Pointer {
        T::POINTER
    }
}

impl<T: Constructs<N>, const N: usize> ActorFn for Constructor<T, N> {
    type Params = T::Params;
    type Actor = T;

    fn def(&self) -> &'static TaskDef {
        T::def()
    }
}

/// An actor on a worker: Dask's `Actor`. Its methods are called on it as on the value itself, and
/// each gives an [`ActorFuture`](crate::ActorFuture).
///
/// Clones are the same actor; it lives until the last of them, and the last unfinished call, is
/// gone. Calls through clones of one handle run in the order in which they were made. A handle can
/// travel inside other values, and be an argument of tasks; calls through one that has travelled
/// keep to an order of their own.
///
/// The crate's documentation has [a section](crate#actors) on actors.
pub struct Actor<T: ActorType> {
    raw: RawActor,
    handle: T::Handle,
    actor: PhantomData<fn() -> T>,
}

impl<T: ActorType> Actor<T> {
    pub(crate) fn new(raw: RawActor) -> Self {
        Self { handle: raw.clone().into(), raw, actor: PhantomData }
    }

    /// The key of the actor. Not a method, which could hide one of the actor's.
    #[must_use]
    pub fn key(this: &Self) -> &Key {
        &this.raw.hold().key
    }
}

impl<T: ActorType> Deref for Actor<T> {
    type Target = T::Handle;

    fn deref(&self) -> &T::Handle {
        &self.handle
    }
}

impl<T: ActorType> Clone for Actor<T> {
    fn clone(&self) -> Self {
        Self::new(self.raw.clone())
    }
}

impl<T: ActorType> fmt::Debug for Actor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = short_type_name(std::any::type_name::<T>());
        write!(f, "<Actor: {name}, key: {}>", Self::key(self))
    }
}

/// As its key, like a future.
impl<T: ActorType> Serialize for Actor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Future::<Unknown>::new(self.raw.hold().clone()).serialize(serializer)
    }
}

impl<'de, T: ActorType> Deserialize<'de> for Actor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let future = Future::<Unknown>::deserialize(deserializer)?;
        Ok(Self::new(RawActor::new(future.hold)))
    }
}

/// It was said that there is to be no actor.
#[derive(Debug, thiserror::Error)]
#[error(
    "`actor(false)` was said, and this function makes nothing but an actor: say `actor(true)`, or \
     submit a `#[task]` for a future"
)]
struct NoActor;

/// The verb behind [`Options::actor`](crate::Options::actor).
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a verb uses them"]
pub struct ActorOptions {
    client: Client,
    task: TaskOptions,
    key: Option<String>,
}

impl ActorOptions {
    pub(crate) fn new(client: Client, task: TaskOptions, key: Option<String>) -> Self {
        Self { client, task, key }
    }

    /// Makes an actor on a worker. Every submission makes another, unless
    /// [`Options::key`](crate::Options::key) names it. After `actor(false)` there is none, and its
    /// calls say so.
    pub fn submit<F: ActorFn>(
        &self,
        constructor: F,
        args: impl IntoArgs<F::Params>,
    ) -> Actor<F::Actor> {
        if !self.task.actor {
            let kind = TaskErrorKind::InvalidGraph;
            let error = refusal(kind, None, constructor.def(), &NoActor);
            return Actor::new(RawActor::new(Hold::failed(self.client.link(), error)));
        }
        let name = short_type_name(std::any::type_name::<F::Actor>());
        let name = self.key.as_deref().map_or(Name::Prefix(&name), Name::Key);
        let naming = Naming { name, pure: false };
        let mut submitter =
            Submitter::new(self.client.link(), &self.task, naming, constructor.def());
        let hold = submitter.add_after(|call| args.write(call), None);
        submitter.flush();
        Actor::new(RawActor::new(hold))
    }
}
