//! From a function and its arguments to a task on its way to the scheduler.

pub(crate) mod argument;
pub(crate) mod scatter;

use std::sync::Arc;

use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId};
use dask_proto::limits::SUBMIT_TASKS;
use dask_proto::message::Submit;
use dask_proto::{Key, KeyTooLong, TaskError, TaskErrorKind};
use dask_task::{TaskDef, TaskFn, registry};
use dask_tokenize::{Token, Tokenizer, unique_key_name, write_key_name};

use crate::driver::Link;
use crate::future::hold::{Hold, Outcome};
use crate::future::travel::Carried;
use crate::submit::argument::{ArgumentError, Call, CallBuilder, Dependency, IntoArgs};

/// How the keys of new tasks are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    pub(crate) name: Name<'a>,
    /// Whether the same call is the same task; otherwise no key is made twice.
    pub(crate) pure: bool,
}

/// What the key of a task is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'a> {
    /// The function's name and what tells its calls apart.
    Function,
    /// What the user says, and what tells the calls of a `map` apart.
    Prefix(&'a str),
    /// What the user says.
    Key(&'a str),
}

/// Submits calls of one function, a batch at a time.
pub(crate) struct Submitter<'a> {
    link: &'a Arc<Link>,
    options: &'a TaskOptions,
    naming: Naming<'a>,
    def: &'static TaskDef,
    function: Result<FunctionId, registry::RegistryError>,
    builder: CallBuilder,
    /// The name of the last key.
    name: String,
    batch: Vec<TaskSpec>,
    holds: Vec<Arc<Hold>>,
    /// What the batch depends on must be held until the batch is on its way.
    needed: Vec<Arc<Hold>>,
    /// What travels inside of the arguments of the batch.
    carried: Vec<Carried>,
}

impl<'a> Submitter<'a> {
    pub(crate) fn new(
        link: &'a Arc<Link>,
        options: &'a TaskOptions,
        naming: Naming<'a>,
        def: &'static TaskDef,
    ) -> Self {
        let function = registry::find(def.path, def.signature).map(|_| link.function(def));
        let tokenizer = naming.pure.then(|| salted(link, def));
        Self {
            link,
            options,
            naming,
            def,
            function,
            builder: CallBuilder::new(link.carriage, tokenizer),
            name: String::new(),
            batch: Vec::new(),
            holds: Vec::new(),
            needed: Vec::new(),
            carried: Vec::new(),
        }
    }

    /// Adds a call to the batch; [`Submitter::flush`] sends it.
    pub(crate) fn add<F: TaskFn>(&mut self, args: impl IntoArgs<F::Params>) -> Arc<Hold> {
        self.add_after(|call| args.write(call), None)
    }

    /// [`Submitter::add`], with what writes the arguments, of a call that starts only when another
    /// is done.
    pub(crate) fn add_after(
        &mut self,
        write: impl FnOnce(&mut CallBuilder) -> Result<(), ArgumentError>,
        after: Option<Arc<Hold>>,
    ) -> Arc<Hold> {
        let written = write(&mut self.builder);
        let (mut call, found) = self.builder.finish();
        call.dependencies.extend(after.map(Dependency::Future));
        let key = match self.key(call.token) {
            Ok(key) => key,
            Err(error) => return self.refuse(TaskErrorKind::InvalidGraph, None, &error),
        };
        let function = match (written, &self.function) {
            (Ok(()), Ok(function)) => *function,
            (Err(error), _) => {
                return self.refuse(TaskErrorKind::Serialization, Some(key), &error);
            }
            (_, Err(error)) => return self.refuse(TaskErrorKind::NoFunction, Some(key), error),
        };
        let hold = Hold::new(self.link, key);
        match self.dependencies(&call) {
            Ok(dependencies) => {
                self.carried.extend(Carried::new(&hold, &found));
                self.push(&hold, function, call, dependencies);
            }
            Err(outcome) => hold.settle(outcome),
        }
        hold
    }

    /// How many calls wait for [`Submitter::flush`].
    pub(crate) fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Sends the batch.
    pub(crate) fn flush(&mut self) {
        if !self.batch.is_empty() {
            let tasks = std::mem::take(&mut self.batch);
            let submit = Submit { options: self.options.clone(), tasks };
            self.link.submit(&self.holds, submit);
            self.carried.drain(..).for_each(|carried| carried.send(self.link));
        }
        self.holds.clear();
        self.needed.clear();
    }

    fn push(
        &mut self,
        hold: &Arc<Hold>,
        function: FunctionId,
        call: Call,
        dependencies: Vec<FutureId>,
    ) {
        let explicit = matches!(self.naming.name, Name::Key(_));
        self.batch.push(TaskSpec {
            future: hold.id,
            key: hold.key.clone(),
            function,
            content: call.token.filter(|_| explicit).map(|token| *token.as_bytes()),
            dependencies,
            body: call.body,
        });
        self.holds.push(hold.clone());
    }

    fn key(&mut self, token: Option<Token>) -> Result<Key, KeyTooLong> {
        let prefix = match self.naming.name {
            Name::Key(key) => return Key::new(key),
            Name::Prefix(prefix) => prefix,
            Name::Function => self.def.name(),
        };
        match token {
            Some(token) => {
                write_key_name(&mut self.name, prefix, token);
                Key::new(self.name.as_str())
            }
            None => Key::new(unique_key_name(prefix)),
        }
    }

    /// The ids of what a call depends on; delayed calls among them are submitted.
    fn dependencies(&mut self, call: &Call) -> Result<Vec<FutureId>, Outcome> {
        let mut ids = Vec::with_capacity(call.dependencies.len());
        for dependency in &call.dependencies {
            let hold = match dependency {
                Dependency::Future(hold) => hold.on(self.link)?,
                Dependency::Delayed(node) => {
                    // What is in the batch came first and stays first.
                    let keep = std::mem::take(&mut self.needed);
                    self.flush();
                    self.needed = keep;
                    node.submit(self.link, self.options)
                }
                Dependency::Key(key) => Hold::subscribe(self.link, key.clone()),
            };
            ids.push(hold.id);
            self.needed.push(hold);
        }
        Ok(ids)
    }

    fn refuse(
        &self,
        kind: TaskErrorKind,
        key: Option<Key>,
        error: &dyn std::error::Error,
    ) -> Arc<Hold> {
        Hold::failed(self.link, refusal(kind, key, self.def, error))
    }
}

/// The failure of a task that never reached the scheduler.
pub(crate) fn refusal(
    kind: TaskErrorKind,
    key: Option<Key>,
    def: &TaskDef,
    error: &dyn std::error::Error,
) -> TaskError {
    let unnamed =
        || Key::new(unique_key_name("task")).expect("a uuid is shorter than a key may be");
    let key = key.unwrap_or_else(unnamed);
    TaskError { function: def.path.to_owned(), ..TaskError::from_error(kind, key, error) }
}

/// A tokenizer that has taken in the function's identity, and that of the program if keys say it.
fn salted(link: &Link, def: &TaskDef) -> Tokenizer {
    let mut tokenizer = tokenizer(def);
    if let Some(program) = link.identity.salt {
        tokenizer.str(&program.to_string());
    }
    tokenizer
}

/// A tokenizer that has taken in the function's identity.
pub(crate) fn tokenizer(def: &TaskDef) -> Tokenizer {
    let mut tokenizer = Tokenizer::new();
    tokenizer.function(def.path, def.signature);
    tokenizer
}

/// How many calls of a `map` go into one batch unless the user says otherwise: the scheduler
/// starts on the first while the client still writes the last.
pub(crate) const MAP_BATCH: usize = SUBMIT_TASKS / 4;
