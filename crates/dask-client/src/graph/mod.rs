//! Graphs of calls: raw graphs of the user, and what delayed calls depend on.

pub(crate) mod collections;
pub(crate) mod delayed;
mod draw;
pub(crate) mod optimize;
mod order;

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use dask_proto::codec::Carriage;
use dask_proto::graph::{TaskOptions, TaskSpec};
use dask_proto::id::{FunctionId, FutureId};
use dask_proto::message::Submit;
use dask_proto::{Key, Payload, TaskErrorKind};
use dask_task::registry::{self, RegistryError};
use dask_task::{TaskDef, TaskFn};

use crate::Result;
use crate::driver::Link;
use crate::error::Kind;
use crate::future::hold::{Hold, Outcome};
use crate::future::travel::{Carried, found_by};
use crate::graph::delayed::Node;
use crate::graph::order::Index;
use crate::submit::argument::{CallBuilder, Dependency, IntoArgs};
use crate::submit::{refusal, tokenizer};

/// A raw graph: keys and calls that refer to each other by key, as Dask's `get` takes it.
///
/// ```
/// # use dask_client::{task, Graph};
/// # #[task] fn inc(x: i64) -> i64 { x + 1 }
/// # #[task] fn add(a: i64, b: i64) -> i64 { a + b }
/// let mut graph = Graph::new();
/// let x = graph.insert("x", inc, 1)?;
/// graph.insert("total", add, (&x, Graph::key::<i64>("later")?))?;
/// graph.insert("later", inc, x)?;
/// # Ok::<(), dask_client::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: BTreeMap<Key, Arc<Node>>,
    /// Results that are already on the cluster.
    futures: BTreeMap<Key, Arc<Hold>>,
}

/// The result of a task of a raw graph, as an argument of another.
#[derive(Debug, Clone)]
pub struct KeyRef<T> {
    pub(crate) key: Key,
    value: PhantomData<fn() -> T>,
}

impl Graph {
    /// A graph without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a call under a key; a call that was there before is replaced.
    ///
    /// # Errors
    /// When the key is too long or an argument cannot be serialized.
    pub fn insert<F: TaskFn>(
        &mut self,
        key: impl Into<String>,
        function: F,
        args: impl IntoArgs<F::Params>,
    ) -> Result<KeyRef<F::Output>> {
        let key = Key::try_from(key.into())?;
        let tokenizer = Some(tokenizer(function.def()));
        let mut call = CallBuilder::new(Carriage::Objects, tokenizer);
        args.write(&mut call).map_err(|error| {
            let kind = TaskErrorKind::Serialization;
            Kind::Task(Arc::new(refusal(kind, Some(key.clone()), function.def(), &error)))
        })?;
        let (call, _) = call.finish();
        let node = Node::new(key.clone(), function.def(), call);
        self.nodes.insert(key.clone(), Arc::new(node));
        Ok(KeyRef { key, value: PhantomData })
    }

    /// The result of the task with this key, which may be added later, or be on the cluster.
    ///
    /// # Errors
    /// When the key is too long.
    pub fn key<T>(key: impl Into<String>) -> Result<KeyRef<T>> {
        Ok(KeyRef { key: Key::try_from(key.into())?, value: PhantomData })
    }

    /// The keys that have a task in this graph.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.nodes.keys()
    }

    /// Adds the calls of another graph; where both have a call of one key, that of the other stays.
    pub fn extend(&mut self, other: Self) {
        self.nodes.extend(other.nodes);
        self.futures.extend(other.futures);
    }

    /// A graph whose only output is there already.
    pub(crate) fn of_future(hold: Arc<Hold>) -> Self {
        let futures = BTreeMap::from([(hold.key.clone(), hold)]);
        Self { futures, ..Self::default() }
    }

    /// A delayed call with everything that it needs.
    pub(crate) fn with(node: Arc<Node>) -> Self {
        let mut graph = Self::new();
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            for dependency in &node.call.dependencies {
                if let Dependency::Delayed(node) = dependency
                    && !graph.nodes.contains_key(&node.key)
                {
                    stack.push(node.clone());
                }
            }
            graph.nodes.insert(node.key.clone(), node);
        }
        graph
    }

    /// Submits what these keys need; a hold for each.
    pub(crate) fn submit<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        link: &Arc<Link>,
        options: &TaskOptions,
    ) -> Result<Vec<Arc<Hold>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let nodes = keys.iter().filter_map(|key| self.nodes.get(key.as_ref()).cloned());
        let holds = Plan::new(nodes.collect(), self)?.send(link, options);
        let hold = |key: &K| match (holds.get(key.as_ref()), self.futures.get(key.as_ref())) {
            (Some(hold), _) => Ok(hold.clone()),
            (None, Some(hold)) => Ok(hold.clone().shared_with(link)),
            (None, None) => Err(Kind::UnknownKey(Key::try_from(key.as_ref())?).into()),
        };
        keys.iter().map(hold).collect()
    }
}

/// Calls in the order in which they should run, dependencies first: what the scheduler is sent.
pub(crate) struct Plan {
    order: Vec<Arc<Node>>,
}

impl Plan {
    /// What these calls need.
    ///
    /// # Errors
    /// When a call depends on itself.
    pub(crate) fn new(outputs: Vec<Arc<Node>>, graph: &Graph) -> Result<Self> {
        let mut found = Vec::new();
        let mut dependencies = Vec::new();
        let mut visited: HashMap<Key, Visit> = HashMap::new();
        // The path from an output to the call in work: a stack of our own, since a chain may be
        // longer than a thread's stack.
        let mut path: Vec<Step> = Vec::new();
        for output in outputs {
            if !visited.contains_key(&output.key) {
                visited.insert(output.key.clone(), Visit::Open);
                path.push(Step::new(output));
            }
            while let Some(step) = path.last_mut() {
                let Some(dependency) = step.node.call.dependencies.get(step.next) else {
                    let index = Index::try_from(found.len())
                        .expect("memory ends before four thousand million calls");
                    visited.insert(step.node.key.clone(), Visit::Done(index));
                    if let Some(step) = path.pop() {
                        found.push(Some(step.node));
                        dependencies.push(step.dependencies);
                    }
                    if let Some(dependent) = path.last_mut() {
                        dependent.dependencies.push(index);
                    }
                    continue;
                };
                step.next += 1;
                let needed = match dependency {
                    Dependency::Future(_) => continue,
                    Dependency::Delayed(node) => node.clone(),
                    Dependency::Key(key) => match graph.nodes.get(key) {
                        Some(node) => node.clone(),
                        // It may be on the cluster.
                        None => continue,
                    },
                };
                match visited.get(&needed.key) {
                    Some(Visit::Done(index)) => step.dependencies.push(*index),
                    Some(Visit::Open) => return Err(cycle(&path, &needed.key)),
                    None => {
                        visited.insert(needed.key.clone(), Visit::Open);
                        path.push(Step::new(needed));
                    }
                }
            }
        }
        let order = order::order(dependencies).into_iter();
        Ok(Self { order: order.filter_map(|task| found[task as usize].take()).collect() })
    }

    /// Sends all calls and gives a hold on each. Those that are no outputs may be dropped when this
    /// returns: by then they are on their way together with what needs them.
    pub(crate) fn send(self, link: &Arc<Link>, options: &TaskOptions) -> HashMap<Key, Arc<Hold>> {
        let mut known = Known {
            link,
            holds: HashMap::with_capacity(self.order.len()),
            subscribed: HashMap::new(),
            functions: HashMap::new(),
            carried: Vec::new(),
        };
        let mut sent = Vec::new();
        let mut tasks = Vec::new();
        for node in &self.order {
            let hold = Hold::new(link, node.key.clone());
            match known.specify(node, &hold) {
                Ok(task) => {
                    tasks.push(task);
                    sent.push(hold.clone());
                }
                Err(outcome) => hold.settle(outcome),
            }
            known.holds.insert(node.key.clone(), hold);
        }
        link.submit(&sent, Submit { options: options.clone(), tasks });
        known.carried.into_iter().for_each(|carried| carried.send(link));
        known.holds
    }
}

enum Visit {
    Open,
    /// Found, as so many were before it.
    Done(Index),
}

/// A call on the path from an output to the call in work.
struct Step {
    node: Arc<Node>,
    /// The dependency to look at next.
    next: usize,
    /// Those in the plan that were looked at.
    dependencies: Vec<Index>,
}

impl Step {
    fn new(node: Arc<Node>) -> Self {
        Self { node, next: 0, dependencies: Vec::new() }
    }
}

fn cycle(path: &[Step], key: &Key) -> crate::Error {
    let start = path.iter().position(|step| step.node.key == *key).unwrap_or(0);
    Kind::Cycle(path[start..].iter().map(|step| step.node.key.clone()).collect()).into()
}

/// What the tasks of a plan refer to, each looked up once.
struct Known<'a> {
    link: &'a Arc<Link>,
    /// The calls of the plan.
    holds: HashMap<Key, Arc<Hold>>,
    /// What others have put on the cluster.
    subscribed: HashMap<Key, Arc<Hold>>,
    functions: HashMap<*const TaskDef, Result<FunctionId, RegistryError>>,
    /// What travels inside of arguments.
    carried: Vec<Carried>,
}

impl Known<'_> {
    /// The task of a call, or why it cannot be one.
    fn specify(&mut self, node: &Node, hold: &Hold) -> Result<TaskSpec, Outcome> {
        let failed = |kind, error: &dyn std::error::Error| {
            Outcome::Failed(Arc::new(refusal(kind, Some(node.key.clone()), node.def, error)))
        };
        if let Some(failure) = node.failure() {
            return Err(Outcome::Failed(Arc::new(failure)));
        }
        let function =
            self.function(node.def).map_err(|error| failed(TaskErrorKind::NoFunction, &error))?;
        let needed = node.call.dependencies.iter();
        let dependencies: Vec<FutureId> =
            needed.map(|dependency| self.dependency(dependency)).collect::<Result<_, _>>()?;
        let body = match self.link.carriage {
            Carriage::Objects => node.call.body.clone(),
            Carriage::Bytes => {
                let (bytes, found) = found_by(|| node.call.body.to_bytes());
                self.carried.extend(Carried::new(hold, &found));
                Payload::Bytes(bytes.map_err(|error| failed(TaskErrorKind::Serialization, &error))?)
            }
        };
        Ok(TaskSpec {
            future: hold.id,
            key: node.key.clone(),
            function,
            content: node.call.token.map(|token| *token.as_bytes()),
            dependencies,
            body,
        })
    }

    fn function(&mut self, def: &'static TaskDef) -> Result<FunctionId, RegistryError> {
        let find = || registry::find(def.path, def.signature).map(|_| self.link.function(def));
        let function = self.functions.entry(std::ptr::from_ref(def));
        function.or_insert_with(find).clone()
    }

    fn dependency(&mut self, dependency: &Dependency) -> Result<FutureId, Outcome> {
        let key = dependency.key();
        let here = match dependency {
            Dependency::Future(hold) => Some(hold).filter(|h| Arc::ptr_eq(&h.client, self.link)),
            Dependency::Delayed(_) | Dependency::Key(_) => self.holds.get(key),
        };
        if let Some(hold) = here.or_else(|| self.subscribed.get(key)) {
            return Ok(hold.on(self.link)?.id);
        }
        let hold = match dependency {
            Dependency::Future(hold) => hold.on(self.link)?,
            Dependency::Delayed(_) | Dependency::Key(_) => Hold::subscribe(self.link, key.clone()),
        };
        let id = hold.id;
        self.subscribed.insert(key.clone(), hold);
        Ok(id)
    }
}
